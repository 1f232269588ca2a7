// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/object_name.hpp>

#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace promisqs::detail {

/// A shared memory object, open for reading alone, and never mapped. It takes no lock and writes nothing.
///
/// The kernel makes all copies. So the owner of the file may cut it short at any time: a read fails then. An access to
/// a mapping would end this process (SIGBUS). docs/decisions/11-looking.md has the cost.
class observed_file {
public:
    /// What `stat` says of it.
    struct facts {
        std::uint64_t size = 0;
        std::uint64_t reserved = 0;  // bytes that the system has set aside
        std::uint32_t owner = 0;
        std::uint32_t permissions = 0;
    };

    [[gnu::__cold__]] explicit observed_file(object_name name) noexcept
        : name_(std::move(name)),
          descriptor_(name_.is_irregular() ? -1 : name_.open_to_read()),
          error_(descriptor_ < 0 ? errno : 0),
          is_regular_(descriptor_ >= 0 && os::is_regular(descriptor_)) {
        if (descriptor_ < 0 && name_.is_irregular()) error_ = 0;
    }
    observed_file(const observed_file&) = delete;
    observed_file& operator=(const observed_file&) = delete;
    [[gnu::__cold__]] ~observed_file() {
        if (descriptor_ >= 0) os::close(descriptor_);
    }

    [[nodiscard]] const object_name& name() const noexcept { return name_; }
    /// Why it could not be opened, as an `errno`. 0: it could, or it is no file.
    [[nodiscard]] int error() const noexcept { return error_; }
    /// False: a folder, a pipe, a link, which can't be read.
    [[nodiscard]] bool is_regular() const noexcept { return is_regular_; }
    [[nodiscard]] bool is_named() const noexcept { return descriptor_ >= 0 && name_.leads_to(descriptor_); }

    [[nodiscard, gnu::__cold__]] facts describe() const noexcept {
        struct ::stat found {};
        if (!is_regular_ || ::fstat(descriptor_, &found) != 0) return {};
        return {static_cast<std::uint64_t>(found.st_size), static_cast<std::uint64_t>(found.st_blocks) * 512,
                found.st_uid, found.st_mode & 0777U};
    }

    /// Whether a process holds the lock on a byte. Asks, and takes none: nobody is held up.
    [[nodiscard]] bool is_locked(std::int64_t byte) const noexcept {
        return is_regular_ && os::byte_is_locked(descriptor_, byte);
    }

    /// Copies a part of the file. Words of 8 bytes, aligned in both places, are copied whole. What is read later is not
    /// older than what is read earlier.
    ///
    /// \return  false: the file has fewer bytes
    [[nodiscard]] bool fetch(void* to, std::size_t size, std::uint64_t offset) const noexcept {
        if (!is_regular_) return false;
        auto* const out = static_cast<std::byte*>(to);
        for (std::size_t done = 0; done < size;) {
            // The bare system call is no cancellation point.
            const long part = ::syscall(SYS_pread64, descriptor_, out + done, size - done, offset + done);
            if (part < 0 && errno == EINTR) continue;
            if (part <= 0) return false;
            done += static_cast<std::size_t>(part);
        }
        // [I1] barrier, pairs with [P3], [P4], [C2], [C3] and [D1]: the kernel's loads for the next read come after
        // those for this one. Without it, a stamp, or the tail, that is read to see whether a copy is good would
        // perhaps be older than the copy.
        os::full_barrier();
        return true;
    }
    /// A word of the file; 0, and `cut_short`, if it is not there.
    [[nodiscard]] std::uint64_t word(std::uint64_t offset) const noexcept {
        std::uint64_t value = 0;
        if (!fetch(&value, sizeof value, offset)) cut_short_.store(1, std::memory_order_relaxed);
        return value;
    }
    /// Whether `word` has missed one since `forget`.
    [[nodiscard]] bool cut_short() const noexcept { return cut_short_.load(std::memory_order_relaxed) != 0; }
    void forget() const noexcept { cut_short_.store(0, std::memory_order_relaxed); }

private:
    object_name name_;
    int descriptor_;
    int error_;
    bool is_regular_;
    // Atomic: an inspector and its taps share the file, and may be in different threads. A file that was cut short
    // stays so, or is found to be another one, by its header.
    mutable std::atomic<std::uint32_t> cut_short_{0};
};

}  // namespace promisqs::detail
