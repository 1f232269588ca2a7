// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/permissions.hpp>
#include <boost/interprocess/shared_memory_object.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace promisqs::detail {

namespace bip = boost::interprocess;

/// A shared memory object: its name, its file with the locks, and its mapping. The only place that knows Boost.Interprocess,
/// none of whose exceptions leaves it.
class segment {
public:
    /// Creates the object, empty. Nothing when the name is taken.
    static std::optional<segment> make(const std::string& name, std::uint32_t permissions) {
        using mode = decltype(bip::permissions().get_permissions());  // signed in some versions of Boost
        return obtain(name, EEXIST, [&] {
            return bip::shared_memory_object(bip::create_only, name.c_str(), bip::read_write,
                                             bip::permissions(static_cast<mode>(permissions)));
        });
    }

    /// Opens the object. Nothing when there is none of that name.
    static std::optional<segment> find(const std::string& name) {
        return obtain(name, ENOENT,
                      [&] { return bip::shared_memory_object(bip::open_only, name.c_str(), bip::read_write); });
    }

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] shared_file& file() const noexcept { return *file_; }

    /// Whether the name still leads to this very object.
    [[nodiscard]] bool is_named() const noexcept { return os::object_is(name_.c_str(), file_->descriptor()); }

    /// Removes the name. The object lives on for those who have it open. False: that is not allowed to this process.
    bool unlink() const noexcept { return bip::shared_memory_object::remove(name_.c_str()); }

    /// Maps the first `size` bytes, which the object must have.
    ///
    /// A mapping keeps the open file description alive from which it was made, and a forked child inherits the mapping: made
    /// from the description that has our locks, it would keep them after our death. So it is made from another one.
    void map(std::uint64_t size, huge_pages huge) {
        const auto bytes = static_cast<std::size_t>(size);
        const std::lock_guard no_fork(shared_file::process_mutex());  // the child would inherit the descriptor
        const mappable source{os::reopen(file_->descriptor())};
        if (source.descriptor < 0) raise(errno, "open it once more, through /proc/self/fd,");
        if (huge != huge_pages::never) {
            try {
                region_ = bip::mapped_region(source, bip::read_write, 0, bytes, os::huge_address(bytes));
                return;
            } catch (const bip::interprocess_exception&) {
                // Somebody else took that address: any other will do, only not for huge pages.
            }
        }
        try {
            region_ = bip::mapped_region(source, bip::read_write, 0, bytes);
        } catch (const bip::interprocess_exception& failure) {
            raise(failure.get_native_error(), "map it");
        }
    }

    /// Does to the mapping what this handle asked for.
    void prepare(const memory_options& memory) const {
        if (memory.huge != huge_pages::never) {
            const int error = os::use_huge_pages(region_.get_address(), region_.get_size());
            if (error != 0 && memory.huge == huge_pages::require) {
                raise_no_memory(
                    name_, "huge pages for " + bytes_text(region_.get_size()), error,
                    "needed are Linux 6.1, at least 2 MiB of queue and as much free memory in one piece (and not "
                    "`deny` in /sys/kernel/mm/transparent_hugepage/shmem_enabled); or ask for huge_pages::prefer");
            }
        }
        if (memory.prefault) {
            if (const int error = os::prefault(region_.get_address(), region_.get_size())) raise(error, "prefault it");
        }
        if (memory.lock) {
            if (const int error = os::lock_in_memory(region_.get_address(), region_.get_size())) {
                raise_no_memory(name_, "locking " + bytes_text(region_.get_size()) + " in memory", error,
                                "raise RLIMIT_MEMLOCK (ulimit -l), or don't ask for memory_options::lock");
            }
        }
    }

    /// Writes the first word of the object, which makes it 8 bytes long.
    void mark(std::uint64_t word) const { check_reserved(os::write_word(file_->descriptor(), word), sizeof word); }

    /// Makes the object `size` bytes long, all set aside, so that no later access can fail for want of memory.
    void reserve(std::uint64_t size) const { check_reserved(os::reserve(file_->descriptor(), size), size); }

    /// Throws if this process may not make an object of that size.
    static void check_allowed(const std::string& name, std::uint64_t size) {
        if (os::size_is_allowed(size)) return;
        raise_no_memory(name, bytes_text(size) + " of shared memory", EFBIG,
                        "ask for a smaller capacity, or raise RLIMIT_FSIZE (ulimit -f)");
    }

    [[nodiscard]] layout::header& header() const noexcept { return *at<layout::header>(0); }
    [[nodiscard]] layout::counters& counters() const noexcept { return *at<layout::counters>(layout::counters_offset); }

    template <class T>
    [[nodiscard]] T* at(std::uint64_t offset) const noexcept {
        return reinterpret_cast<T*>(static_cast<std::byte*>(region_.get_address()) + offset);
    }

    /// Takes a lock that somebody else may hold. False: somebody else does.
    [[nodiscard]] bool try_lock(std::int64_t byte, os::lock_kind kind) const {
        const int error = file_->lock(byte, kind);
        if (error != 0 && error != EAGAIN) raise(error, "lock a byte of it");
        return error == 0;
    }

    /// Throws what a failed system call comes to.
    [[noreturn]] void raise(int error, const std::string& intention) const { raise(name_, error, intention); }

