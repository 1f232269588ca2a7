// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/recovery_notes.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace promisqs::detail {

/// Finds out in a recovery which participants are dead, and tests each lock once at most. recovery.hpp says what
/// `Table` and `Locks` are.
template <class Memory, class Table, class Locks>
class liveness {
public:
    using participant = std::remove_reference_t<decltype(std::declval<const Table&>()[0])>;

    liveness(const ring<Memory>& ring, const Table& table, Locks& locks, recovery_notes& notes,
             const recovery_extent& extent, const participant* self) noexcept
        : ring_(ring),
          table_(table),
          locks_(locks),
          notes_(notes),
          extent_(extent),
          self_(self),
          rivals_left_(std::uint64_t{extent.rivals} * notes.more_rivals) {
        std::fill_n(notes.verdicts.begin(), notes.verdicts_end, verdict::unknown);
        notes.verdicts_end = 0;
        if (self != nullptr) note_alive(*self);
    }

    /// How many entries to look at. The owner of one had noted that it is used before it claimed: as for `counts`.
    [[nodiscard]] std::uint32_t entries() const {
        return extent_.windows == recovery_extent::all ? table_.count() : table_.used();
    }

    /// Looks for the dead: first among those that seem to have a claim open, then among the others.
    void find_dead() {
        std::uint32_t left = extent_.claimants;
        notes_.next_claimant = go_round(notes_.next_claimant, [&](std::uint32_t i) {
            if (!is_to_be_tested(i) || !seems_to_claim(table_[i])) return true;
            return left-- != 0 && (test(i, verdict::dead), true);
        });
        left = extent_.idle;
        notes_.next_idle = go_round(notes_.next_idle, [&](std::uint32_t i) {
            if (!is_to_be_tested(i) || is_presumed_alive(table_[i])) return true;
            return left-- != 0 && (test(i, verdict::dead), true);
        });
    }

    /// Whether an occupied entry, other than the caller's own and those that were found dead, may have a living owner.
    [[nodiscard]] bool may_be_alive(std::uint32_t i) {
        if (notes_.verdicts[i] != verdict::unknown) return notes_.verdicts[i] == verdict::alive;
        if (rivals_left_ == 0) {
            short_of_tests_ = true;
            return true;
        }
        --rivals_left_;
        return test(i, verdict::dead_late);
    }

    /// Whether the intents of an entry count. The caller has no claim open, and the dead have none that is not looked
    /// at.
    [[nodiscard]] bool counts(std::uint32_t i) const {
        // Relaxed: the owner of a ticket had enlisted before it claimed, which [R2], [R3] or, of a retaken one, [R1]
        // shows.
        return &table_[i] != self_ && table_[i].occupied.load(std::memory_order_relaxed) != 0;
    }

    /// Says how much the next piece may do: more, if this one could not tell who owns a ticket. So however many have
    /// died at one ticket, it is recovered in the end.
    void plan_next() noexcept {
        if (!short_of_tests_) {
            notes_.more_rivals = 1;
        } else if (notes_.more_rivals < layout::max_participants) {
            notes_.more_rivals *= 2;
        }
    }

private:
    // Calls `visit(i)` for all entries in turn, as long as it returns true. Returns where it did not.
    template <class Visit>
    std::uint32_t go_round(std::uint32_t from, Visit visit) const {
        const std::uint32_t end = entries();
        std::uint32_t i = from < end ? from : 0;
        for (std::uint32_t n = 0; n < end; ++n) {
            if (!visit(i)) return i;
            if (++i == end) i = 0;
        }
        return i;
    }

    [[nodiscard]] bool is_to_be_tested(std::uint32_t i) const {
        // [R0] relaxed, also in `seems_to_claim` and `is_presumed_alive`: they only say where to look. At the second
        // load of `occupied`, in `test`, the entry's lock is held, which shows all that its last holder did, to the end
        // of its life.
        return notes_.verdicts[i] == verdict::unknown && &table_[i] != self_ &&
               table_[i].occupied.load(std::memory_order_relaxed) != 0;
    }

    // Whether it looks as if the owner of an entry were in the middle of something. A count is 1, except in the middle
    // of a batch.
    [[nodiscard]] bool seems_to_claim(const participant& entry) const {
        const std::uint64_t push = entry.push_intent.load(std::memory_order_relaxed);
        if (is_ticket(push)) {
            const std::uint64_t tail = ring_.space().ticket_of(ring_.memory().tail().load(std::memory_order_relaxed));
            const std::uint64_t state = state_at(push);
            if (entry.push_count.load(std::memory_order_relaxed) != 1) return true;
            if (state == static_cast<std::uint64_t>(slot_state::tombstone)) return true;  // made, perhaps not counted
            if (state == static_cast<std::uint64_t>(slot_state::free) && ticket_space::before(push, tail)) return true;
        }
        const std::uint64_t pop = entry.pop_intent.load(std::memory_order_relaxed);
        if (!is_ticket(pop)) return false;
        const std::uint64_t state = state_at(pop);
        return entry.pop_count.load(std::memory_order_relaxed) != 1 ||
               (state != static_cast<std::uint64_t>(slot_state::free) && state <= delivery_state::last);
    }
    [[nodiscard]] bool is_ticket(std::uint64_t intent) const {
        return intent != layout::no_ticket && ring_.space().valid(intent);
    }
    [[nodiscard]] std::uint64_t state_at(std::uint64_t ticket) const {
        return ring_.stamp_of(ticket).load(std::memory_order_relaxed) - ring_.space().lap(ticket);
    }

    // Tests the lock of an occupied entry. True: it is held, so its owner is alive.
    bool test(std::uint32_t i, verdict if_dead) {
        if (notes_.verdicts_end <= i) notes_.verdicts_end = i + 1;
        if (!locks_.try_lock(i)) {
            notes_.verdicts[i] = verdict::alive;
            note_alive(table_[i]);
            return true;
        }
        // If it is not occupied any more, its owner has gone, with no claim open. Otherwise it stays as it is until a
        // recovery removes it, without the lock, too: nobody takes an occupied entry.
        if (table_[i].occupied.load(std::memory_order_relaxed) != 0) notes_.verdicts[i] = if_dead;
        locks_.unlock(i);
        return false;
    }

    // All locks of a process go with it. What entries say of their processes is not trusted in anything that matters: a
    // wrong number can only keep an idle entry, until one is wanted.
    [[nodiscard]] bool is_presumed_alive(const participant& entry) const {
        if (!extent_.presumes) return false;
        const std::uint64_t process = table_.process_of(entry);
        return process != 0 && std::find(alive_.begin(), alive_.end(), process) != alive_.end();
    }
    void note_alive(const participant& entry) {
        if (!extent_.presumes || is_presumed_alive(entry)) return;
        alive_[noted_++ % alive_.size()] = table_.process_of(entry);
    }

    const ring<Memory>& ring_;
    const Table& table_;
    Locks& locks_;
    recovery_notes& notes_;
    const recovery_extent& extent_;
    const participant* self_;
    std::uint64_t rivals_left_;
    bool short_of_tests_ = false;
    std::array<std::uint64_t, 32> alive_{};  // processes of which a lock is held; 0: none
    std::size_t noted_ = 0;
};

}  // namespace promisqs::detail
