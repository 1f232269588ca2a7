// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/birth.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/object_name.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/permissions.hpp>
#include <boost/interprocess/shared_memory_object.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs::detail {

namespace bip = boost::interprocess;

/// A shared memory object: its name, its file with the locks, and its mapping. The only place that knows
/// Boost.Interprocess, none of whose exceptions leaves it.
class segment {
public:
    /// Makes the object, marked as unfinished, with its `initialising` byte locked, and gives it its name only then.
    /// Nothing when the name is taken.
    [[gnu::__cold__]] static std::optional<segment> make(const std::string& name, std::uint32_t permissions) {
        std::optional<segment> result(named(name));
        birth attempt(result->file_->name());
        birth::outcome outcome;
        {
            const os::process_lock no_fork;
            outcome = attempt(permissions);
            if (outcome.error == 0) result->file_->adopt(attempt.release());
        }
        if (outcome.error == EEXIST) return std::nullopt;
        if (outcome.error != 0) raise_system_error(name, outcome.error, outcome.intention);
        return result;
    }

    /// Opens the object. Nothing when there is none of that name.
    [[gnu::__cold__, gnu::__noinline__]] static std::optional<segment> find(const std::string& name) {
        std::optional<segment> result(named(name));
        if (result->file_->name().is_free()) return std::nullopt;  // an exception takes 50 times as long
        int failed = 0;
        try {
            const os::process_lock no_fork;
            const bip::shared_memory_object object(bip::open_only, name.c_str(), bip::read_write);
            result->file_->adopt(os::duplicate(object.get_mapping_handle().handle));
            if (result->file_->descriptor() < 0) failed = errno;
        } catch (const bip::interprocess_exception& failure) {
            failed = failure.get_native_error();
        }
        if (failed == ENOENT) return std::nullopt;
        if (failed != 0) raise_system_error(name, failed, "open it");
        return result;
    }

    segment(const segment&) = delete;
    segment& operator=(const segment&) = delete;
    // Out of line: each use of them inline is some hundred bytes.
    [[gnu::__cold__, gnu::__noinline__]] segment(segment&&) noexcept = default;
    segment& operator=(segment&&) = delete;
    [[gnu::__cold__, gnu::__noinline__]] ~segment() = default;

    [[nodiscard]] const std::string& name() const noexcept { return file_->name().text(); }
    [[nodiscard]] shared_file& file() const noexcept { return *file_; }

    /// Whether the name still leads to this very object.
    [[nodiscard]] bool is_named() const noexcept { return file_->name().leads_to(file_->descriptor()); }

    /// Removes the name. Processes that have the object open can go on with it. False: this process may not remove it.
    [[gnu::__cold__]] bool unlink() const noexcept { return file_->name().remove(); }

    /// Maps the first `size` bytes, which the object must have.
    ///
    /// A mapping keeps the open file description alive from which it was made, and a forked child inherits the mapping.
    /// A mapping made from the description with our locks would keep them after our death. So this makes it from
    /// another one.
    [[gnu::__cold__]] void map(std::uint64_t size, huge_pages huge) {
        const std::size_t bytes = size;
        const os::process_lock no_fork;  // a child would inherit the descriptor
        const mappable source{file_->reopen()};
        if (source.descriptor < 0) raise(errno, "open it once more, through /proc/self/fd,");
        for (const void* address = huge == huge_pages::never ? nullptr : os::huge_address(bytes);; address = nullptr) {
            try {
                region_ = bip::mapped_region(source, bip::read_write, 0, bytes, address);
                return;
            } catch (const bip::interprocess_exception& failure) {
                // Another thread may have taken that address. Any other will do, only not for huge pages.
                if (address == nullptr) raise(failure.get_native_error(), "map it");
            }
        }
    }

    /// Does to the mapping what this handle asked for.
    [[gnu::__cold__]] void prepare(const memory_options& memory) const {
        if (memory.huge != huge_pages::never) use_huge_pages(memory.huge);
        if (memory.prefault) {
            if (const int error = os::prefault(region_.get_address(), region_.get_size())) raise(error, "prefault it");
        }
        if (!memory.lock) return;
        if (const int error = os::lock_in_memory(region_.get_address(), region_.get_size())) {
            raise_no_memory({"locking ", digits(region_.get_size()), " bytes in memory"}, error,
                            "raise RLIMIT_MEMLOCK (ulimit -l), or don't ask for memory_options::lock");
        }
    }

