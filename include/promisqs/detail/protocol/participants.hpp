// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// Who a participant is, for people who look at the table.
struct participant_identity {
    std::uint32_t pid;
    std::uint32_t tid;
    std::uint64_t registered_at;  // nanoseconds since 1970
};

/// The shared table of those who use a queue: one entry for each thread and handle.
///
/// An entry is alive exactly as long as somebody holds its lock byte; the kernel lets go of that when the process is gone,
/// whatever ended it. `Locks` is what the system offers: `bool try_lock(std::uint32_t i)` and `void unlock(std::uint32_t i)`.
class participant_table {
public:
    participant_table(layout::participant* entries, std::uint32_t count, layout::counters& counters) noexcept
        : entries_(entries), count_(count), counters_(&counters) {}

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    [[nodiscard]] layout::participant& operator[](std::uint32_t i) const noexcept { return entries_[i]; }
    [[nodiscard]] std::uint32_t index_of(const layout::participant& entry) const noexcept {
        return static_cast<std::uint32_t>(&entry - entries_);
    }

    /// Takes a free entry. Threads that share `locks` must not call this at the same time, because a process can't shut
    /// itself out with such a lock.
    ///
    /// \return  the entry, locked and occupied; null when there is none
    /// \par If killed   the entry is free again, or occupied without a lock and without an intent
    template <class Locks>
    layout::participant* enlist(Locks& locks, const participant_identity& who) const {
        for (std::uint32_t i = 0; i < count_; ++i) {
            layout::participant& entry = entries_[i];
            // An occupied entry's lock is not touched: it may be one of ours, and unlocking it would give it up.
            // Acquire, pairs with the release in `leave`: the last owner is done with the entry.
            if (entry.occupied.load(std::memory_order_acquire) != 0 || !locks.try_lock(i)) continue;
            if (entry.occupied.load(std::memory_order_acquire) != 0) {  // somebody came, and died, in between
                locks.unlock(i);
                continue;
            }
            entry.push_intent.store(layout::no_ticket, std::memory_order_relaxed);
            entry.pop_intent.store(layout::no_ticket, std::memory_order_relaxed);
            entry.push_count.store(1, std::memory_order_relaxed);
            entry.pop_count.store(1, std::memory_order_relaxed);
            entry.pid.store(who.pid, std::memory_order_relaxed);
            entry.tid.store(who.tid, std::memory_order_relaxed);
            entry.registered_at.store(who.registered_at, std::memory_order_relaxed);
            // Release, pairs with the acquire in `collect_stats`: who sees the entry occupied does not see an earlier owner's intents.
            // Recovery does not need it: it goes by the entry's lock, and by the claims [R1], [R2] and [R3].
            entry.occupied.store(1, std::memory_order_release);
            return &entry;
        }
        return nullptr;
    }

    /// Gives an entry back; its owner has no claim open.
    ///
    /// \par If killed   occupied without a lock, with nothing to repair; or free
    template <class Locks>
    void leave(Locks& locks, layout::participant& entry) const noexcept {
        give_up_roles(index_of(entry));
        entry.occupied.store(0, std::memory_order_release);
        locks.unlock(index_of(entry));
    }

    /// Makes entry i the one that may use a side that is declared to have a single participant.
    ///
    /// \return  whether it is
    [[nodiscard]] bool take_role(role which, std::uint32_t i) const noexcept {
        std::uint32_t holder = 0;
        // [S3] acquire, pairs with [S4]: all that the one before has done is seen, above all how far the counter is that only the
        // holder moves, by plain stores. Relaxed would let it go back.
        return holder_of(which).compare_exchange_strong(holder, i + 1, std::memory_order_acquire,
                                                        std::memory_order_relaxed) ||
               holder == i + 1;
    }

    /// Gives up what entry i has of that; it has no claim open.
    void give_up_roles(std::uint32_t i) const noexcept {
        for (const role which : {role::producer, role::consumer}) {
            std::uint32_t holder = i + 1;
            // [S4] release, pairs with [S3]. Failing: it is somebody else's.
            holder_of(which).compare_exchange_strong(holder, 0, std::memory_order_release, std::memory_order_relaxed);
        }
    }

    /// The index of the entry that has a single side, plus 1; 0: none.
    [[nodiscard]] std::atomic<std::uint32_t>& holder_of(role which) const noexcept {
        return which == role::producer ? counters_->sole_producer : counters_->sole_consumer;
    }

private:
    layout::participant* entries_;
    std::uint32_t count_;
    layout::counters* counters_;
};

}  // namespace promisqs::detail
