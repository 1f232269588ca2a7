// SPDX-License-Identifier: Apache-2.0
#pragma once

// A participant's entry holds one claim at a time. While a user's callable runs between claim and publish, a second
// claim of the same thread in the same queue would overwrite the first one's intent, and leave it without an owner. So
// the guard hides the entry from the thread until the callable ends.

#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace promisqs::detail {

[[noreturn, gnu::__cold__]] inline void raise_in_callable(const std::string& queue) {
    raise(errc::in_callable, queue,
          {"expected neither a push, pop or peek of the same queue nor a return from fork() inside the callable of "
           "push_with or pop_with, found one; do it after the call, or through another handle, opened by its name"});
}

/// Throws if the calling thread has a claim open in the queue: it would wait for itself.
inline void refuse_in_callable(std::uint64_t file_id, const std::string& queue) {
    if (is_claimed(file_id)) raise_in_callable(queue);
}

/// Keeps the calling thread from pushing and popping in a queue.
class reentrancy_guard {
public:
    explicit reentrancy_guard(const entry_key& key) noexcept
        : node_{key.file_id(), claimed_queues}, place_(key.here()), known_(place_) {
        place_ = {};
        claimed_queues = &node_;
    }
    reentrancy_guard(const reentrancy_guard&) = delete;
    reentrancy_guard& operator=(const reentrancy_guard&) = delete;
    ~reentrancy_guard() {
        claimed_queues = node_.outer;
        if (!forked()) place_ = known_;
    }

    /// Whether this is a child forked since: the claim is its parent's.
    [[nodiscard]] bool forked() const noexcept { return forks_ != fork_count; }

private:
    claimed_queue node_;
    known_entry& place_;
    known_entry known_;
    std::uint64_t forks_ = fork_count;  // it changes only in a child, which has one thread then
};

/// Runs an action when it is left, by an exception or the end of the thread, unless it was dismissed before.
template <class Action>
class undo {
public:
    explicit undo(Action& action) noexcept : action_(action) {}
    undo(const undo&) = delete;
    undo& operator=(const undo&) = delete;
    ~undo() {
        if (armed_) action_();
    }
    void dismiss() noexcept { armed_ = false; }

private:
    Action& action_;
    bool armed_ = true;
};

/// Runs a user's callable while the calling thread has a claim open. If the callable exits by exception or thread exit,
/// `give_up` runs. A child that was forked in the callable has nothing to give up, nor to publish: the claim is its
/// parent's.
///
/// \throws  what the callable throws; `queue_error` with `errc::in_callable` in such a child
template <class Callable, class GiveUp>
void run_guarded(const entry_key& key, const std::string& queue, Callable callable, GiveUp give_up) {
    const reentrancy_guard guard(key);
    auto in_this_process = [&]() noexcept {
        if (!guard.forked()) give_up();
    };
    undo<decltype(in_this_process)> on_exit(in_this_process);
    callable();
    if (guard.forked()) raise_in_callable(queue);
    on_exit.dismiss();
}

}  // namespace promisqs::detail
