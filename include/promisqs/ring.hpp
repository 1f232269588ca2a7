// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ring: Dmitry Vyukov's bounded multi-producer multi-consumer queue (1024cores.net, "Bounded MPMC queue"), changed in
// four points: any capacity from 1 up is exact; a participant announces the ticket it is about to claim, so that a claim
// can be traced to its owner; full, empty, and "somebody is in the middle of it" are told apart; and a message whose consumer
// died is delivered again. The words used here are explained in tickets.hpp.
//
// Nothing here knows the system, a clock, shared memory or an exception. `Memory` is as in ring_view.hpp; a `Participant` has the
// atomic 64-bit words push_intent and pop_intent.
//
// Looking at a ring without taking part is in ring_view.hpp.

#include <promisqs/layout.hpp>
#include <promisqs/ring_view.hpp>
#include <promisqs/tickets.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs {

/// A ticket that is one's own, and the stamp that its slot has meanwhile.
struct claim {
    std::uint64_t ticket;
    std::uint64_t stamp;
};

template <class Memory>
class ring : public ring_view<Memory> {
    using view = ring_view<Memory>;
    using view::memory_;
    using view::space_;

public:
    using view::calm;
    using view::count_disturbance;
    using view::stamp_of;
    using view::view;

    /// Pushes, if the slot at the tail is free and nobody else is faster; `fill(void*)` writes the element into it, between
    /// claim and publish, and must not throw. After a false, `why_not_push` says what was in the way.
    template <class Participant, class Fill>
    [[gnu::always_inline]] bool push_if_ready(Participant& me, Fill&& fill) const {
        const ring here =
            *this;  // so that nothing is read again: the compiler can't know that no atomic changes `*this`
        claim mine{};
        if (!here.claim_push(me, mine)) [[unlikely]]
            return false;
        fill(here.payload(mine));
        here.publish(mine);
        return true;
    }

    /// Pops, if the slot at the head is full and nobody else is faster; `use(const void*)` reads the element from it, between
    /// claim and release, and must not throw. After a false, `pop_otherwise` does what else can be done.
    template <class Participant, class Use>
    [[gnu::always_inline]] bool pop_if_ready(Participant& me, Use&& use) const {
        const ring here = *this;  // as in a push
        claim mine{};
        if (!here.claim_pop(me, mine)) [[unlikely]]
            return false;
        use(static_cast<const void*>(here.payload(mine)));
        here.release(mine);
        return true;
    }

    /// Pops a message that came back, if there is one and nothing can be had at the head; otherwise says what is in the way.
    template <class Participant, class Use>
    outcome pop_otherwise(Participant& me, Use&& use) const {
        claim mine{};
        const outcome result = claim_otherwise(me, mine);
        if (result == outcome::ok) {
            use(static_cast<const void*>(payload(mine)));
            release(mine);
        }
        return result;
    }

