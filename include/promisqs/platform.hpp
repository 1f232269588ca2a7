// SPDX-License-Identifier: Apache-2.0
#pragma once

// All that depends on the operating system and the processor, except the shared memory object itself (segment.hpp).
// Functions that can fail return 0, or an `errno` value.

#if !defined(__linux__)
#error "promisqs runs on Linux: it needs open-file-description locks"
#endif

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>

namespace promisqs::platform {

/// Tells the processor that this is a spin loop.
inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    asm volatile("yield");
#endif
}

inline void yield() noexcept { ::sched_yield(); }

/// Sleeps for about 100 microseconds.
inline void nap() noexcept {
    const ::timespec duration{0, 100'000};
    ::nanosleep(&duration, nullptr);
}

inline std::uint64_t nanoseconds(::clockid_t clock) noexcept {
    ::timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}
inline std::uint64_t wall_clock() noexcept { return nanoseconds(CLOCK_REALTIME); }
inline std::uint64_t steady_clock() noexcept { return nanoseconds(CLOCK_MONOTONIC); }
/// The steady clock as it was some milliseconds ago or less, for a fraction of the cost.
inline std::uint64_t coarse_steady_clock() noexcept { return nanoseconds(CLOCK_MONOTONIC_COARSE); }

inline std::uint32_t process_id() noexcept { return static_cast<std::uint32_t>(::getpid()); }
inline std::uint32_t thread_id() noexcept { return static_cast<std::uint32_t>(::syscall(SYS_gettid)); }

/// Has the functions called around every `fork` of this process, the last one in the child.
inline int at_fork(void (*before)(), void (*parent)(), void (*child)()) noexcept {
    return ::pthread_atfork(before, parent, child);
}

/// Has `end` called when a thread ends that has given the result of `thread_end_key(end)` to `call_at_thread_end`; after its
/// thread_local objects are gone.
inline ::pthread_key_t thread_end_key(void (*end)(void*)) noexcept {
    ::pthread_key_t key{};
    static_cast<void>(::pthread_key_create(&key, end));
    return key;
}
inline void call_at_thread_end(::pthread_key_t key, void* argument) noexcept { ::pthread_setspecific(key, argument); }

/// A point of the steady clock that never comes.
inline constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

inline ::timespec to_timespec(std::uint64_t steady_time) noexcept {
    return {static_cast<::time_t>(steady_time / 1'000'000'000U), static_cast<long>(steady_time % 1'000'000'000U)};
}

/// Sleeps until somebody, in any process, calls `wake` for the same word of shared memory, if that still has the given value.
///
/// \return  0 when woken; EAGAIN, at once, for another value; ETIMEDOUT at `deadline`, by the steady clock; EINTR after a signal
inline int sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint64_t deadline) noexcept {
    const ::timespec until = to_timespec(deadline);
    const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, value, deadline == never ? nullptr : &until,
                                  nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 ? 0 : errno;
}

/// Wakes up to `count` of those that sleep on a word.
///
/// \return  how many
inline std::uint32_t wake(std::atomic<std::uint32_t>& word, std::uint32_t count) noexcept {
    const long woken = ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
    return woken < 0 ? 0 : static_cast<std::uint32_t>(woken);
}
inline constexpr std::uint32_t everybody = std::numeric_limits<std::int32_t>::max();

/// A word to sleep on, and the value that it must have, as the kernel wants it (`struct futex_waitv`, Linux 5.16).
struct watched_word {
    std::uint64_t value;
    std::uint64_t address;
    std::uint32_t flags;
    std::uint32_t reserved;

    static watched_word of(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
        constexpr std::uint32_t is_32_bits = 2;
        return {value, reinterpret_cast<std::uintptr_t>(&word), is_32_bits, 0};
    }
};
inline constexpr std::size_t most_watched_words = 128;

/// As `sleep_on`, on up to `most_watched_words` words at once. ENOSYS where the kernel can't.
inline int sleep_on_any(const watched_word* words, std::size_t count, std::uint64_t deadline) noexcept {
    constexpr long futex_waitv = 449;
    const ::timespec until = to_timespec(deadline);
    const long result = ::syscall(futex_waitv, words, count, 0, deadline == never ? nullptr : &until, CLOCK_MONOTONIC);
    return result >= 0 ? 0 : errno;
}

/// A descriptor that is readable between `signal_event` and `clear_event`; -1 on failure.
inline int make_event() noexcept { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
inline void signal_event(int event) noexcept {
    const std::uint64_t once = 1;
    static_cast<void>(!::write(event, &once, sizeof once));  // it can't be full
}
inline void clear_event(int event) noexcept {
    std::uint64_t count = 0;
    static_cast<void>(!::read(event, &count, sizeof count));
}

/// Blocks all signals in the calling thread; and in threads that it starts meanwhile, for good.
class signals_blocked {
public:
    signals_blocked() noexcept {
        ::sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    ::sigset_t before_{};
};

/// Has this process take part in the heavy barriers of others. False: the kernel refuses.
inline bool join_heavy_barriers() noexcept {
    return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}
/// Makes every thread that runs, in all processes that have joined, pass a full memory barrier: so that they need none themselves.
/// False: the kernel refuses.
inline bool heavy_barrier() noexcept { return ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0; }

/// Keeps the compiler from moving accesses to memory across it.
inline void compiler_barrier() noexcept { asm volatile("" ::: "memory"); }
/// Keeps the processor from it, too.
inline void full_barrier() noexcept { __sync_synchronize(); }

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

/// Sets up the page tables of a shared mapping.
inline int prefault(void* address, std::size_t size) noexcept {
    constexpr int populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14
    if (::madvise(address, size, populate_write) == 0) return 0;
    if (errno != EINVAL) return errno;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    for (std::size_t at = 0; at < size; at += page)
        static_cast<void>(static_cast<volatile unsigned char*>(address)[at]);
    return 0;
}

inline int lock_in_memory(void* address, std::size_t size) noexcept { return ::mlock(address, size) == 0 ? 0 : errno; }

inline constexpr std::size_t huge_page = std::size_t{2} << 20;

/// An address at which `size` bytes could be mapped on huge pages; null when there is none.
inline void* huge_address(std::size_t size) noexcept {
    void* probe = ::mmap(nullptr, size + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) return nullptr;
    ::munmap(probe, size + huge_page);
    return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(probe) + huge_page - 1) & ~(huge_page - 1));
}

/// Puts the whole huge pages of a mapping of a reserved shared object onto huge pages, now.
inline int use_huge_pages(void* address, std::size_t size) noexcept {
    constexpr int collapse = 25;  // MADV_COLLAPSE, Linux 6.1
    if (size < huge_page || reinterpret_cast<std::uintptr_t>(address) % huge_page != 0) return EINVAL;
    if (::madvise(address, size, MADV_HUGEPAGE) != 0) return errno;
    return ::madvise(address, size, collapse) == 0 ? 0 : errno;
}

}  // namespace promisqs::platform
