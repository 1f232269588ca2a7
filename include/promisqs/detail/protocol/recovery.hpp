// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finishing what dead participants have left in the middle. Why no living one is ever robbed:
//
// A participant stores its intent before it claims a ticket, and the intent stays until the claim is over: published,
// released, given up or requeued. The recoverer reads the counters and the slots' stamps FIRST. If they show a ticket
// claimed and not done, its owner's intent is in place, and can be seen. Only THEN the recoverer looks through the
// intents of all participants, once for all such tickets. If one covers a ticket and its entry's lock is held, that
// participant may be the owner, and the ticket is left as it is. If none does, the owner is dead, or has gone on since.
// Going on changed the stamp, and so the compare-and-swap fails: it starts from the stamp that was read, once, at the
// beginning.
//
// Before all that, the recoverer looks for the dead. Their tickets are those that are looked at, so the counters are
// read once it is known who is dead: what a dead participant has claimed is behind them. An entry whose owner is dead
// stays as it is until a recovery removes it. So its lock is tested, and not kept.
//
// Time is never taken as evidence. There is one recoverer at a time: it holds the recovery lock. If it is killed, the
// kernel drops the lock, and the next one finds everything as before, or done.
//
// The cost is that of the participants plus that of the tickets of the dead, for each window of slots, and never that
// of the one times the other.
//
// docs/protocol.md explains the words, and docs/memory-orders.md lists the labels.

#include <promisqs/detail/protocol/abandoned_claims.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/last_lap.hpp>
#include <promisqs/detail/protocol/liveness.hpp>
#include <promisqs/detail/protocol/recovery_notes.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/stats.hpp>

#include <array>
#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// One recovery, or a piece of one. The caller holds the recovery lock.
///
/// `Table` is the participants: `count()`; `used()`, how many of them have ever been taken; `operator[]`;
/// `process_of(entry)`, a number of its process or 0; `is_of_a_thread(entry)`, false if its owner only holds messages;
/// and `give_up_roles(i)`, for an entry i whose owner is dead.
/// `Locks` is what the system offers: `bool try_lock(std::uint32_t i)`, true if no living participant owns entry i, and
/// `void unlock(std::uint32_t i)`. They exclude the caller's own process, too.
/// `Letters` takes messages that are dropped: see abandoned_claims.hpp.
template <class Memory, class Table, class Locks, class Letters>
class recovery {
    using liveness_type = liveness<Memory, Table, Locks>;

public:
    using participant = typename liveness_type::participant;

    /// \param max_deaths  a message is dropped after this many deaths; 0: never
    /// \param self        the caller's own entry, which has no claim open; may be null
    recovery(const ring<Memory>& ring, const Table& table, Locks& locks, Letters& letters, std::uint64_t max_deaths,
             recovery_notes& notes, const recovery_extent& extent, const participant* self) noexcept
        : ring_(ring),
          table_(table),
          notes_(notes),
          extent_(extent),
          claims_(ring, letters, max_deaths, report_),
          liveness_(ring, table, locks, notes, extent_, self),
          lap_(ring.space(), 0) {}

    /// \par If killed
    ///   the next recovery goes on
    recovery_report run() {
        liveness_.find_dead();
        // [R2] acquire, pairs with [P3]: the intents of all who have claimed a ticket before it are visible below.
        // Relaxed would miss one, and rob its owner.
        const std::uint64_t tail = space().ticket_of(ring_.memory().tail().load(std::memory_order_acquire));
        // [R3] acquire, pairs with [C2]: as [R2], for pops. Relaxed would miss an intent, and rob its owner.
        head_ = ring_.memory().head().load(std::memory_order_acquire);
        lap_ = last_lap(space(), tail);
        if (space().valid(tail)) recover_windows();
        remove_dead();
        liveness_.plan_next();
        return report_;
    }

    /// Whether this recovery has changed what a slot holds, so that sleepers are to look.
    [[nodiscard]] bool changed() const noexcept { return claims_.changed(); }

private:
    [[nodiscard]] const ticket_space& space() const noexcept { return ring_.space(); }

    // The dead

    template <class Act>
    void for_each_dead(Act act) const {
        for (std::uint32_t i = 0; i < notes_.verdicts_end; ++i) {
            const verdict found = notes_.verdicts[i];
            if (found == verdict::dead || found == verdict::postponed) act(i);
        }
    }

