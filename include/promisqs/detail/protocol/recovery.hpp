// SPDX-License-Identifier: Apache-2.0
#pragma once

// Settling what the dead have left in the middle. Why nobody alive is ever robbed:
//
// A participant stores its intent before it claims a ticket, and the intent stays until the claim is over: published, released,
// voided or handed back. The recoverer reads the slot's stamp and the counter FIRST. If they show the ticket claimed and
// not done, whoever claimed it has its intent in place, and it can be seen. Only THEN does it look through the intents of all
// participants. One that covers the ticket, and whose entry's lock is held: that one may be the owner, and all is left as it is.
// None: the owner is dead, or has gone on since, which changed the stamp; and so the compare-and-swap from the stamp that
// was read, once, at the beginning, fails.
//
// Time is never taken as evidence. There is one recoverer at a time (the recovery lock); it holds an entry's lock while it works
// on it. If it is killed, the kernel drops the locks, and the next one finds everything as before, or done.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/stats.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// One recovery, by whoever holds the recovery lock.
///
/// `Table` is the participants: `count()`, `operator[]`, and `give_up_roles(i)`, of entry i, whose owner is dead. `Locks` is what the system offers: `bool try_lock(std::uint32_t i)`,
/// true if nobody alive owns entry i, and `void unlock(std::uint32_t i)`; they exclude the caller's own process, too.
/// `Letters` takes messages that are dropped: `bool stage(const void* message)` copies one, while it may be that somebody has had it and
/// it is written over; false to leave it for later. `void commit()` says that it was ours, and is gone from the queue.
template <class Memory, class Table, class Locks, class Letters>
class recovery {
public:
    /// \param max_deaths  after how many deaths a message is dropped; 0: never
    recovery(const ring<Memory>& ring, const Table& table, Locks& locks, Letters& letters,
             std::uint64_t max_deaths) noexcept
        : ring_(ring), table_(table), locks_(locks), letters_(letters), max_deaths_(max_deaths) {}

    /// \param myself  the caller's own entry, which has no claim open; may be null
    ///
    /// \par If killed  the next recovery goes on
    template <class Participant>
    recovery_report run(const Participant* myself) {
        for (std::uint32_t i = 0; i < table_.count(); ++i) {
            // [R0] relaxed, both: the first says where to look; the entry's lock, held at the second, shows all that was done by
            // who held it before, to the end of its life.
            if (table_[i].occupied.load(std::memory_order_relaxed) == 0 || !locks_.try_lock(i)) continue;
            if (table_[i].occupied.load(std::memory_order_relaxed) != 0) recover_participant(i, myself);
            locks_.unlock(i);
        }
        // The positions at which others would be stuck, whoever's they are: a claim that was abandoned without a death, or by
        // what something else wrote into the segment.
        // Relaxed, and in `behind_tombstones`: they only say where to look, which is done with [R1], [R2] and [R3].
        const std::uint64_t tail = space().ticket_of(ring_.memory().tail().load(std::memory_order_relaxed));
        const std::uint64_t head = ring_.memory().head().load(std::memory_order_relaxed);
        static_cast<void>(recover_push(behind_tombstones(head), none, myself));
        static_cast<void>(recover_push(space().previous_lap(tail), none, myself));
        static_cast<void>(recover_pop(space().previous_lap(tail), none, myself));
        return report_;
    }

    /// Whether it has changed what a slot holds: those who sleep are to look.
    [[nodiscard]] bool changed() const noexcept { return changed_; }

private:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    [[nodiscard]] const ticket_space& space() const noexcept { return ring_.space(); }

    // The ticket at which a pop, or a peek, would be stuck.
    [[nodiscard]] std::uint64_t behind_tombstones(std::uint64_t ticket) const {
        for (std::uint64_t i = 0; i < space().capacity() && space().valid(ticket); ++i, ticket = space().next(ticket)) {
            const std::uint64_t tombstone = make_stamp(space().lap(ticket), slot_state::tombstone);
            if (ring_.stamp_of(ticket).load(std::memory_order_relaxed) != tombstone) break;
        }
        return ticket;
    }

    template <class Participant>
    void recover_participant(std::uint32_t i, const Participant* myself) {
        auto& entry = table_[i];
        bool settled = true;
        for_each_ticket(entry.push_intent, entry.push_count,
                        [&](std::uint64_t ticket) { settled = recover_push(ticket, i, myself) && settled; });
        for_each_ticket(entry.pop_intent, entry.pop_count,
                        [&](std::uint64_t ticket) { settled = recover_pop(ticket, i, myself) && settled; });
        if (!settled) {
            ++report_.postponed;
            return;
        }
        ++report_.participants_removed;
        table_.give_up_roles(i);  // before the entry is free: nobody else's is given up
        // [R6] relaxed: whoever enlists takes the entry's lock, which we hold, before it looks again and stores its intents.
        entry.occupied.store(0, std::memory_order_relaxed);
    }

    // Of a dead participant, whose entry's lock is held: relaxed, as [R0].
    template <class Word, class Visit>
    void for_each_ticket(Word& intent, Word& count, Visit visit) const {
        const std::uint64_t first = intent.load(std::memory_order_relaxed);
        if (first == layout::no_ticket || !space().valid(first)) return;
        const std::uint64_t tickets = std::min(count.load(std::memory_order_relaxed), space().capacity());
        std::uint64_t ticket = first;
        for (std::uint64_t i = 0; i < tickets; ++i, ticket = space().next(ticket)) visit(ticket);
    }

