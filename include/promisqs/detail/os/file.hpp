// SPDX-License-Identifier: Apache-2.0
#pragma once

// A file by its descriptor: the locks on its bytes, its size, its first word.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

namespace promisqs::detail::os {

static_assert(sizeof(::off_t) == 8, "build with -D_FILE_OFFSET_BITS=64: the lock bytes lie beyond 32-bit offsets");

enum class lock_kind : short { shared = F_RDLCK, exclusive = F_WRLCK, none = F_UNLCK };

/// The range of one byte.
inline struct ::flock byte_range(std::int64_t byte, lock_kind kind) noexcept {
    struct ::flock range {};
    range.l_type = static_cast<short>(kind);
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    return range;
}

/// Takes, changes or drops the lock on one byte of a file, without waiting.
///
/// The lock belongs to the open file description. Each `open` makes a description of its own; the copies that `dup` and
/// `fork` make share one. The kernel drops the lock with the last copy, so also when the process is killed.
///
/// \return  0; EAGAIN when a lock of another description is in the way; other values are failures
inline int lock_byte(int file, std::int64_t byte, lock_kind kind) noexcept {
    struct ::flock range = byte_range(byte, kind);
    for (;;) {
        if (::fcntl(file, F_OFD_SETLK, &range) == 0) return 0;
        if (errno != EINTR) return errno == EACCES ? EAGAIN : errno;
    }
}

/// Whether a lock of another description would be in the way of an exclusive one.
inline bool byte_is_locked(int file, std::int64_t byte) noexcept {
    struct ::flock range = byte_range(byte, lock_kind::exclusive);
    return ::fcntl(file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

// `close` and `open` of the C library are cancellation points: a thread that is cancelled there, in a noexcept
// function, ends the process. The bare system calls are none.

inline void close(int file) noexcept { ::syscall(SYS_close, file); }

/// A second descriptor of the same open file description, which `exec` closes; -1 on failure. Never 0 to 2, to which
/// programs write without having opened them.
inline int duplicate(int file) noexcept { return ::fcntl(file, F_DUPFD_CLOEXEC, 3); }

/// A descriptor of the same file with an open file description of its own; -1 on failure. Never 0 to 2.
inline int reopen(int file) noexcept {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    const int opened = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_LARGEFILE));
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
    return ::fstat(file, &found) == 0 ? found.st_size : -1;
}

inline bool is_regular(int file) noexcept {
    struct ::stat found {};
    return ::fstat(file, &found) == 0 && S_ISREG(found.st_mode);
}

/// Whether the shared memory object of this name is this file. Needs no permission on the object.
inline bool object_is(const char* name, int file) noexcept {
    char path[300];
    struct ::stat named {};
    struct ::stat open {};
    std::snprintf(path, sizeof path, "/dev/shm/%s", name);
    return ::lstat(path, &named) == 0 && ::fstat(file, &open) == 0 && named.st_dev == open.st_dev &&
           named.st_ino == open.st_ino;
}

/// Removes the name of a shared memory object.
inline bool remove_object(const char* name) noexcept {
    char path[300];
    std::snprintf(path, sizeof path, "/dev/shm/%s", name);
    return ::unlink(path) == 0;
}

/// Whether this process may make a file of that size, in bytes. Beyond the limit the kernel sends SIGXFSZ, which ends
/// the process.
inline bool size_is_allowed(std::uint64_t size) noexcept {
    ::rlimit limit{};
    return ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || size <= limit.rlim_cur;
}

/// Makes the file `size` bytes long, and has the system set all of it aside. No later access can fail for want of
/// memory.
///
/// \return  0, or an `errno`
inline int reserve(int file, std::uint64_t size) {
    // Refuses what can't fit before it takes up what there is.
    struct ::statvfs space {};
    if (::fstatvfs(file, &space) == 0 && space.f_blocks != 0 && size / space.f_frsize > space.f_bavail) return ENOSPC;
    // In pieces: some kernels undo a call that a signal interrupts, and signals may come faster than gigabytes. And the
    // processes that wait for the object see it grow.
    constexpr std::uint64_t piece = std::uint64_t{32} << 20;
    for (std::uint64_t done = 0; done < size;) {
        const std::uint64_t length = size - done < piece ? size - done : piece;
        const int error = ::posix_fallocate(file, static_cast<::off_t>(done), static_cast<::off_t>(length));
        if (error != 0 && error != EINTR) return error;
        if (error == 0) done += length;
    }
    return 0;
}

/// Reads the first 8 bytes, without a mapping. False: there are not so many.
inline bool read_word(int file, std::uint64_t& word) {
    return ::pread(file, &word, sizeof word, 0) == static_cast<::ssize_t>(sizeof word);
}
/// Writes the first 8 bytes, without a mapping.
///
/// \return  0, or an `errno`
inline int write_word(int file, std::uint64_t word) {
    const ::ssize_t written = ::pwrite(file, &word, sizeof word, 0);
    if (written == static_cast<::ssize_t>(sizeof word)) return 0;
    return written < 0 ? errno : ENOSPC;
}

}  // namespace promisqs::detail::os
