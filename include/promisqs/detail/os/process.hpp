// SPDX-License-Identifier: Apache-2.0
#pragma once

// This process and its threads: their ids, what happens at a fork and at a thread's end, signals, and the process lock.

#include <cxxabi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

// Default visibility: one instance for each process, even across libraries that are built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs::detail::os {

inline std::uint32_t process_id() noexcept { return static_cast<std::uint32_t>(::getpid()); }
inline std::uint32_t thread_id() noexcept { return static_cast<std::uint32_t>(::syscall(SYS_gettid)); }

/// A number that no other caller gets. Not 0.
inline std::uint64_t unique_number() noexcept {
    constexpr unsigned without_waiting = 1;  // GRND_NONBLOCK
    std::uint64_t number = 0;
    if (::syscall(SYS_getrandom, &number, sizeof number, without_waiting) != static_cast<long>(sizeof number)) {
        struct ::timespec now {};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        number = static_cast<std::uint64_t>(now.tv_sec) << 32 ^ static_cast<std::uint64_t>(now.tv_nsec) ^
                 std::uint64_t{process_id()} << 40;
    }
    return number == 0 ? 1 : number;
}

/// Has three functions called around every `fork` of this process: `before` and `parent` in the parent, `child` in the
/// child.
inline int at_fork(void (*before)(), void (*parent)(), void (*child)()) noexcept {
    return ::pthread_atfork(before, parent, child);
}

/// Stands for the library or program that contains this code: the `__dso_handle` of the C++ ABI, which compilers
/// declare, too, each in a way of its own.
[[gnu::__visibility__("hidden")]] extern void* this_library asm("__dso_handle");

/// Has `end` called when the calling thread ends, as the destructor of a `thread_local` object would be that is made
/// now. A thread that is ending already may call this again, which it could not do with such an object. The library
/// that contains this code is not unloaded before (so it is inlined). Not a key of `pthread_key_create`: a process has
/// 1024 of them, and a library that is unloaded leaves its destructors behind.
///
/// \return  false if there is no memory
[[nodiscard]] [[gnu::__always_inline__]] inline bool call_at_thread_end(void (*end)(void*)) noexcept {
    return abi::__cxa_thread_atexit(end, nullptr, &this_library) == 0;
}

/// Ends the calling thread, if it was cancelled (`pthread_cancel`): unwinds as an exception would.
inline void test_cancellation() { ::pthread_testcancel(); }

/// A point at which the calling thread may be cancelled (pthread_cancel), and then none for as long as this lives. What
/// it would be cancelled in may be a destructor, of Boost's, for one: that would end the process.
class cancellation_point {
public:
    cancellation_point() {
        ::pthread_testcancel();
        ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_);
    }
    cancellation_point(const cancellation_point&) = delete;
    cancellation_point& operator=(const cancellation_point&) = delete;
    ~cancellation_point() { ::pthread_setcancelstate(before_, nullptr); }

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

/// Names the calling thread, for people who look at the program's threads. Up to 15 characters.
inline void name_thread(const char* name) noexcept { ::pthread_setname_np(::pthread_self(), name); }

/// Blocks all signals in the calling thread. Threads that it starts while this lives have them blocked for good.
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

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wzero-as-null-pointer-constant"  // of PTHREAD_MUTEX_INITIALIZER
/// A plain mutex of the system: `<mutex>` is slow to compile.
class mutex {
public:
    void lock() noexcept { ::pthread_mutex_lock(&mutex_); }
    void unlock() noexcept { ::pthread_mutex_unlock(&mutex_); }

private:
    ::pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};
#pragma GCC diagnostic pop

/// Holds a mutex.
class mutex_lock {
public:
    explicit mutex_lock(mutex& held) noexcept : held_(held) { held_.lock(); }
    mutex_lock(const mutex_lock&) = delete;
    mutex_lock& operator=(const mutex_lock&) = delete;
    ~mutex_lock() { held_.unlock(); }

private:
    mutex& held_;
};

/// The mutex of this process that every fork holds, too, so that a child sees nothing half-done of what is done under
/// it. Only for short sections that don't wait.
class process_mutex : public mutex {
public:
    static process_mutex& instance() noexcept {
        static constinit process_mutex only_one;
        return only_one;
    }
};

/// Holds the process mutex.
class process_lock {
public:
    process_lock() noexcept { process_mutex::instance().lock(); }
    process_lock(const process_lock&) = delete;
    process_lock& operator=(const process_lock&) = delete;
    ~process_lock() {
        if (held_) process_mutex::instance().unlock();
    }

    /// Gives it up early.
    void unlock() noexcept {
        process_mutex::instance().unlock();
        held_ = false;
    }

private:
    bool held_ = true;
};

}  // namespace promisqs::detail::os

#pragma GCC visibility pop
