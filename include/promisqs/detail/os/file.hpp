// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace promisqs::detail::os {

enum class lock_kind : short { shared = F_RDLCK, exclusive = F_WRLCK, none = F_UNLCK };

/// Takes, changes or drops the lock on one byte of a file, without waiting. The lock belongs to the open file description:
/// every descriptor made by `open` has its own, copies made by `dup` and `fork` share it. The kernel drops it with the last
/// copy, so when the process is killed.
///
/// \return  0; EAGAIN when somebody else's lock is in the way; other values are failures
inline int lock_byte(int file, std::int64_t byte, lock_kind kind) noexcept {
    struct ::flock range {};
    range.l_type = static_cast<short>(kind);
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    for (;;) {
        if (::fcntl(file, F_OFD_SETLK, &range) == 0) return 0;
        if (errno != EINTR) return errno == EACCES ? EAGAIN : errno;
    }
}

/// Whether a lock of somebody else's would be in the way of an exclusive one.
inline bool byte_is_locked(int file, std::int64_t byte) noexcept {
    struct ::flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    return ::fcntl(file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

inline void close(int file) noexcept { ::close(file); }

/// A second descriptor of the same open file description, which `exec` closes; -1 on failure. Never 0 to 2, to which a
/// program may write without having opened anything.
inline int duplicate(int file) noexcept { return ::fcntl(file, F_DUPFD_CLOEXEC, 3); }

/// A descriptor of the same file with an open file description of its own; -1 on failure.
inline int reopen(int file) noexcept {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    const int opened = ::open(path, O_RDWR | O_CLOEXEC);
    if (opened < 0 || opened > 2) return opened;
    const int higher = duplicate(opened);
    const int error = errno;
    close(opened);
    errno = error;
    return higher;
}

/// The size in bytes; -1 on failure.
inline std::int64_t size_of(int file) noexcept {
    struct ::stat found {};
    return ::fstat(file, &found) == 0 ? static_cast<std::int64_t>(found.st_size) : -1;
}

inline bool is_regular(int file) noexcept {
    struct ::stat found {};
    return ::fstat(file, &found) == 0 && S_ISREG(found.st_mode);
}

/// Whether the shared memory object of this name is this file. Needs neither a descriptor nor permissions.
inline bool object_is(const char* name, int file) noexcept {
    char path[300];
    struct ::stat named {};
    struct ::stat open {};
    std::snprintf(path, sizeof path, "/dev/shm/%s", name);
    return ::lstat(path, &named) == 0 && ::fstat(file, &open) == 0 && named.st_dev == open.st_dev &&
           named.st_ino == open.st_ino;
}

/// Whether this process may make a file of that size. Beyond the limit the kernel would not refuse, but end the process with
/// SIGXFSZ.
inline bool size_is_allowed(std::uint64_t size) noexcept {
    ::rlimit limit{};
    return ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur;
}

/// Makes the file `size` bytes long and has the system set the memory aside, so that no later access can fail for want of it.
inline int reserve(int file, std::uint64_t size) noexcept {
    // What can't fit is refused before it takes up what there is.
    struct ::statvfs space {};
    if (::fstatvfs(file, &space) == 0 && space.f_blocks != 0 && size / space.f_frsize > space.f_bavail) return ENOSPC;
    // In pieces: some kernels undo a call that a signal interrupts, and signals may come faster than gigabytes. Others, who
    // wait for the object, see it grow.
    constexpr std::uint64_t piece = std::uint64_t{32} << 20;
    for (std::uint64_t done = 0; done < size;) {
        const std::uint64_t length = size - done < piece ? size - done : piece;
        const int error = ::posix_fallocate(file, static_cast<::off_t>(done), static_cast<::off_t>(length));
        if (error != 0 && error != EINTR) return error;
        if (error == 0) done += length;
    }
    return 0;
}

/// Reads or writes 8 bytes at the start of a file, as it was before any mapping.
inline bool read_word(int file, std::uint64_t& word) noexcept {
    return ::pread(file, &word, sizeof word, 0) == static_cast<::ssize_t>(sizeof word);
}
inline int write_word(int file, std::uint64_t word) noexcept {
    const ::ssize_t written = ::pwrite(file, &word, sizeof word, 0);
    if (written == static_cast<::ssize_t>(sizeof word)) return 0;
    return written < 0 ? errno : ENOSPC;
}

}  // namespace promisqs::detail::os
