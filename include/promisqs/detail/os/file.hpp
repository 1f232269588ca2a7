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

/// A second descriptor of the same open file description, which `exec` closes; -1 on failure. Never 0 to 2.
inline int duplicate(int file) noexcept { return ::fcntl(file, F_DUPFD_CLOEXEC, 3); }

/// The same descriptor, but never 0 to 2, to which programs write without having opened them.
inline int above_standard(int file) noexcept {
    if (file < 0 || file > 2) return file;
    const int higher = duplicate(file);
    const int error = errno;
    close(file);
    errno = error;
    return higher;
}

/// Where a process finds a file that it has open.
struct descriptor_path {
    char text[32];
};
inline descriptor_path path_of(int file) noexcept {
    descriptor_path result{};
    std::snprintf(result.text, sizeof result.text, "/proc/self/fd/%d", file);
    return result;
}

/// A descriptor of the same file with an open file description of its own; -1 on failure. Never 0 to 2.
inline int reopen(int file) noexcept {
    return above_standard(
        static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path_of(file).text, O_RDWR | O_CLOEXEC | O_LARGEFILE)));
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

/// Whether a descriptor is of the file that `stat` has described.
inline bool is_file(int file, const struct ::stat& described) noexcept {
    struct ::stat open {};
    return ::fstat(file, &open) == 0 && open.st_dev == described.st_dev && open.st_ino == described.st_ino;
}

inline bool is_same_file(int file, int other) noexcept {
    struct ::stat found {};
    return ::fstat(other, &found) == 0 && is_file(file, found);
}

/// The permissions, as in `chmod`; 0 on failure.
inline std::uint32_t permissions_of(int file) noexcept {
    struct ::stat found {};
    return ::fstat(file, &found) == 0 ? found.st_mode & 0777U : 0;
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
    // In pieces: some kernels undo a call that a signal interrupts, and signals may come faster than gigabytes.
    constexpr std::uint64_t piece = std::uint64_t{32} << 20;
    for (std::uint64_t done = 0; done < size;) {
        const std::uint64_t length = size - done < piece ? size - done : piece;
        const int error = ::posix_fallocate(file, static_cast<::off_t>(done), static_cast<::off_t>(length));
        if (error != 0 && error != EINTR) return error;
        if (error == 0) done += length;
    }
    return 0;
}

/// Gives back the memory of a file from `begin` on, which then reads as zeroes. Its length stays: other processes may
/// have it mapped.
///
/// \return  0, or an `errno`
inline int clear(int file, std::int64_t begin) noexcept {
    const std::int64_t size = size_of(file);
    if (size <= begin) return size < 0 ? errno : 0;
    // The bare system call is no cancellation point; on 32 bits it takes the offsets in halves.
    constexpr int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    const std::int64_t length = size - begin + 65536;  // all of the last page, too
    const long result =
        sizeof(long) == 8 ? ::syscall(SYS_fallocate, file, how, begin, length) : ::fallocate(file, how, begin, length);
    return result == 0 ? 0 : errno;
}

/// Reads 8 bytes, without a mapping. False: there are not so many.
inline bool read_word(int file, std::uint64_t& word, std::int64_t offset = 0) {
    return ::pread(file, &word, sizeof word, offset) == static_cast<::ssize_t>(sizeof word);
}
/// Writes the first 8 bytes, without a mapping.
///
/// \return  0, or an `errno`
inline int write_word(int file, std::uint64_t word) noexcept {
    // The bare system call is no cancellation point. The zeroes are the offset, in all of its forms.
    const long written = ::syscall(SYS_pwrite64, file, &word, sizeof word, 0L, 0L, 0L);
    if (written == static_cast<long>(sizeof word)) return 0;
    return written < 0 ? errno : ENOSPC;
}

}  // namespace promisqs::detail::os