private:
    // What Boost asks of something to be mapped; closed when it has been.
    struct mappable {
        int descriptor;
        explicit mappable(int opened) noexcept : descriptor(opened) {}
        mappable(const mappable&) = delete;
        mappable& operator=(const mappable&) = delete;
        ~mappable() {
            if (descriptor >= 0) os::close(descriptor);
        }
        [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept { return {descriptor, false}; }
        [[nodiscard]] static bip::mode_t get_mode() noexcept { return bip::read_write; }
    };

    explicit segment(std::string name) : name_(std::move(name)), file_(std::make_unique<shared_file>()) {}

    // Opens or creates; `expected` is the error that only means that it is not the turn of this call.
    template <class Open>
    static std::optional<segment> obtain(const std::string& name, int expected, Open open) {
        segment result(name);
        int failed = 0;
        try {
            const std::lock_guard no_fork(shared_file::process_mutex());
            const bip::shared_memory_object object = open();
            result.file_->adopt(os::duplicate(object.get_mapping_handle().handle));
            if (result.file_->descriptor() < 0) failed = errno;
        } catch (const bip::interprocess_exception& failure) {
            if (failure.get_native_error() == expected) return std::nullopt;
            raise(name, failure.get_native_error(), "open it");
        }
        if (failed != 0) {
            if (expected == EEXIST) result.unlink();  // we have made it, and can do nothing with it
            raise(name, failed, "open it");
        }
        return result;
    }

    [[noreturn]] static void raise(const std::string& name, int error, const std::string& intention) {
        const std::string found = "could not " + intention + ": " + std::generic_category().message(error);
        if (error == EACCES || error == EPERM) {
            throw queue_error(errc::no_permission, name,
                              found + "; reading and writing are needed: see options::permissions of its creator");
        }
        if (error == ENOMEM || error == ENOSPC) {
            throw queue_error(errc::no_memory, name, found + "; free some memory, or raise RLIMIT_AS (ulimit -v)");
        }
        const bool descriptors = error == EMFILE || error == ENFILE;
        throw queue_error(errc::system_failure, name,
                          found + (descriptors ? "; close some files, or raise RLIMIT_NOFILE (ulimit -n)"
                                               : "; see the system's documentation of this error"));
    }

    void check_reserved(int error, std::uint64_t size) const {
        if (error == ENOSPC || error == ENOMEM) {
            raise_no_memory(name_, bytes_text(size) + " of shared memory", error,
                            "ask for a smaller capacity, remove what is in /dev/shm, or make it larger (mount -o "
                            "remount,size=...; docker --shm-size)");
        }
        if (error != 0) raise(error, "reserve " + bytes_text(size) + " for it");
    }

    [[noreturn]] static void raise_no_memory(const std::string& name, const std::string& expected, int error,
                                             const std::string& advice) {
        throw queue_error(
            errc::no_memory, name,
            "expected " + expected + ", found: " + std::generic_category().message(error) + "; " + advice);
    }

    static std::string bytes_text(std::uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

    std::string name_;
    std::unique_ptr<shared_file> file_;
    bip::mapped_region region_;
};

}  // namespace promisqs::detail
