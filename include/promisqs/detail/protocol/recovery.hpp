// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finishing what dead participants have left in the middle. Why no living one is ever robbed:
//
// A participant stores its intent before it claims a ticket, and the intent stays until the claim is over: published,
// released, given up or requeued. The recoverer reads the slot's stamp and the counter FIRST. If they show the ticket
// claimed and not done, its owner's intent is in place, and can be seen. Only THEN the recoverer looks through the
// intents of all participants. If one covers the ticket and its entry's lock is held, that participant may be the
// owner, and all is left as it is. If none does, the owner is dead, or has gone on since. Going on changed the stamp,
// and so the compare-and-swap fails: it starts from the stamp that was read, once, at the beginning.
//
// Time is never taken as evidence. There is one recoverer at a time: it holds the recovery lock, and an entry's lock
// while it works on that entry. If it is killed, the kernel drops the locks, and the next one finds everything as
// before, or done.
//
// docs/protocol.md explains the words, and docs/memory-orders.md lists the labels.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/stats.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// One recovery. The caller holds the recovery lock.
///
/// `Table` is the participants: `count()`, `operator[]`, and `give_up_roles(i)`, for an entry i whose owner is dead.
/// `Locks` is what the system offers: `bool try_lock(std::uint32_t i)`, true if no living participant owns entry i, and
/// `void unlock(std::uint32_t i)`. They exclude the caller's own process, too.
/// `Letters` takes messages that are dropped. `bool stage(const void*)` copies a message that others may still be
/// overwriting; false postpones. `void commit()` confirms that we removed it.
template <class Memory, class Table, class Locks, class Letters>
class recovery {
public:
    /// \param max_deaths  a message is dropped after this many deaths; 0: never
    recovery(const ring<Memory>& ring, const Table& table, Locks& locks, Letters& letters,
             std::uint64_t max_deaths) noexcept
        : ring_(ring), table_(table), locks_(locks), letters_(letters), max_deaths_(max_deaths) {}

    /// \param self     the caller's own entry, which has no claim open; may be null
    ///
    /// \par If killed
    ///   the next recovery goes on
    template <class Participant>
    [[gnu::cold]] recovery_report run(const Participant* self) {
        for (std::uint32_t i = 0; i < table_.count(); ++i) {
            // [R0] relaxed, both: the first load says where to look. At the second, the entry's lock is held, which
            // shows all that its last holder did, to the end of its life.
            if (table_[i].occupied.load(std::memory_order_relaxed) == 0 || !locks_.try_lock(i)) continue;
            if (table_[i].occupied.load(std::memory_order_relaxed) != 0) recover_participant(i, self);
            locks_.unlock(i);
        }
        // The positions at which others would be stuck, whosever they are: a claim may have been abandoned without a
        // death, or be made up by something else that writes into the segment. Relaxed, also in `behind_tombstones`:
        // they only say where to look, which is done with [R1], [R2] and [R3].
        const std::uint64_t tail = space().ticket_of(ring_.memory().tail().load(std::memory_order_relaxed));
        const std::uint64_t head = ring_.memory().head().load(std::memory_order_relaxed);
        static_cast<void>(recover_push(behind_tombstones(head), none, self));
        static_cast<void>(recover_push(space().previous_lap(tail), none, self));
        static_cast<void>(recover_pop(space().previous_lap(tail), none, self));
        return report_;
    }

    /// Whether this recovery has changed what a slot holds, so that sleepers are to look.
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
    [[gnu::cold]] void recover_participant(std::uint32_t i, const Participant* self) {
        auto& entry = table_[i];
        bool resolved = true;
        for_each_ticket(entry.push_intent, entry.push_count,
                        [&](std::uint64_t ticket) { resolved = recover_push(ticket, i, self) && resolved; });
        for_each_ticket(entry.pop_intent, entry.pop_count,
                        [&](std::uint64_t ticket) { resolved = recover_pop(ticket, i, self) && resolved; });
        if (!resolved) {
            ++report_.postponed;
            return;
        }
        ++report_.participants_removed;
        table_.give_up_roles(i);  // before the entry is free, so that no other participant's role is given up
        // [R6] relaxed: a participant that enlists takes the entry's lock, which we hold, before it looks again and
        // stores its intents.
        entry.occupied.store(0, std::memory_order_relaxed);
    }

