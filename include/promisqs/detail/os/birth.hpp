// SPDX-License-Identifier: Apache-2.0
#pragma once

// How an object comes into being: locked and marked before any other process can see it.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/object_name.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs::detail {

/// What the names of objects begin with that have no other name yet. No queue has such a name.
inline constexpr std::string_view temporary_prefix = ".promisqs-";

/// Removes what creators have left that were killed, of those that have to give temporary names. The lock of one that
/// is alive is in the way. Objects of other users may stay.
[[gnu::__cold__]] inline void remove_temporary_objects(const object_name& any) {
    const std::unique_ptr<::DIR, int (*)(::DIR*)> folder(::opendir(object_folder::path), &::closedir);
    while (const ::dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
        if (!std::string_view(entry->d_name).starts_with(temporary_prefix)) continue;
        const object_name left = any.beside(entry->d_name);
        const int file = left.open();
        if (file < 0) continue;
        const bool abandoned = os::lock_byte(file, layout::initialising_byte, os::lock_kind::exclusive) == 0;
        if (abandoned && left.leads_to(file)) left.remove();
        os::close(file);
    }
}

/// Makes an object and gives it its name. Until it has the name, it has none at all. Where the kernel, a sandbox or the
/// folder's file system can't do that, or /proc is missing, it has a temporary one.
///
/// \par If killed
///   before it has its name, nothing is left, or an object of a temporary name, which the next one that needs such a
///   name removes
class birth {
public:
    struct outcome {
        int error = 0;                 ///< 0; EEXIST: the name is taken; else another `errno`
        std::string_view intention{};  ///< what failed
    };

    [[gnu::__cold__]] explicit birth(const object_name& name) noexcept : name_(name) {}
    birth(const birth&) = delete;
    birth& operator=(const birth&) = delete;
    [[gnu::__cold__]] ~birth() { reset(); }

    /// The caller holds the process lock.
    [[gnu::__cold__]] outcome operator()(std::uint32_t permissions) {
        outcome result = without_name(permissions);
        if (result.error == 0) return result;
        reset();
        if (result.error == EEXIST) return result;
        remove_temporary_objects(name_);
        do result = by_temporary_name(permissions);
        while (result.error == EAGAIN);
        return result;
    }

    /// Hands the object's descriptor over.
    [[nodiscard]] int release() noexcept { return std::exchange(file_, -1); }

private:
    [[gnu::__cold__]] outcome without_name(std::uint32_t permissions) noexcept {
        file_ = name_.open_nameless();
        if (file_ < 0) return {errno, "create it"};
        if (const outcome failed = prepare(permissions); failed.error != 0) return failed;
        return name_.give_to(file_) ? outcome{} : outcome{errno, "give it its name"};
    }

    // EAGAIN: another process has taken the object for abandoned before it was locked.
    [[gnu::__cold__]] outcome by_temporary_name(std::uint32_t permissions) {
        static std::atomic<std::uint32_t> number = 0;
        const object_name temporary =
            name_.beside(concat({temporary_prefix, digits(os::process_id()), "-", digits(os::wall_clock()), "-",
                                 digits(number.fetch_add(1, std::memory_order_relaxed))}));
        file_ = temporary.open(O_CREAT | O_EXCL);
        if (file_ < 0) return {errno == EEXIST ? EAGAIN : errno, "create it"};  // of a process in another PID namespace
        outcome result = prepare(permissions);
        if (result.error == 0 && !temporary.leads_to(file_)) result.error = EAGAIN;
        if (result.error == 0 && !name_.give_to(temporary)) result = {errno, "give it its name"};
        if (result.error != EAGAIN) temporary.remove();
        if (result.error != 0) reset();
        return result;
    }

    [[gnu::__cold__]] outcome prepare(std::uint32_t permissions) const noexcept {
        if (::fchmod(file_, permissions) != 0) return {errno, "set its permissions"};
        if (const int error = os::lock_byte(file_, layout::initialising_byte, os::lock_kind::exclusive))
            return {error, "lock a byte of it"};
        return {os::write_word(file_, layout::unfinished_magic), "write its first 8 bytes"};
    }

    [[gnu::__cold__]] void reset() noexcept {
        if (file_ >= 0) os::close(file_);
        file_ = -1;
    }

    const object_name& name_;
    int file_ = -1;
};

}  // namespace promisqs::detail