    // Whether an intent covers a ticket. The count is stored before the intent, and read after it: a pair that does not belong
    // together covers too much, which only puts things off.
    template <class Word>
    [[nodiscard]] bool covers(const Word& intent, const Word& count, std::uint64_t ticket) const {
        // [R4] acquire, pairs with [P2], [P5], [C4], [C5], [C6], [C8], [C11]: who has gone on to another ticket, or to none, is seen to have
        // published or released the one before, so that the compare-and-swap on its stamp fails. Relaxed would rob it.
        const std::uint64_t first = intent.load(std::memory_order_acquire);
        if (first == layout::no_ticket || !space().valid(first) || ticket_space::before(ticket, first)) return false;
        // Acquire, likewise: who goes on from several tickets to one stores the count before the intent.
        return space().distance(first, ticket) < count.load(std::memory_order_acquire);
    }

    // Whether somebody alive may own a ticket, of those whose intent is in this member. `dead` is known to be so.
    template <class Entry, class Word, class Participant>
    [[nodiscard]] bool may_be_owned(std::uint64_t ticket, Word Entry::*intent, Word Entry::*count, std::uint32_t dead,
                                    const Participant* myself) {
        for (std::uint32_t i = 0; i < table_.count(); ++i) {
            auto& entry = table_[i];
            // Relaxed: whoever claimed the ticket had enlisted before, which [R2], [R3] or, of what is retaken, [R1] shows.
            if (i == dead || &entry == myself || entry.occupied.load(std::memory_order_relaxed) == 0) continue;
            if (!covers(entry.*intent, entry.*count, ticket)) continue;
            if (!locks_.try_lock(i)) return true;
            locks_.unlock(i);  // dead, too; an entry stays so until it has been settled
        }
        return false;
    }

    // Each of these settles one ticket on which a push, or a pop, may have died. True: nothing is left to be done about it.
    template <class Participant>
    [[nodiscard]] bool recover_push(std::uint64_t ticket, std::uint32_t dead, const Participant* myself) {
        using entry = Participant;
        if (!space().valid(ticket)) return true;
        auto& slot = ring_.stamp_of(ticket);
        const std::uint64_t lap = space().lap(ticket);
        // Relaxed: whose push it is, is shown by [R2].
        std::uint64_t stamp = slot.load(std::memory_order_relaxed);
        // Voided, and perhaps not counted, by a producer or a recoverer that died.
        if (stamp == make_stamp(lap, slot_state::tombstone)) ring_.count_irregularity();
        if (stamp != make_stamp(lap, slot_state::free)) return true;
        // [R2] acquire, pairs with [P3]: the intent of whoever claimed the ticket is visible below.
        const std::uint64_t tail = space().ticket_of(ring_.memory().tail().load(std::memory_order_acquire));
        if (!ticket_space::before(ticket, tail)) return true;  // not claimed
        if (may_be_owned(ticket, &entry::push_intent, &entry::push_count, dead, myself)) return false;
        // [R5] release: what the dead wrote into the slot comes before the next producer's bytes. Failing: somebody finished it.
        if (slot.compare_exchange_strong(stamp, make_stamp(lap, slot_state::tombstone), std::memory_order_release,
                                         std::memory_order_relaxed)) {
            ring_.count_irregularity();
            ++report_.tombstones;
            changed_ = true;
        }
        return true;
    }

    template <class Participant>
    [[nodiscard]] bool recover_pop(std::uint64_t ticket, std::uint32_t dead, const Participant* myself) {
        using entry = Participant;
        if (!space().valid(ticket)) return true;
        auto& slot = ring_.stamp_of(ticket);
        const std::uint64_t lap = space().lap(ticket);
        // [R1] acquire, pairs with [C7]: the intent of whoever has retaken the message is visible below. And with [P4]: the element,
        // if it is to be dropped.
        std::uint64_t stamp = slot.load(std::memory_order_acquire);
        const delivery_state state(stamp - lap);
        const bool full = stamp == make_stamp(lap, slot_state::full);
        const bool tombstone = stamp == make_stamp(lap, slot_state::tombstone);
        if (state.is_orphan()) ring_.count_irregularity();  // likewise
        if (!full && !tombstone && !state.is_retaken()) return true;
        // [R3] acquire, pairs with [C2], as [R2].
        const std::uint64_t head = ring_.memory().head().load(std::memory_order_acquire);
        if (!ticket_space::before(ticket, head)) return true;  // not claimed
        if (may_be_owned(ticket, &entry::pop_intent, &entry::pop_count, dead, myself)) return false;
        const std::uint64_t free = make_stamp(space().next_lap(lap), slot_state::free);
        if (tombstone) {
            // Relaxed: it carries on what the one who made the void released; nobody has read its bytes since.
            slot.compare_exchange_strong(stamp, free, std::memory_order_relaxed, std::memory_order_relaxed);
            changed_ = true;
            return true;
        }
        if (max_deaths_ != 0 && state.deaths() + 1 >= max_deaths_) return drop(ticket, stamp, free);
        if (slot.compare_exchange_strong(stamp, lap + state.after_death().value(), std::memory_order_release,
                                         std::memory_order_relaxed)) {  // [R5]
            ring_.count_irregularity();
            ++report_.messages_to_redeliver;
            changed_ = true;
        }
        return true;
    }

    [[nodiscard]] bool drop(std::uint64_t ticket, std::uint64_t stamp, std::uint64_t free) {
        if (!letters_.stage(ring_.payload({ticket, stamp}))) return false;
        if (ring_.stamp_of(ticket).compare_exchange_strong(stamp, free, std::memory_order_release,
                                                           std::memory_order_relaxed)) {  // [R5]
            ++report_.messages_dropped;
            changed_ = true;
            letters_.commit();
        }
        return true;
    }

    const ring<Memory>& ring_;
    const Table& table_;
    Locks& locks_;
    Letters& letters_;
    std::uint64_t max_deaths_;
    recovery_report report_;
    bool changed_ = false;
};

}  // namespace promisqs::detail
