// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace promisqs::detail {

/// Keeps the calling thread from pushing and popping in a queue.
class reentrancy_guard {
public:
    explicit reentrancy_guard(const session::key& key) noexcept
        : node_{key.file_id_, claimed_queues},
          known_{known_entries[role::producer][key.place_], known_entries[role::consumer][key.place_]},
          place_(key.place_) {
        for (auto& table : known_entries.of_roles) table[place_].file_id = 0;
        claimed_queues = &node_;
    }
    reentrancy_guard(const reentrancy_guard&) = delete;
    reentrancy_guard& operator=(const reentrancy_guard&) = delete;
    ~reentrancy_guard() {
        claimed_queues = node_.outer;
        if (forked()) return;
        for (std::size_t i = 0; i < known_.size(); ++i) known_entries.of_roles[i][place_] = known_[i];
    }

    /// Whether this is a child forked meanwhile: the claim is its parent's.
    [[nodiscard]] bool forked() const noexcept { return forks_ != shared_file::forks(); }

private:
    claimed_queue node_;
    std::array<known_entry, 2> known_;
    std::size_t place_;
    std::uint64_t forks_ = shared_file::forks();  // it changes only in a child, which has one thread then
};

/// Does something when it is left, by an exception or the end of the thread, before it is dismissed.
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

/// Runs a user's callable while the calling thread has a claim open. However it is left without having returned, `give_up`
/// gives the claim up. A child that was forked in it has nothing to give up, nor to publish: the claim is its parent's.
///
/// \par Throws  what the callable throws; `queue_error` with `errc::in_callable` in such a child
template <class Callable, class GiveUp>
void run_in_place(const session::key& key, const std::string& queue, Callable callable, GiveUp give_up) {
    const reentrancy_guard open(key);
    auto in_this_process = [&]() noexcept {
        if (!open.forked()) give_up();
    };
    undo<decltype(in_this_process)> on_exit(in_this_process);
    callable();
    if (open.forked()) raise_in_callable(queue);
    on_exit.dismiss();
}

/// Leaves a claimed message to somebody else; waits for the end of a recovery if its state can't grow any more.
template <class Memory>
void requeue(session& owner, const ring<Memory>& ring, layout::participant& me, const claim& mine) noexcept {
    if (ring.requeue(me, mine)) return;
    while (!owner.between_recoveries([&] { ring.requeue_locked(me, mine); })) os::nap();
}

}  // namespace promisqs::detail