    // The tickets of a dead participant, whose entry's lock is held: relaxed, as [R0].
    template <class Word, class Visit>
    void for_each_ticket(Word& intent, Word& count, Visit visit) const {
        const std::uint64_t first = intent.load(std::memory_order_relaxed);
        if (first == layout::no_ticket || !space().valid(first)) return;
        const std::uint64_t tickets = layout::lesser(count.load(std::memory_order_relaxed), space().capacity());
        std::uint64_t ticket = first;
        for (std::uint64_t i = 0; i < tickets; ++i, ticket = space().next(ticket)) visit(ticket);
    }

    // Whether an intent covers a ticket. The count is stored before the intent, and read after it: a pair that does not
    // belong together covers too much, which only postpones.
    template <class Word>
    [[nodiscard]] bool covers(const Word& intent, const Word& count, std::uint64_t ticket) const {
        // [R4] acquire, pairs with [P2], [P5], [C4], [C5], [C6], [C8], [C11], [B7] and [B8]: a participant that has
        // gone on to another ticket, or to none, is seen to have published or released the one before, so that the
        // compare-and-swap on its stamp fails. Relaxed would rob it.
        const std::uint64_t first = intent.load(std::memory_order_acquire);
        if (first == layout::no_ticket || !space().valid(first) || ticket_space::before(ticket, first)) return false;
        // [R9] acquire, pairs with [B1], [B2], [B3], [B4], [B6] and [B9]: as [R4], for a participant that goes on from
        // several tickets to one. It stores the count before the intent. Relaxed would rob it.
        return space().distance(first, ticket) < count.load(std::memory_order_acquire);
    }

    // Whether a living participant may own a ticket, of those whose intent is in this member. `dead` is known to be
    // dead.
    template <class Entry, class Word, class Participant>
    [[nodiscard, gnu::cold]] bool may_be_owned(std::uint64_t ticket, Word Entry::*intent, Word Entry::*count,
                                               std::uint32_t dead, const Participant* self) {
        for (std::uint32_t i = 0; i < table_.count(); ++i) {
            auto& entry = table_[i];
            // Relaxed: the ticket's owner had enlisted before it claimed, which [R2], [R3] or, of a retaken one, [R1]
            // shows.
            if (i == dead || &entry == self || entry.occupied.load(std::memory_order_relaxed) == 0) continue;
            if (!covers(entry.*intent, entry.*count, ticket)) continue;
            if (!locks_.try_lock(i)) return true;
            locks_.unlock(i);  // dead, too; an entry stays so until it has been recovered
        }
        return false;
    }

    // Recovers one ticket at which a push may have died. True: nothing is left to be done about it.
    template <class Participant>
    [[nodiscard, gnu::cold]] bool recover_push(std::uint64_t ticket, std::uint32_t dead, const Participant* self) {
        using entry = Participant;
        if (!space().valid(ticket)) return true;
        auto& slot = ring_.stamp_of(ticket);
        const std::uint64_t lap = space().lap(ticket);
        // Relaxed: [R2] shows the push's owner.
        std::uint64_t stamp = slot.load(std::memory_order_relaxed);
        // The producer, or a recoverer, may have died after it made the tombstone and before it counted it.
        if (stamp == make_stamp(lap, slot_state::tombstone)) ring_.count_irregularity();
        if (stamp != make_stamp(lap, slot_state::free)) return true;
        // [R2] acquire, pairs with [P3]: the intent of the ticket's owner is visible below. Relaxed would miss it, and
        // rob the owner.
        const std::uint64_t tail = space().ticket_of(ring_.memory().tail().load(std::memory_order_acquire));
        if (!ticket_space::before(ticket, tail)) return true;  // not claimed
        if (may_be_owned(ticket, &entry::push_intent, &entry::push_count, dead, self)) return false;
        // [R5] release, pairs with [C1]: what the dead producer wrote into the slot comes before the next producer's
        // bytes. Relaxed would let it come after. Failing orders nothing: the push is over.
        if (slot.compare_exchange_strong(stamp, make_stamp(lap, slot_state::tombstone), std::memory_order_release,
                                         std::memory_order_relaxed)) {
            ring_.count_irregularity();
            ++report_.tombstones;
            changed_ = true;
        }
        return true;
    }