    /// Claims the ticket at the tail, if its slot is free and nobody else is faster.
    template <class Participant>
    [[gnu::always_inline]] bool claim_push(Participant& me, claim& mine) const {
        // Copies, so that nothing is read again after each atomic: the compiler can't know that none of them changes `*this`.
        const Memory memory = memory_;
        const ticket_space space = space_;
        // Relaxed: an old tail only makes the claim fail, and [P1] orders the slot. Why it failed is looked at again, with [P0].
        std::uint64_t ticket = memory.tail().load(std::memory_order_relaxed);
        const std::uint64_t index = space.index(ticket);
        if (!space.valid(ticket)) [[unlikely]]  // closed; or corrupt
            return false;
        const std::uint64_t free = make_stamp(space.lap(ticket), slot_state::free);
        // [P1] acquire, pairs with the consumer's release [C3]: once the slot reads free, the consumer has read its element.
        // Relaxed would let our bytes overtake its copy.
        if (memory.stamp(index).load(std::memory_order_acquire) != free) [[unlikely]]
            return false;
        // [P2] release, pairs with recovery's acquire of the intent [R4]: who reads this ticket here sees that our previous push
        // is published. Relaxed would let recovery find that push's slot unpublished and nobody's.
        me.push_intent.store(ticket, std::memory_order_release);
        mine = {ticket, free};
        // [P3] release (part of seq_cst), pairs with [P0] and recovery's acquire of `tail` [R2]: who sees the ticket claimed sees
        // the intent. Relaxed would show a claim without an owner. seq_cst, so that a producer's look at a wait word after it,
        // and a sleeper's announcement followed by its look at `tail`, can't both miss. Failing orders nothing.
        if (!memory.tail().compare_exchange_strong(ticket, space.next(ticket), std::memory_order_seq_cst,
                                                   std::memory_order_relaxed)) [[unlikely]] {
            // Before anything else: as long as it stands, this intent would keep the ticket's owner from being found dead.
            // [P5] release, as [P2]: who reads "none" here, too, sees that our previous push is published.
            me.push_intent.store(layout::no_ticket, std::memory_order_release);
            return false;
        }
        return true;
    }

    /// Claims the ticket at the head, if its slot is full and nobody else is faster.
    template <class Participant>
    [[gnu::always_inline]] bool claim_pop(Participant& me, claim& mine) const {
        return claim_at_head<slot_state::full>(me, mine);
    }

    /// Claims an orphan, if there is one and nothing can be had at the head; otherwise says what is in the way. A void at the
    /// head is taken out of the way.
    template <class Participant>
    [[gnu::noinline]] outcome claim_otherwise(Participant& me, claim& mine) const {
        const outcome result = why_not_pop(me);
        const bool nothing_there = result == outcome::empty || result == outcome::closed;
        if (!nothing_there && result != outcome::busy) return result;
        if (!calm() && claim_orphan(me, mine)) return outcome::ok;
        // What a consumer still holds may come back.
        return result == outcome::closed && this->is_held_by_consumer() ? outcome::empty : result;
    }

    [[nodiscard]] [[gnu::always_inline]] void* payload(const claim& mine) const noexcept {
        return memory_.payload(space_.index(mine.ticket));
    }

    /// Makes a pushed message visible.
    [[gnu::always_inline]] void publish(const claim& mine) const noexcept {
        // [P4] release, pairs with [C1] and [K1]: who reads full sees the whole element.
        stamp_of(mine.ticket).store(mine.stamp + make_stamp(0, slot_state::full), std::memory_order_release);
    }

    /// Gives a claimed push up: its slot holds no message in this lap.
    void give_up(const claim& mine) const noexcept {
        // [P7] release, as [P4]; what the slot holds is of no use to anybody, but whoever frees it lets the next one write there.
        stamp_of(mine.ticket).store(mine.stamp + make_stamp(0, slot_state::voided), std::memory_order_release);
        count_disturbance();
    }

    /// Gives the slot of a popped message back: the message has been handed over.
    [[gnu::always_inline]] void release(const claim& mine) const noexcept {
        // [C3] release, pairs with [P1]: our reads of the element are over before the slot reads free.
        stamp_of(mine.ticket)
            .store(make_stamp(space_.next_lap(space_.lap(mine.ticket)), slot_state::free), std::memory_order_release);
    }

    /// Leaves a claimed message to somebody else.
    ///
    /// \return  false: that has happened so often that it takes the recovery lock; see `hand_back_locked`
    template <class Participant>
    [[nodiscard]] bool hand_back(Participant& me, const claim& mine) const noexcept {
        const returned_state state(mine.stamp - space_.lap(mine.stamp));
        if (!state.can_be_handed_back()) return false;
        make_orphan(me, mine, state.after_hand_back());
        return true;
    }
    /// Likewise; the caller holds the recovery lock.
    template <class Participant>
    void hand_back_locked(Participant& me, const claim& mine) const noexcept {
        make_orphan(me, mine, returned_state(mine.stamp - space_.lap(mine.stamp)).after_many());
    }

