// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a thread waits: for a moment, for a word of shared memory to change, or until a point of a clock.

#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace promisqs::detail::os {

/// Tells the processor that this is a spin loop.
inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    asm volatile("yield");
#endif
}

inline void yield() noexcept { ::sched_yield(); }

/// Sleeps for about 100 microseconds, or so many nanoseconds below a second.
inline void nap(std::uint32_t nanoseconds = 100'000) noexcept {
    const ::timespec duration{0, static_cast<long>(nanoseconds)};
    // Not `nanosleep`: it is a cancellation point, and a thread that is cancelled in a noexcept function ends the
    // process.
    ::syscall(SYS_nanosleep, &duration, nullptr);
}

/// The time of a clock, in nanoseconds.
inline std::uint64_t nanoseconds(::clockid_t clock) noexcept {
    ::timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}
inline std::uint64_t wall_clock() noexcept { return nanoseconds(CLOCK_REALTIME); }
inline std::uint64_t steady_clock() noexcept { return nanoseconds(CLOCK_MONOTONIC); }
/// The steady clock as it was some milliseconds ago or less, for a fraction of the cost.
inline std::uint64_t coarse_steady_clock() noexcept { return nanoseconds(CLOCK_MONOTONIC_COARSE); }

/// A point of the steady clock that never comes.
inline constexpr std::uint64_t never = ~std::uint64_t{0};

inline ::timespec to_timespec(std::uint64_t steady_time) noexcept {
    return {static_cast<::time_t>(steady_time / 1'000'000'000U), static_cast<long>(steady_time % 1'000'000'000U)};
}

/// Sleeps until a thread of any process calls `wake` for the same word of shared memory, if the word still has the
/// given value.
///
/// \param deadline  by the steady clock, in nanoseconds
/// \return          0 when woken; EAGAIN, at once, if the word has another value; ETIMEDOUT at the deadline; EINTR
///                    after a signal
inline int sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint64_t deadline) noexcept {
    const ::timespec until = to_timespec(deadline);
    const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, value, deadline == never ? nullptr : &until,
                                  nullptr, FUTEX_BITSET_MATCH_ANY);
    return result == 0 ? 0 : errno;
}

/// Wakes up to `count` of the threads that sleep on a word.
///
/// \return  how many
inline std::uint32_t wake(std::atomic<std::uint32_t>& word, std::uint32_t count) noexcept {
    const long woken = ::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
    return woken < 0 ? 0 : static_cast<std::uint32_t>(woken);
}
inline constexpr std::uint32_t everybody = 0x7FFF'FFFF;

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

/// As `sleep_on`, on up to `most_watched_words` words at once. ENOSYS, or another error, where the kernel can't.
inline int sleep_on_any(const watched_word* words, std::size_t count, std::uint64_t deadline) noexcept {
    constexpr long futex_waitv = 449;
    const ::timespec until = to_timespec(deadline);
    const long result = ::syscall(futex_waitv, words, count, 0, deadline == never ? nullptr : &until, CLOCK_MONOTONIC);
    return result >= 0 ? 0 : errno;
}

/// A descriptor that is readable between `signal_event` and `clear_event`; -1 on failure.
inline int make_event() noexcept { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
// By bare system calls: `write` and `read` are cancellation points.
inline void signal_event(int event) noexcept {
    const std::uint64_t once = 1;
    ::syscall(SYS_write, event, &once, sizeof once);  // it can't be full
}
inline void clear_event(int event) noexcept {
    std::uint64_t count = 0;
    ::syscall(SYS_read, event, &count, sizeof count);
}

}  // namespace promisqs::detail::os
