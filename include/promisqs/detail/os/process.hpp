// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace promisqs::detail::os {

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

}  // namespace promisqs::detail::os
