// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// What the table says about a participant: for people, but for `process`, and for a `tid` of 0.
struct participant_identity {
    std::uint32_t pid;
    std::uint32_t tid;            // 0: it is no thread, but holds messages for its process
    std::uint64_t registered_at;  // nanoseconds since 1970
    std::uint64_t process;        // a number that no other process has; 0: unknown
};

/// The shared table of a queue's participants: one entry for each thread and handle, and one for each row of messages
/// that a process holds (held_batch.hpp).
///
/// An entry's owner is alive exactly as long as its process holds the entry's lock byte. The kernel drops that lock
/// when the process is gone, whatever ended it. `Locks` is what the system offers: `bool try_lock(std::uint32_t i)` and
/// `void unlock(std::uint32_t i)`.
class participant_table {
public:
    participant_table(layout::participant* entries, std::uint32_t count, layout::counters& counters) noexcept
        : entries_(entries), count_(count), counters_(&counters) {}

    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    /// How many entries, from the first one on, have ever been taken. Nothing that matters depends on it.
    [[nodiscard]] std::uint32_t used() const noexcept {
        const std::uint32_t used = counters_->entries_used.load(std::memory_order_relaxed);
        return used < count_ ? used : count_;
    }
    [[nodiscard]] layout::participant& operator[](std::uint32_t i) const noexcept { return entries_[i]; }
    [[nodiscard]] std::uint32_t index_of(const layout::participant& entry) const noexcept {
        return static_cast<std::uint32_t>(&entry - entries_);
    }

    /// A number of the process of an entry's owner, which its other entries have, too. 0: unknown.
    [[nodiscard]] static std::uint64_t process_of(const layout::participant& entry) noexcept {
        return entry.process.load(std::memory_order_relaxed);  // nothing that matters depends on it: see liveness.hpp
    }

    /// False: the entry's owner holds messages for its process. It does not work at them, so that its death is none of
    /// their doing.
    [[nodiscard]] static bool is_of_a_thread(const layout::participant& entry) noexcept {
        return entry.tid.load(std::memory_order_relaxed) != 0;  // written before the owner's first claim: [R2], [R3]
    }

    /// Whether entry i looks free at the moment. False, too, if there is no such entry.
    [[nodiscard]] bool seems_free(std::uint32_t i) const noexcept {
        return i < count_ && entries_[i].occupied.load(std::memory_order_relaxed) == 0;
    }
    /// The first of so many entries in a row that look free. 0, if there are none.
    [[nodiscard]] std::uint32_t find_gap(std::uint64_t wanted) const noexcept {
        std::uint32_t gap = 0;
        for (std::uint32_t i = 0; i < count_ && gap < wanted; ++i) {
            gap = seems_free(i) ? gap + 1 : 0;
            if (gap == wanted) return i + 1 - gap;
        }
        return 0;
    }

    /// Takes a free entry. Threads that share `locks` must not call this at the same time, because a process can't shut
    /// itself out with such a lock.
    ///
    /// \param first     the entry to begin the search with
    /// \return          the entry, locked and occupied; null when there is none
    /// \par If killed
    ///   the entry is free again, or occupied without a lock and without an intent
    template <class Locks>
    layout::participant* enlist(Locks& locks, const participant_identity& identity, std::uint32_t first = 0) const {
        for (std::uint32_t tried = 0; tried < count_; ++tried) {
            const std::uint32_t i = tried < count_ - first ? first + tried : tried - (count_ - first);
            layout::participant& entry = entries_[i];
            // An occupied entry's lock is not touched: it may be one of ours, and unlocking it would give it up.
            // [A1] acquire, pairs with [A4] and [R6]: the entry's last owner is done with it, or the recovery that
            // removed it. Relaxed would let our first stores come before that owner's last ones.
            if (entry.occupied.load(std::memory_order_acquire) != 0 || !locks.try_lock(i)) continue;
            // [A2] acquire, as [A1]: a participant may have come and died in between.
            if (entry.occupied.load(std::memory_order_acquire) != 0) {
                locks.unlock(i);
                continue;
            }
            fill(entry, identity);
            note_used(i);
            // [A3] release, pairs with [A5]: statistics that see the entry occupied do not see an earlier owner's
            // intents. Relaxed would let statistics show an earlier owner's. Recovery does not need it: it goes by
            // the entry's lock, and by the claims [R1], [R2] and [R3].
            entry.occupied.store(1, std::memory_order_release);
            return &entry;
        }
        return nullptr;
    }

    /// Gives an entry back. Precondition: its owner has no claim open.
    ///
    /// \par If killed
    ///   occupied without a lock, with nothing to recover; or free
    template <class Locks>
    void leave(Locks& locks, layout::participant& entry) const noexcept {
        give_up_roles(index_of(entry));
        // [A4] release, pairs with [A1] and [A2]: our last stores come before the next owner's first. Relaxed would let
        // our last stores overwrite the next owner's first.
        entry.occupied.store(0, std::memory_order_release);
        locks.unlock(index_of(entry));
    }

    /// Makes entry i the holder of a role that is declared to have a single participant.
    ///
    /// \return  whether it is the holder now
    [[nodiscard]] bool take_role(role which, std::uint32_t i) const noexcept {
        std::uint32_t holder = 0;
        // [S3] acquire, pairs with [S4]: all that the previous holder did is seen, above all how far the counter is
        // that only the holder moves, by plain stores. Relaxed would let the counter go back. Failing orders nothing.
        return holder_of(which).compare_exchange_strong(holder, i + 1, std::memory_order_acquire,
                                                        std::memory_order_relaxed) ||
               holder == i + 1;
    }

    /// Releases entry i's exclusive roles. Precondition: it has no open claim.
    void give_up_roles(std::uint32_t i) const noexcept {
        for (const role which : {role::producer, role::consumer}) {
            std::uint32_t holder = i + 1;
            // [S4] release, pairs with [S3]: the next holder sees what this one did. Relaxed would let the counter go
            // back. Failing orders nothing: another entry holds the role, or none does.
            holder_of(which).compare_exchange_strong(holder, 0, std::memory_order_release, std::memory_order_relaxed);
        }
    }

    /// The index of the entry that holds a single role, plus 1; 0: nobody.
    [[nodiscard]] std::atomic<std::uint32_t>& holder_of(role which) const noexcept {
        return which == role::producer ? counters_->sole_producer : counters_->sole_consumer;
    }

private:
    // Relaxed: a recovery that sees a claim of the entry's owner sees this, too. One that does not need not.
    void note_used(std::uint32_t i) const noexcept {
        std::uint32_t used = counters_->entries_used.load(std::memory_order_relaxed);
        while (used <= i && !counters_->entries_used.compare_exchange_weak(used, i + 1, std::memory_order_relaxed)) {}
    }

    static void fill(layout::participant& entry, const participant_identity& identity) noexcept {
        entry.push_intent.store(layout::no_ticket, std::memory_order_relaxed);
        entry.pop_intent.store(layout::no_ticket, std::memory_order_relaxed);
        entry.push_count.store(1, std::memory_order_relaxed);
        entry.pop_count.store(1, std::memory_order_relaxed);
        entry.pid.store(identity.pid, std::memory_order_relaxed);
        entry.tid.store(identity.tid, std::memory_order_relaxed);
        entry.registered_at.store(identity.registered_at, std::memory_order_relaxed);
        entry.process.store(identity.process, std::memory_order_relaxed);
    }

    layout::participant* entries_;
    std::uint32_t count_;
    layout::counters* counters_;
};

}  // namespace promisqs::detail
