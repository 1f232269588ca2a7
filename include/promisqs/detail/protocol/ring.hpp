// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ring: Dmitry Vyukov's bounded multi-producer multi-consumer queue (1024cores.net, "Bounded MPMC queue"), changed in
// four points: any capacity from 1 up is exact; a participant announces the ticket it is about to claim, so that a claim
// can be traced to its owner; full, empty, and "somebody is in the middle of it" are told apart; and a message whose consumer
// died is delivered again. The words used here are explained in tickets.hpp.
//
// A side that is declared to have a single participant claims by a plain store: nobody else moves its counter, except that anybody may
// close the queue; see [Q1].
//
// Nothing here knows the system, a clock, shared memory or an exception. `Memory` is as in ring_state.hpp, and has `light_barrier()`:
// what the calling thread did before comes before what it does after it for everybody who has a heavy barrier in between. A
// `Participant` has the atomic 64-bit words push_intent, push_count, pop_intent and pop_count.
//
// Looking at a ring without taking part is in ring_state.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// A ticket that is one's own, and the stamp that its slot has meanwhile.
struct claim {
    std::uint64_t ticket;
    std::uint64_t stamp;
};

/// Tickets that are one's own, one after the other, and the one after them.
struct batch {
    std::uint64_t first;
    std::uint64_t size;
    std::uint64_t after;
};

template <class Memory>
class ring : public ring_state<Memory> {
    using view = ring_state<Memory>;
    using view::memory_;
    using view::space_;

public:
    using view::count_irregularity;
    using view::in_order;
    using view::stamp_of;

    constexpr ring(Memory memory, std::uint64_t capacity, single_roles roles = {}) noexcept
        : view(memory, capacity), roles_(roles) {}

    /// Pushes, if the slot at the tail is free and nobody else is faster; `fill(void*)` writes the element into it, between
    /// claim and publish, and must not throw. After a false, `resolve_push` says what was in the way.
    template <class Participant, class Fill>
    [[gnu::always_inline]] bool push_if_ready(Participant& me, Fill&& fill) const {
        const ring here = *this;
        claim mine{};
        if (!claim_push(here, me, mine)) [[unlikely]]
            return false;
        fill(here.payload(mine));
        here.publish(mine);
        return true;
    }

    /// Pops, if the slot at the head is full and nobody else is faster; `use(const void*)` reads the element from it, between
    /// claim and release, and must not throw. After a false, `pop_otherwise` does what else can be done.
    template <class Participant, class Use>
    [[gnu::always_inline]] bool pop_if_ready(Participant& me, Use&& use) const {
        const ring here = *this;
        claim mine{};
        if (!claim_at_head<slot_state::full>(here, me, mine)) [[unlikely]]
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

    /// Pushes as many as are ready in a row, up to `most`, with one claim; none if that would be less than `least`, or somebody else is
    /// faster. `fill(void*, i)` writes the i-th. Each is published on its own.
    ///
    /// \return  how many
    template <class Participant, class Fill>
    std::uint64_t push_some_if_ready(Participant& me, std::uint64_t least, std::uint64_t most, Fill fill) const {
        const ring here = *this;
        batch mine{};
        if (!here.claim_pushes(me, least, most, mine)) return 0;
        std::uint64_t ticket = mine.first;
        for (std::uint64_t i = 0; i < mine.size; ++i, ticket = here.space_.next(ticket)) {
            const claim one{ticket, make_stamp(here.space_.lap(ticket), slot_state::free)};
            fill(here.payload(one), i);
            here.publish(one);
        }
        // [B1] release, pairs with the acquire of the count at [R4]: who reads that there is one ticket sees that all are published. Single
        // pushes leave the count alone.
        me.push_count.store(1, std::memory_order_release);
        return mine.size;
    }

    /// Pops as many as are ready in a row, up to `most`, with one claim; none if somebody else is faster. `use(const void*, i)` reads the
    /// i-th. Each is released on its own.
    ///
    /// \return  how many
    template <class Participant, class Use>
    std::uint64_t pop_some_if_ready(Participant& me, std::uint64_t most, Use use) const {
        const ring here = *this;
        batch mine{};
        if (!here.claim_pops(me, most, mine)) return 0;
        std::uint64_t ticket = mine.first;
        for (std::uint64_t i = 0; i < mine.size; ++i, ticket = here.space_.next(ticket)) {
            const claim one{ticket, make_stamp(here.space_.lap(ticket), slot_state::full)};
            use(static_cast<const void*>(here.payload(one)), i);
            here.release(one);
        }
        me.pop_count.store(1, std::memory_order_release);  // [B2] as [B1]
        return mine.size;
    }

    /// Claims the ticket at the tail, if its slot is free and nobody else is faster.
    template <class Participant>
    [[gnu::always_inline]] bool claim_push(Participant& me, claim& mine) const {
        return claim_push(*this, me, mine);
    }

    /// Claims the ticket at the head, if its slot is full and nobody else is faster.
    template <class Participant>
    [[gnu::always_inline]] bool claim_pop(Participant& me, claim& mine) const {
        return claim_at_head<slot_state::full>(*this, me, mine);
    }

    template <class Participant>
    [[gnu::always_inline]] bool claim_pop(const ring& here, Participant& me, claim& mine) const {
        return claim_at_head<slot_state::full>(here, me, mine);
    }

    /// Claims an orphan, if there is one and nothing can be had at the head; otherwise says what is in the way. A void at the
    /// head is taken out of the way.
    template <class Participant>
    [[gnu::noinline]] outcome claim_otherwise(Participant& me, claim& mine) const {
        const outcome result = resolve_pop(me);
        const bool nothing_there = result == outcome::empty || result == outcome::closed;
        if (!nothing_there && result != outcome::in_progress) return result;
        if (!in_order() && claim_orphan(me, mine)) return outcome::ok;
        // What a consumer still holds may come back.
        return result == outcome::closed && this->is_in_flight() ? outcome::empty : result;
    }

    [[nodiscard]] const single_roles& roles() const noexcept { return roles_; }

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
        stamp_of(mine.ticket).store(mine.stamp + make_stamp(0, slot_state::tombstone), std::memory_order_release);
        count_irregularity();
    }