    void remove_dead() {
        for (std::uint32_t i = 0; i < notes_.verdicts_end; ++i) {
            if (notes_.verdicts[i] == verdict::postponed) ++report_.postponed;
            if (notes_.verdicts[i] != verdict::dead) continue;
            ++report_.participants_removed;
            table_.give_up_roles(i);  // before the entry is free, so that no other participant's role is given up
            // [R6] release, pairs with [A1] and [A2]: we have read the entry before its next owner writes into it.
            // Relaxed would let us take that one's intents for those of the dead.
            table_[i].occupied.store(0, std::memory_order_release);
        }
    }

    [[nodiscard]] place_range covered_pushes(std::uint32_t i) const {
        return lap_.covered_by(table_[i].push_intent, table_[i].push_count);
    }
    [[nodiscard]] place_range covered_pops(std::uint32_t i) const {
        return lap_.covered_by(table_[i].pop_intent, table_[i].pop_count);
    }

    // Windows

    void recover_windows() {
        // The positions at which others would be stuck, whosever they are: a claim may have been abandoned without a
        // death, or be made up by something else that writes into the segment.
        stuck_ = {first_occupied(), lap_.place_of(behind_tombstones())};
        std::uint64_t first = lap_.place_of(notes_.next_ticket);
        if (extent_.windows == recovery_extent::all || first >= lap_.size()) first = 0;
        std::uint64_t next = next_announced(first);
        for (std::uint32_t n = 0; next < lap_.size() && n < extent_.windows; ++n) {
            window_ = {next, layout::lesser(next + notes_.states.size(), lap_.size())};
            recover_window();
            next = next_announced(window_.end);
        }
        notes_.next_ticket = lap_.ticket_at(next < lap_.size() ? next : 0);
        if (first == 0 && next >= lap_.size()) return;
        for_each_dead([&](std::uint32_t i) {
            for (const place_range part : {covered_pushes(i), covered_pops(i)}) {
                if (!part.empty() && (part.begin < first || part.end > next)) notes_.verdicts[i] = verdict::postponed;
            }
        });
    }

    // The ticket at which a pop, or a peek, would be stuck.
    [[nodiscard]] std::uint64_t behind_tombstones() const {
        std::uint64_t ticket = head_;
        for (std::uint64_t i = 0; i < notes_.states.size() && space().valid(ticket); ++i) {
            const std::uint64_t tombstone = make_stamp(space().lap(ticket), slot_state::tombstone);
            // Relaxed: it only says where to look, which is done with [R1].
            if (ring_.stamp_of(ticket).load(std::memory_order_relaxed) != tombstone) break;
            ticket = space().next(ticket);
        }
        return ticket;
    }

    // The place of the first slot of a row that is not free for the next lap; the last one of the row if all are.
    [[nodiscard]] std::uint64_t first_occupied() const {
        const std::uint64_t end = layout::lesser(extent_.row, lap_.size());
        for (std::uint64_t place = 0; place + 1 < end; ++place) {
            const std::uint64_t ticket = lap_.ticket_at(place);
            // Relaxed: it only says where to look, which is done with [R1].
            const std::uint64_t stamp = ring_.stamp_of(ticket).load(std::memory_order_relaxed);
            if (stamp != make_stamp(space().lap_after(ticket), slot_state::free)) return place;
        }
        return end - 1;
    }

    // The first place, from one on, of a ticket of the dead, or of one at which others would be stuck.
    [[nodiscard]] std::uint64_t next_announced(std::uint64_t from) const {
        std::uint64_t next = lap_.size();
        const auto consider = [&](const place_range& part) {
            if (part.end > from && !part.empty()) next = layout::lesser(next, layout::greater(part.begin, from));
        };
        for (const std::uint64_t place : stuck_) consider({place, place + 1});
        for_each_dead([&](std::uint32_t i) { consider(covered_pushes(i)), consider(covered_pops(i)); });
        return next;
    }

    // The part of a range that lies in the window, as places of the window.
    [[nodiscard]] place_range in_window(const place_range& range) const {
        const std::uint64_t begin = layout::greater(range.begin, window_.begin);
        const std::uint64_t end = layout::lesser(range.end, window_.end);
        return begin < end ? place_range{begin - window_.begin, end - window_.begin} : place_range{};
    }