    /// Makes the object an unfinished one.
    ///
    /// \return  0, or an `errno`
    [[gnu::__cold__]] int mark_unfinished() const noexcept {
        return os::write_word(file_->descriptor(), layout::unfinished_magic);
    }

    /// Gives back the memory of all but the first word. The object keeps its length, for other processes may have it
    /// mapped.
    ///
    /// \return  0, or an `errno`
    [[gnu::__cold__]] int clear() const noexcept {
        return os::clear(file_->descriptor(), sizeof layout::header::magic);
    }

    /// Makes the object `size` bytes long, all set aside, so that no later access can fail for want of memory.
    [[gnu::__cold__]] void reserve(std::uint64_t size) const {
        check_reserved(os::reserve(file_->descriptor(), size), size);
    }

    [[nodiscard]] layout::header& header() const noexcept { return *at<layout::header>(0); }
    [[nodiscard]] layout::counters& counters() const noexcept { return *at<layout::counters>(layout::counters_offset); }

    template <class T>
    [[nodiscard]] T* at(std::uint64_t offset) const noexcept {
        return static_cast<T*>(static_cast<void*>(static_cast<std::byte*>(region_.get_address()) + offset));
    }

    /// Takes a lock without waiting. False: another description has one that is in the way.
    [[nodiscard]] bool try_lock(std::int64_t byte, os::lock_kind kind) const {
        const int error = file_->lock(byte, kind);
        if (error != 0 && error != EAGAIN) raise(error, "lock a byte of it");
        return error == 0;
    }

    /// Throws the error that stands for a failed system call. `intention`: what the call was for.
    [[noreturn, gnu::__cold__]] void raise(int error, std::string_view intention) const {
        raise_system_error(name(), error, intention);
    }

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

    [[gnu::__cold__]] explicit segment(object_name name) : file_(std::make_unique<shared_file>(std::move(name))) {}

    [[gnu::__cold__]] static segment named(const std::string& name) {
        os::process_lock lock;
        auto folder = object_folder::current();
        lock.unlock();
        if (!folder) raise_system_error(name, errno, concat({"open ", object_folder::path}));
        return segment(object_name(std::move(folder), name));
    }

    void use_huge_pages(huge_pages huge) const {
        const int error = os::use_huge_pages(region_.get_address(), region_.get_size());
        if (error == 0 || huge != huge_pages::require) return;
        raise_no_memory({"huge pages for ", digits(region_.get_size()), " bytes"}, error,
                        "needed are Linux 6.1, at least 2 MiB of queue and as much free memory in one piece (and not "
                        "`deny` in /sys/kernel/mm/transparent_hugepage/shmem_enabled); or ask for huge_pages::prefer");
    }

    [[noreturn, gnu::__cold__, gnu::__noinline__]] static void raise_system_error(std::string_view name, int error,
                                                                                  std::string_view intention) {
        auto code = errc::system_failure;
        std::string_view advice = "see the system's documentation of this error";
        if (error == EACCES || error == EPERM) {
            code = errc::no_permission;
            advice = "reading and writing are needed: see options::permissions of its creator";
        } else if (error == ENOMEM || error == ENOSPC) {
            code = errc::no_memory;
            advice = "free some memory, or raise RLIMIT_AS (ulimit -v)";
        } else if (error == EMFILE || error == ENFILE) {
            advice = "close some files, or raise RLIMIT_NOFILE (ulimit -n)";
        }
        detail::raise(code, name, {"could not ", intention, ": ", system_message(error), "; ", advice});
    }

    [[gnu::__cold__]] void check_reserved(int error, std::uint64_t size) const {
        if (error == 0) return;
        const digits bytes(size);
        if (error != ENOSPC && error != ENOMEM) raise(error, concat({"reserve ", bytes, " bytes for it"}));
        raise_no_memory({bytes, " bytes of shared memory"}, error,
                        "ask for a smaller capacity, remove what is in /dev/shm, or make it larger (mount -o "
                        "remount,size=...; docker --shm-size)");
    }

    [[noreturn, gnu::__cold__, gnu::__noinline__]] void raise_no_memory(
        std::initializer_list<std::string_view> expected, int error, std::string_view advice) const {
        detail::raise(errc::no_memory, name(),
                      {"expected ", concat(expected), ", found: ", system_message(error), "; ", advice});
    }

    std::unique_ptr<shared_file> file_;
    bip::mapped_region region_;
};

}  // namespace promisqs::detail