    // Recovers one ticket at which a pop may have died. True: nothing is left to be done about it.
    template <class Participant>
    [[nodiscard, gnu::cold]] bool recover_pop(std::uint64_t ticket, std::uint32_t dead, const Participant* self) {
        using entry = Participant;
        if (!space().valid(ticket)) return true;
        const std::uint64_t lap = space().lap(ticket);
        // [R1] acquire, pairs with [C7] and [P4]: the intent of a consumer that has retaken the message is visible
        // below, and so is the element, if it is to be dropped. Relaxed would miss the intent, and rob that consumer.
        const std::uint64_t stamp = ring_.stamp_of(ticket).load(std::memory_order_acquire);
        const delivery_state state(stamp - lap);
        const bool full = stamp == make_stamp(lap, slot_state::full);
        const bool tombstone = stamp == make_stamp(lap, slot_state::tombstone);
        // The consumer, or a recoverer, may have died after it made the orphan and before it counted it.
        if (state.is_orphan()) ring_.count_irregularity();
        if (!full && !tombstone && !state.is_retaken()) return true;
        // [R3] acquire, pairs with [C2]: the intent of the ticket's owner is visible below. Relaxed would miss it, and
        // rob the owner.
        const std::uint64_t head = ring_.memory().head().load(std::memory_order_acquire);
        if (!ticket_space::before(ticket, head)) return true;  // not claimed
        if (may_be_owned(ticket, &entry::pop_intent, &entry::pop_count, dead, self)) return false;
        if (tombstone) {
            free_tombstone(ticket, stamp);
            return true;
        }
        if (max_deaths_ != 0 && state.deaths() + 1 >= max_deaths_) return drop(ticket, stamp);
        make_orphan(ticket, stamp);
        return true;
    }

    void free_tombstone(std::uint64_t ticket, std::uint64_t stamp) {
        // Relaxed: it carries on what the maker of the tombstone released. Nobody has read the slot's bytes since.
        ring_.stamp_of(ticket).compare_exchange_strong(stamp, free_after(ticket), std::memory_order_relaxed,
                                                       std::memory_order_relaxed);
        changed_ = true;
    }

    void make_orphan(std::uint64_t ticket, std::uint64_t stamp) {
        const std::uint64_t lap = space().lap(ticket);
        // [R7] release, pairs with [D4] and [C7]: the dead consumer's reads of the element come before the next
        // producer's bytes, and a consumer that finds the orphan sees the element. Relaxed would let it be written over
        // before. Failing orders nothing: the pop is over.
        if (ring_.stamp_of(ticket).compare_exchange_strong(stamp,
                                                           lap + delivery_state(stamp - lap).after_death().value(),
                                                           std::memory_order_release, std::memory_order_relaxed)) {
            ring_.count_irregularity();
            ++report_.messages_to_redeliver;
            changed_ = true;
        }
    }

    // False: it is to be dropped later.
    [[nodiscard, gnu::cold]] bool drop(std::uint64_t ticket, std::uint64_t stamp) {
        if (!letters_.stage(ring_.payload({ticket, stamp}))) return false;
        // [R8] release, pairs with [P1] and [B5]: the dead consumer's reads of the element, and our copy, come before
        // the next producer's bytes. Relaxed would let them come after. Failing orders nothing: the pop is over.
        if (ring_.stamp_of(ticket).compare_exchange_strong(stamp, free_after(ticket), std::memory_order_release,
                                                           std::memory_order_relaxed)) {
            ++report_.messages_dropped;
            changed_ = true;
            letters_.commit();
        }
        return true;
    }

    // The stamp of a ticket's slot once it is free for the next lap.
    [[nodiscard]] std::uint64_t free_after(std::uint64_t ticket) const noexcept {
        return make_stamp(space().lap_after(ticket), slot_state::free);
    }

    const ring<Memory>& ring_;
    const Table& table_;
    Locks& locks_;
    Letters& letters_;
    std::uint64_t max_deaths_;
    recovery_report report_;
    bool changed_ = false;
};
template <class Memory, class Table, class Locks, class Letters>
recovery(const ring<Memory>&, const Table&, Locks&, Letters&, std::uint64_t) -> recovery<Memory, Table, Locks, Letters>;

}  // namespace promisqs::detail