    /// Gives the slot of a popped message back: the message has been handed over.
    [[gnu::always_inline]] void release(const claim& mine) const noexcept {
        // [C3] release, pairs with [P1]: our reads of the element are over before the slot reads free.
        stamp_of(mine.ticket)
            .store(make_stamp(space_.lap_after(mine.ticket), slot_state::free), std::memory_order_release);
    }

    /// Leaves a claimed message to somebody else.
    ///
    /// \return  false: that has happened so often that it takes the recovery lock; see `requeue_locked`
    template <class Participant>
    [[nodiscard]] bool requeue(Participant& me, const claim& mine) const noexcept {
        const delivery_state state(mine.stamp - space_.lap(mine.stamp));
        if (!state.can_be_requeued()) return false;
        make_orphan(me, mine, state.after_requeue());
        return true;
    }
    /// Likewise; the caller holds the recovery lock.
    template <class Participant>
    void requeue_locked(Participant& me, const claim& mine) const noexcept {
        make_orphan(me, mine, delivery_state(mine.stamp - space_.lap(mine.stamp)).after_many());
    }

    /// Why a push was not ready. A void at the head that is in its way is taken out of it.
    template <class Participant>
    [[nodiscard]] outcome resolve_push(Participant& me) const noexcept {
        // [P0] acquire, pairs with [P3] of all earlier tickets: the slot's stamp, read next, is then not older than what the
        // claim of this slot in the lap before had seen. Relaxed would make an honest stale read look like corruption.
        const std::uint64_t tail = memory_.tail().load(std::memory_order_acquire);
        const std::uint64_t ticket = space_.ticket_of(tail);
        if (!space_.valid(ticket)) return outcome::corrupt;
        if (space_.closed(tail)) return outcome::closed;
        // [P6] acquire (part of seq_cst), pairs with [P4] and [C3]: whoever brought the slot into a later state had moved `tail` before,
        // and the look at it below sees that. seq_cst: [W2].
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_seq_cst);
        if (space_.is_stamp(stamp, ticket, slot_state::free)) return outcome::contended;  // it is by now
        if (!ticket_space::before(stamp, space_.lap(ticket))) {
            // Filled in this lap: whoever did claimed the ticket before, so `tail` has moved on.
            return memory_.tail().load(std::memory_order_relaxed) == tail ? outcome::corrupt : outcome::contended;
        }
        // The slot still belongs to the lap before.
        const std::uint64_t ticket_before = space_.previous_lap(ticket);
        const delivery_state state(stamp - space_.lap(ticket_before));
        if (state.value() > delivery_state::last) return outcome::corrupt;
        if (state.is_orphan()) {
            if (in_order()) count_irregularity();  // whoever made it one may have died before it could
            return outcome::full;
        }
        // If no consumer has claimed the full slot yet, the tickets from it up to here are `capacity`: at the instant of this
        // load, there is no room. By [P0], `head` is not behind that ticket, and nothing is read on the strength of it. seq_cst: [W2].
        const std::uint64_t head = memory_.head().load(std::memory_order_seq_cst);
        if (ticket_space::before(head, ticket_before)) return outcome::corrupt;
        if (head != ticket_before) return outcome::in_progress;  // its consumer has not released it yet
        if (space_.is_stamp(stamp, ticket_before, slot_state::full)) return outcome::full;
        if (space_.is_stamp(stamp, ticket_before, slot_state::free)) return outcome::in_progress;  // not published
        // Retaken, before it was ever taken: by [P6], a head that was past it would be seen.
        if (!space_.is_stamp(stamp, ticket_before, slot_state::tombstone)) return outcome::corrupt;
        if (roles_.consumer) return outcome::full;  // only the consumer moves the head
        take_void(me);
        return outcome::contended;
    }

    /// Why a push of `least` in a row was not ready.
    template <class Participant>
    [[nodiscard]] outcome resolve_push_some(Participant& me, std::uint64_t least) const noexcept {
        const outcome first = resolve_push(me);
        if (first != outcome::contended) return first;
        // Relaxed: not older than what was found just now; an old one only makes it look again.
        const std::uint64_t tail = memory_.tail().load(std::memory_order_relaxed);
        const std::uint64_t ticket = ready_from<slot_state::free>(tail, least).after;
        if (space_.distance(space_.ticket_of(tail), ticket) >= least || !space_.valid(tail)) return outcome::contended;
        // The first that is not ready still belongs to the lap before, and, as above, nobody has claimed it yet; or it is in the way.
        const std::uint64_t ticket_before = space_.previous_lap(ticket);
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_seq_cst);
        if (delivery_state(stamp - space_.lap(ticket_before)).is_orphan()) return outcome::full;
        const std::uint64_t head = memory_.head().load(std::memory_order_seq_cst);
        if (!ticket_space::before(ticket_before, head)) return outcome::full;
        return outcome::in_progress;
    }

    /// Lets no ticket be claimed for a push any more.
    void close() const noexcept {
        // [X2] release, pairs with [X1]. seq_cst: [W1].
        memory_.tail().fetch_or(space_.closed_bit(), std::memory_order_seq_cst);
    }