    /// Why a push was not ready. A void at the head that is in its way is taken out of it.
    template <class Participant>
    [[nodiscard]] outcome why_not_push(Participant& me) const noexcept {
        // [P0] acquire, pairs with [P3] of all earlier tickets: the slot's stamp, read next, is then not older than what the
        // claim of this slot in the lap before had seen. Relaxed would make an honest stale read look like corruption.
        const std::uint64_t tail = memory_.tail().load(std::memory_order_acquire);
        const std::uint64_t ticket = space_.ticket_of(tail);
        if (!space_.valid(ticket)) return outcome::corrupt;
        if (space_.closed(tail)) return outcome::closed;
        // [P6] acquire, pairs with [P4] and [C3]: whoever brought the slot into a later state had moved `tail` before, and the look
        // at it below sees that.
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_acquire);
        if (stamp == make_stamp(space_.lap(ticket), slot_state::free)) return outcome::contended;  // it is by now
        if (!ticket_space::before(stamp, space_.lap(ticket))) {
            // Filled in this lap: whoever did claimed the ticket before, so `tail` has moved on.
            return memory_.tail().load(std::memory_order_relaxed) == tail ? outcome::corrupt : outcome::contended;
        }
        // The slot still belongs to the lap before.
        const std::uint64_t ticket_before = space_.previous_lap(ticket);
        const returned_state state(stamp - space_.lap(ticket_before));
        if (state.value() > returned_state::last) return outcome::corrupt;
        if (state.is_orphan()) {
            if (calm()) count_disturbance();  // whoever made it one may have died before it could
            return outcome::full;
        }
        // If no consumer has claimed the full slot yet, the tickets from it up to here are `capacity`: at the instant of this
        // load, there is no room. Relaxed: by [P0], `head` is not behind that ticket, and nothing is read on the strength of it.
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        if (ticket_space::before(head, ticket_before)) return outcome::corrupt;
        if (head != ticket_before) return outcome::busy;  // its consumer has not released it yet
        if (stamp == make_stamp(space_.lap(ticket_before), slot_state::full)) return outcome::full;
        if (stamp == make_stamp(space_.lap(ticket_before), slot_state::free)) return outcome::busy;  // not published
        // Retaken, before it was ever taken: by [P6], a head that was past it would be seen.
        if (stamp != make_stamp(space_.lap(ticket_before), slot_state::voided)) return outcome::corrupt;
        take_void(me);
        return outcome::contended;
    }

    /// Lets no ticket be claimed for a push any more.
    void close() const noexcept {
        // [X2] seq_cst, as [P3]: a sleeper that looks at `tail` and the one who closes and wakes sleepers can't both miss.
        memory_.tail().fetch_or(space_.closed_bit(), std::memory_order_seq_cst);
    }