    void recover_window() {
        for (slot_set* one : {&notes_.announced, &notes_.pushes, &notes_.pops, &notes_.owned_pushes, &notes_.owned_pops,
                              &notes_.blameless}) {
            one->clear();
        }
        for (const std::uint64_t place : stuck_) notes_.announced.add(in_window({place, place + 1}));
        for_each_dead([&](std::uint32_t i) {
            notes_.announced.add(in_window(covered_pushes(i)));
            notes_.announced.add(in_window(covered_pops(i)));
        });
        if (!read_stamps()) return;
        look_at_intents();
        notes_.pushes.for_each(
            [&](std::uint64_t place) { claims_.finish_push(lap_.ticket_at(window_.begin + place)); });
        notes_.pops.for_each([&](std::uint64_t place) {
            const std::uint64_t ticket = lap_.ticket_at(window_.begin + place);
            const bool blamed = !notes_.blameless.has_any({place, place + 1});
            if (!claims_.finish_pop(ticket, delivery_state(notes_.states[place]), blamed)) notes_.owned_pops.add(place);
        });
        for_each_dead([&](std::uint32_t i) {
            const bool owned = notes_.owned_pushes.has_any(in_window(covered_pushes(i))) ||
                               notes_.owned_pops.has_any(in_window(covered_pops(i)));
            if (owned) notes_.verdicts[i] = verdict::postponed;
        });
    }

    // Reads the stamp of each slot that the dead have announced, and notes what is claimed and not done. False: nothing
    // is.
    [[nodiscard]] bool read_stamps() {
        bool any = false;
        bool irregular = false;
        notes_.announced.for_each([&](std::uint64_t place) {
            const std::uint64_t ticket = lap_.ticket_at(window_.begin + place);
            // [R1] acquire, pairs with [C7] and [P4]: the intent of a consumer that has retaken the message is visible
            // below, and so is the element, if it is to be dropped. Relaxed would miss the intent, and rob that
            // consumer.
            const std::uint64_t stamp = ring_.stamp_of(ticket).load(std::memory_order_acquire);
            const delivery_state state(stamp - space().lap(ticket));
            const bool tombstone = state.value() == static_cast<std::uint64_t>(slot_state::tombstone);
            irregular = irregular || tombstone || state.is_orphan();
            if (state.value() == static_cast<std::uint64_t>(slot_state::free)) {  // of the last lap: it is claimed
                notes_.pushes.add(place);
            } else if (ticket_space::before(ticket, head_) && state.value() <= delivery_state::last &&
                       !state.is_orphan()) {
                notes_.states[place] = static_cast<std::uint8_t>(state.value());
                notes_.pops.add(place);
            } else {
                return;
            }
            any = true;
        });
        // Their maker may have died after it made one, and before it counted it.
        if (irregular) ring_.count_irregularity();
        return any;
    }

    // Looks through the intents of all others, keeps what a living participant may own, and notes what a dead one only
    // held: also one of which this is the first sign.
    void look_at_intents() {
        const std::uint32_t end = liveness_.entries();
        for (std::uint32_t i = 0; i < end; ++i) {
            if (!liveness_.counts(i)) continue;
            const place_range pushes = in_window(covered_pushes(i));
            const place_range pops = in_window(covered_pops(i));
            const bool pushes_any = notes_.pushes.has_any(pushes);
            const bool pops_any = notes_.pops.has_any(pops);
            if (!pushes_any && !pops_any) continue;
            if (is_dead(i) || !liveness_.may_be_alive(i)) {
                if (!table_.is_of_a_thread(table_[i])) notes_.blameless.add(pops);
                continue;
            }
            notes_.pushes.move(pushes, notes_.owned_pushes);
            notes_.pops.move(pops, notes_.owned_pops);
        }
    }
    [[nodiscard]] bool is_dead(std::uint32_t i) const {
        return notes_.verdicts[i] != verdict::unknown && notes_.verdicts[i] != verdict::alive;
    }

    const ring<Memory>& ring_;
    const Table& table_;
    recovery_notes& notes_;
    recovery_extent extent_;
    recovery_report report_;
    abandoned_claims<Memory, Letters> claims_;
    liveness_type liveness_;
    last_lap lap_;            // as it was once it was known who is dead
    std::uint64_t head_ = 0;  // the same
    std::array<std::uint64_t, 2> stuck_{};
    place_range window_{};
};
template <class Memory, class Table, class Locks, class Letters, class Participant>
recovery(const ring<Memory>&, const Table&, Locks&, Letters&, std::uint64_t, recovery_notes&, const recovery_extent&,
         const Participant*) -> recovery<Memory, Table, Locks, Letters>;

}  // namespace promisqs::detail