public:
    // In the claims that follow, `here` is this ring, or a copy whose members are in registers: the compiler can't know that no atomic changes
    // `*this`. What is needed once is read from `*this`, so that no register waits for it.

    template <class Participant>
    [[gnu::always_inline]] bool claim_push(const ring& here, Participant& me, claim& mine) const {
        // Relaxed: an old tail only makes the claim fail, and [P1] orders the slot. Why it failed is looked at again, with [P0].
        const std::uint64_t ticket = here.memory_.tail().load(std::memory_order_relaxed);
        std::uint64_t after{};
        if (!here.space_.step(ticket, after)) [[unlikely]]  // closed; or corrupt
            return false;
        // [P1] acquire, pairs with the consumer's release [C3]: once the slot reads free, the consumer has read its element.
        // Relaxed would let our bytes overtake its copy.
        const std::uint64_t stamp = here.stamp_of(ticket).load(std::memory_order_acquire);
        if (!here.space_.is_stamp(stamp, ticket, slot_state::free)) [[unlikely]]
            return false;
        mine = {ticket, stamp};
        return announce_and_advance_tail(here.memory_, me, ticket, after);
    }

    // Claims the ticket at the head, if its slot is in this state.
    template <slot_state State, class Participant>
    [[gnu::always_inline]] bool claim_at_head(const ring& here, Participant& me, claim& mine) const {
        // Relaxed: an old head only makes the claim fail, and [C1] orders the slot. Why it failed is looked at again, with [C0].
        const std::uint64_t ticket = here.memory_.head().load(std::memory_order_relaxed);
        std::uint64_t after{};
        if (!here.space_.step(ticket, after)) [[unlikely]]
            return false;
        // [C1] acquire, pairs with [P4]: once the stamp says full, the producer's copy is visible here. Relaxed would let the
        // copy that follows read the previous lap's bytes.
        const std::uint64_t stamp = here.stamp_of(ticket).load(std::memory_order_acquire);
        if (!here.space_.is_stamp(stamp, ticket, State)) [[unlikely]]
            return false;
        // [C4] release, pairs with recovery's acquire of the intent [R4]: as [P2], for the previous pop.
        me.pop_intent.store(ticket, std::memory_order_release);
        mine = {ticket, stamp};
        if (advance_head(here.memory_, ticket, after)) [[likely]]
            return true;
        me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C5] as [P5]
        return false;
    }

    // Makes a ticket one's own, whose slot was ready.
    template <class Participant>
    [[gnu::always_inline]] bool announce_and_advance_tail(const Memory& memory, Participant& me, std::uint64_t ticket,
                                                          std::uint64_t after) const {
        // [P2] release, pairs with recovery's acquire of the intent [R4]: who reads this ticket here sees that our previous push
        // is published. Relaxed would let recovery find that push's slot unpublished and nobody's.
        me.push_intent.store(ticket, std::memory_order_release);
        if (advance_tail(memory, ticket, after)) [[likely]]
            return true;
        // Before anything else: as long as it stands, this intent would keep the ticket's owner from being found dead.
        // [P5] release, as [P2]: who reads "none" here, too, sees that our previous push is published.
        me.push_intent.store(layout::no_ticket, std::memory_order_release);
        return false;
    }

    [[gnu::always_inline]] bool advance_tail(const Memory& memory, std::uint64_t ticket, std::uint64_t after) const {
        if (roles_.producer) {
            // [Q1] Whoever closes sets the bit in `tail`, has a heavy barrier, and looks at our intent. So either this look sees the
            // bit, or the intent is seen, and it is known that the store below may wipe the bit out: `close_single_producer`.
            memory.light_barrier();
            if (memory.tail().load(std::memory_order_relaxed) != ticket) [[unlikely]]
                return false;
            memory.tail().store(after, std::memory_order_release);  // [P3]
            return true;
        }
        // [P3] release (part of seq_cst), pairs with [P0] and recovery's acquire of `tail` [R2]: who sees the ticket claimed sees
        // the intent. Relaxed would show a claim without an owner. seq_cst: [W1]. Failing orders nothing.
        return memory.tail().compare_exchange_strong(ticket, after, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed);
    }

    [[gnu::always_inline]] bool advance_head(const Memory& memory, std::uint64_t ticket, std::uint64_t after) const {
        if (roles_.consumer) {
            memory.head().store(after, std::memory_order_release);  // [C2]
            return true;
        }
        // [C2] release (part of seq_cst), pairs with [C0] and recovery's acquire of `head` [R3]: as [P3].
        return memory.head().compare_exchange_strong(ticket, after, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed);
    }

    // How many slots in a row, from a ticket on, are in this state; and the ticket after them. Acquire: [P1], [C1].
    template <slot_state State>
    [[nodiscard]] batch ready_from(std::uint64_t first, std::uint64_t most) const noexcept {
        batch found{first, 0, first};
        for (std::uint64_t after{}; found.size < most && space_.step(found.after, after); ++found.size) {
            const std::uint64_t stamp = stamp_of(found.after).load(std::memory_order_acquire);
            if (!space_.is_stamp(stamp, found.after, State)) break;
            found.after = after;
        }
        return found;
    }

    template <class Participant>
    bool claim_pushes(Participant& me, std::uint64_t least, std::uint64_t most, batch& mine) const {
        mine = ready_from<slot_state::free>(memory_.tail().load(std::memory_order_relaxed), most);
        if (mine.size == 0 || mine.size < least) return false;
        // [B3] release, pairs with the acquire of the count at [R4], as [B1]: an old intent may be seen with this count. Before the intent,
        // so that who sees that sees a count that is not too small.
        me.push_count.store(mine.size, std::memory_order_release);
        if (announce_and_advance_tail(memory_, me, mine.first, mine.after)) return true;
        me.push_count.store(1, std::memory_order_release);
        return false;
    }

    template <class Participant>
    bool claim_pops(Participant& me, std::uint64_t most, batch& mine) const {
        mine = ready_from<slot_state::full>(memory_.head().load(std::memory_order_relaxed), most);
        if (mine.size == 0) return false;
        me.pop_count.store(mine.size, std::memory_order_release);    // [B4] as [B3]
        me.pop_intent.store(mine.first, std::memory_order_release);  // [C4]
        if (advance_head(memory_, mine.first, mine.after)) return true;
        me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C5]
        me.pop_count.store(1, std::memory_order_release);
        return false;
    }

    // Frees a void at the head, if there still is one.
    template <class Participant>
    void take_void(Participant& me) const noexcept {
        claim mine{};
        if (claim_at_head<slot_state::tombstone>(*this, me, mine)) release(mine);
    }

    // Claims the oldest orphan. False: there is none, or others were faster.
    template <class Participant>
    [[nodiscard]] bool claim_orphan(Participant& me, claim& mine) const noexcept {
        // [D3] acquire, pairs with [D1], as [D2].
        const std::uint64_t counted = memory_.irregular_count().load(std::memory_order_acquire);
        bool all_gone = true;
        bool done = false;
        this->for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            const delivery_state state(stamp - space_.lap(ticket));
            if (space_.is_stamp(stamp, ticket, slot_state::tombstone)) all_gone = false;
            if (!state.is_orphan()) return true;
            all_gone = false;
            done = retake(me, mine, ticket, stamp);
            return !done;
        });
        // Relaxed: it says nothing of what became of the slots later; what did so was counted again.
        if (all_gone) memory_.irregular_cleared_at().store(counted, std::memory_order_relaxed);
        return done;
    }

    template <class Participant>
    [[nodiscard]] bool retake(Participant& me, claim& mine, std::uint64_t ticket, std::uint64_t stamp) const noexcept {
        const std::uint64_t retaken = space_.lap(ticket) + delivery_state(stamp - space_.lap(ticket)).retaken().value();
        mine = {ticket, retaken};
        me.pop_intent.store(ticket, std::memory_order_release);  // [C6] as [C4]
        // [C7] release, pairs with recovery's acquire of the stamp [R1]: who sees it retaken sees the intent. Acquire: the
        // element is read next; it was visible to whoever made this an orphan. seq_cst: [W1]. Failing orders nothing.
        if (stamp_of(ticket).compare_exchange_strong(stamp, retaken, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed)) {
            return true;
        }
        me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C8] as [C5]
        return false;
    }

    template <class Participant>
    void make_orphan(Participant& me, const claim& mine, delivery_state state) const noexcept {
        // [C9] release: our reads of the element are over before somebody else frees the slot; and who finds the orphan sees the
        // element, as we did.
        stamp_of(mine.ticket).store(space_.lap(mine.ticket) + state.value(), std::memory_order_release);
        count_irregularity();
        // The ticket can be claimed again: as long as it stands here, we would be taken for its owner, and if that one died,
        // nobody could be sure of it. Last, so that whoever finds us dead before makes up for the count.
        me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // [C11] as [C5]
    }

    template <class Participant>
    [[nodiscard]] outcome resolve_pop(Participant& me) const noexcept {
        // [C0] acquire, pairs with the claims [C2] of all earlier tickets, whose owners had seen those tickets pushed: a tail
        // read later is not behind this head, and the slot's stamp not older than the lap before.
        const std::uint64_t ticket = memory_.head().load(std::memory_order_acquire);
        if (!space_.valid(ticket)) return outcome::corrupt;
        // Acquire, as [P6], for `head`.
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_acquire);
        if (space_.is_stamp(stamp, ticket, slot_state::full)) return outcome::contended;  // it is by now
        if (space_.is_stamp(stamp, ticket, slot_state::tombstone)) {
            take_void(me);
            return outcome::contended;
        }
        return this->resolve_not_full(ticket, ticket, stamp);
    }

    single_roles roles_;
};

}  // namespace promisqs::detail