private:
    // Claims the ticket at the head, if its slot is in this state.
    template <slot_state State, class Participant>
    [[gnu::always_inline]] bool claim_at_head(Participant& me, claim& mine) const {
        const Memory memory = memory_;  // copies, as in a push
        const ticket_space space = space_;
        // Relaxed: an old head only makes the claim fail, and [C1] orders the slot. Why it failed is looked at again, with [C0].
        std::uint64_t ticket = memory.head().load(std::memory_order_relaxed);
        const std::uint64_t index = space.index(ticket);
        if (!space.valid(ticket)) [[unlikely]]
            return false;
        const std::uint64_t stamp = make_stamp(space.lap(ticket), State);
        // [C1] acquire, pairs with [P4]: once the stamp says full, the producer's copy is visible here. Relaxed would let the
        // copy that follows read the previous lap's bytes.
        if (memory.stamp(index).load(std::memory_order_acquire) != stamp) [[unlikely]]
            return false;
        // [C4] release, pairs with recovery's acquire of the intent [R4]: as [P2], for the previous pop.
        me.pop_intent.store(ticket, std::memory_order_release);
        mine = {ticket, stamp};
        // [C2] release (part of seq_cst), pairs with [C0] and recovery's acquire of `head` [R3]: as [P3].
        if (!memory.head().compare_exchange_strong(ticket, space.next(ticket), std::memory_order_seq_cst,
                                                   std::memory_order_relaxed)) [[unlikely]] {
            me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C5] as [P5]
            return false;
        }
        return true;
    }

    // Frees a void at the head, if there still is one.
    template <class Participant>
    void take_void(Participant& me) const noexcept {
        claim mine{};
        if (claim_at_head<slot_state::voided>(me, mine)) release(mine);
    }

    // Claims the oldest orphan. False: there is none, or others were faster.
    template <class Participant>
    [[nodiscard]] bool claim_orphan(Participant& me, claim& mine) const noexcept {
        // [D3] acquire, pairs with [D1], as [D2].
        const std::uint64_t counted = memory_.disturbances().load(std::memory_order_acquire);
        bool all_gone = true;
        bool done = false;
        this->for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            const returned_state state(stamp - space_.lap(ticket));
            if (stamp == make_stamp(space_.lap(ticket), slot_state::voided)) all_gone = false;
            if (!state.is_orphan()) return true;
            all_gone = false;
            done = retake(me, mine, ticket, stamp);
            return !done;
        });
        // Relaxed: it says nothing of what became of the slots later; what did so was counted again.
        if (all_gone) memory_.calm_at().store(counted, std::memory_order_relaxed);
        return done;
    }

    template <class Participant>
    [[nodiscard]] bool retake(Participant& me, claim& mine, std::uint64_t ticket, std::uint64_t stamp) const noexcept {
        const std::uint64_t retaken = space_.lap(ticket) + returned_state(stamp - space_.lap(ticket)).retaken().value();
        mine = {ticket, retaken};
        me.pop_intent.store(ticket, std::memory_order_release);  // [C6] as [C4]
        // [C7] release, pairs with recovery's acquire of the stamp [R1]: who sees it retaken sees the intent. Acquire: the
        // element is read next; it was visible to whoever made this an orphan. Failing orders nothing.
        if (stamp_of(ticket).compare_exchange_strong(stamp, retaken, std::memory_order_acq_rel,
                                                     std::memory_order_relaxed)) {
            return true;
        }
        me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C8] as [C5]
        return false;
    }

    template <class Participant>
    void make_orphan(Participant& me, const claim& mine, returned_state state) const noexcept {
        // [C9] release: our reads of the element are over before somebody else frees the slot; and who finds the orphan sees the
        // element, as we did.
        stamp_of(mine.ticket).store(space_.lap(mine.ticket) + state.value(), std::memory_order_release);
        count_disturbance();
        // The ticket can be claimed again: as long as it stands here, we would be taken for its owner, and if that one died,
        // nobody could be sure of it. Last, so that whoever finds us dead before makes up for the count.
        me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C11] as [C5]
    }

    template <class Participant>
    [[nodiscard]] outcome why_not_pop(Participant& me) const noexcept {
        // [C0] acquire, pairs with the claims [C2] of all earlier tickets, whose owners had seen those tickets pushed: a tail
        // read later is not behind this head, and the slot's stamp not older than the lap before.
        const std::uint64_t ticket = memory_.head().load(std::memory_order_acquire);
        if (!space_.valid(ticket)) return outcome::corrupt;
        // Acquire, as [P6], for `head`.
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_acquire);
        if (stamp == make_stamp(space_.lap(ticket), slot_state::full)) return outcome::contended;  // it is by now
        if (stamp == make_stamp(space_.lap(ticket), slot_state::voided)) {
            take_void(me);
            return outcome::contended;
        }
        return this->why_not_full(ticket, ticket, stamp);
    }
};

}  // namespace promisqs
