// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ring: Dmitry Vyukov's bounded multi-producer multi-consumer queue (1024cores.net, "Bounded MPMC queue"), with
// what processes need that may be killed. docs/protocol.md says what has been changed, and why.
//
// The ring is in three parts: ring_state.hpp reads, ring_claims.hpp claims what is ready, and this one does the rest.
// None of them knows the system, a clock, shared memory or an exception.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ring_claims.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

template <class Memory>
class ring : public ring_claims<Memory> {
    using base = ring_claims<Memory>;
    using base::memory_;
    using base::roles_;
    using base::space_;

public:
    using base::in_order;
    using base::release;
    using base::stamp_of;

    constexpr ring(Memory memory, std::uint64_t capacity, single_roles roles = {}) noexcept
        : base(memory, capacity, roles) {}

    /// Says why a push of `least` messages in a row was not ready. Frees a tombstone at the head that is in its way.
    ///
    /// \param least  1 to the capacity
    template <class Participant>
    [[nodiscard]] outcome resolve_push(Participant& self, std::uint64_t least = 1) const noexcept {
        // [P0] acquire, in seq_cst, pairs with [P3] and [X2]: the claims of all earlier tickets are seen. The slot's
        // stamp, read next, is not older than what the claim of this slot in the lap before had seen. Relaxed would
        // make an honest stale read look like corruption. seq_cst: [W2] and [X2]. Acquire would let a producer that
        // goes to sleep and the closer miss each other.
        const std::uint64_t tail = memory_.tail().load(std::memory_order_seq_cst);
        const std::uint64_t first = space_.ticket_of(tail);
        if (!space_.valid(first)) return outcome::corrupt;
        if (space_.closed(tail)) return outcome::closed;
        std::uint64_t ticket = first;
        for (std::uint64_t i = 0; i < least; ++i, ticket = space_.next(ticket)) {
            // [P6] acquire, in seq_cst, pairs with [P4], [C3] and [C7]: the participant that brought the slot into a
            // later state had moved `tail` or `head` before, or seen it moved, and the loads of them below see that.
            // Relaxed would take that move for corruption. seq_cst: [W2] and [C7]. Acquire would let a producer that an
            // orphan keeps from pushing and the consumer that takes it miss each other.
            const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_seq_cst);
            if (space_.is_stamp(stamp, ticket, slot_state::free)) continue;
            if (ticket_space::before(stamp, space_.lap(ticket))) return resolve_occupied(self, first, ticket, stamp);
            // Filled in this lap: its producer claimed the ticket before that, so `tail` has moved on.
            return memory_.tail().load(std::memory_order_relaxed) == tail ? outcome::corrupt : outcome::contended;
        }
        return outcome::contended;  // they are ready by now
    }

    /// Claims an orphan, if there is one and nothing can be had at the head; otherwise says what is in the way. Frees a
    /// tombstone at the head.
    template <class Participant>
    [[gnu::__noinline__]] outcome claim_otherwise(Participant& self, claim& made) const {
        const outcome result = resolve_pop(self);
        if (!this->leaves_only_orphans(result)) return result;
        if (!in_order() && claim_orphan(self, made)) return outcome::ok;
        return this->unless_in_flight(result);
    }

    /// Claims a message that came back, wherever the head is: the next one behind the message that the participant had
    /// last, or else the oldest.
    ///
    /// \param in_vain  a count of irregularities up to which there is none; changed where it is not found
    template <class Participant>
    [[nodiscard]] bool claim_returned(Participant& self, claim& made, std::uint64_t& in_vain) const noexcept {
        return !in_order() && claim_orphan(self, made, &in_vain);
    }

    /// Frees a tombstone at the head.
    ///
    /// \return  false: there is none
    template <class Participant>
    bool free_tombstone(Participant& self) const noexcept {
        claim made{};
        if (!this->template claim_at_head<slot_state::tombstone>(*this, self, made)) return false;
        release(made);
        return true;
    }

    /// Gives a claimed push up: its slot holds no message in this lap.
    void give_up(const claim& made) const noexcept {
        // [P7] release, pairs with [C1]: the slot's bytes are of no use to anybody, but the participant that frees it
        // lets the next producer write there. Relaxed would let our bytes come after that producer's.
        stamp_of(made.ticket).store(made.stamp + make_stamp(0, slot_state::tombstone), std::memory_order_release);
        count_irregularity();
    }

    /// Leaves a claimed message to another consumer.
    ///
    /// \return  false: that has happened so often that it takes the recovery lock; see `requeue_locked`
    template <class Participant>
    [[nodiscard]] bool requeue(Participant& self, const claim& made) const noexcept {
        const delivery_state state(made.stamp - space_.lap(made.stamp));
        if (!state.can_be_requeued()) return false;
        make_orphan(self, made, state.after_requeue());
        return true;
    }
    /// Leaves a claimed message to another consumer. The caller holds the recovery lock.
    template <class Participant>
    void requeue_locked(Participant& self, const claim& made) const noexcept {
        make_orphan(self, made, delivery_state(made.stamp - space_.lap(made.stamp)).saturated());
    }

    /// Leaves all messages of a batch that are not released yet to other consumers.
    template <class Participant>
    void requeue_rest(Participant& self, const batch& made) const noexcept {
        // The last one first, so that what is left is still in a row.
        for (std::uint64_t i = made.size; i-- > 0;) {
            const std::uint64_t ticket = space_.later(made.first, i);
            // Relaxed: only we change the stamp of what we hold.
            const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_relaxed);
            if (!space_.is_stamp(stamp, ticket, slot_state::full)) continue;
            mark_orphan({ticket, stamp}, delivery_state(stamp - space_.lap(ticket)).after_requeue());
            if (i == 0) break;
            // [B10] release, pairs with [R9]: a recovery that reads this count sees that the message behind the row is
            // an orphan. Relaxed would show the shorter row first, and a message that is claimed and that nobody owns.
            self.pop_count.store(i, std::memory_order_release);
        }
        clear_pop_intent(self);
        this->finish_pops(self);
    }

    /// Counts a tombstone or an orphan, after it has been made.
    void count_irregularity() const noexcept {
        // [D1] release, in seq_cst, pairs with [D2], [D3] and [I1]: a participant that sees the count finds the
        // tombstone or orphan, or what became of it. Relaxed would let it look in vain, and note that all are gone.
        // seq_cst: [W1] and [D2]. Acq_rel would let this participant and a consumer that goes to sleep miss each other.
        memory_.irregular_count().fetch_add(1, std::memory_order_seq_cst);
    }

    /// Lets no more tickets be claimed for a push.
    void close() const noexcept {
        // [X2] release, in seq_cst, pairs with [X1] and [P0]: what the closer did before is seen. Relaxed would show
        // the end before what led to it. seq_cst: [W1], [C10] and [P0]. Acq_rel would let the closer and a participant
        // that goes to sleep miss each other.
        memory_.tail().fetch_or(space_.closed_bit(), std::memory_order_seq_cst);
    }

private:
    // What keeps a push waiting that begins at ticket `first`, if the slot of `ticket` still belongs to the lap before,
    // with this stamp.
    template <class Participant>
    [[nodiscard]] outcome resolve_occupied(Participant& self, std::uint64_t first, std::uint64_t ticket,
                                           std::uint64_t stamp) const noexcept {
        const std::uint64_t occupant = space_.previous_lap(ticket);
        const delivery_state state(stamp - space_.lap(occupant));
        if (state.value() > delivery_state::last) return outcome::corrupt;
        if (state.is_orphan()) {
            if (in_order()) count_irregularity();  // its maker may have died before it could
            return outcome::full;
        }
        // If no consumer has claimed the occupant yet, there is no room: at the instant of this load. By [P0], `head`
        // is not more than a lap behind the first ticket.
        // [P9] seq_cst, pairs with [C2]: after the announcement [W2], this producer sees the claim, or the consumer
        // sees the announcement. Acquire would let both miss the other. Nothing is read on the strength of it.
        const std::uint64_t head = memory_.head().load(std::memory_order_seq_cst);
        if (ticket_space::before(head, space_.previous_lap(first)) || !space_.valid(head)) return outcome::corrupt;
        if (ticket_space::before(occupant, head)) return outcome::in_progress;  // its consumer has not released it yet
        // Retaken, before it was ever taken: by [P6], a head past it would be seen.
        if (state.is_retaken()) return outcome::corrupt;
        if (head == occupant) return resolve_head(self, head, stamp);
        // [P10] acquire, pairs with [P4] and [C3]: as [C13]. Relaxed would take another consumer's move of `head` for
        // corruption.
        return resolve_head(self, head, stamp_of(head).load(std::memory_order_acquire));
    }

    // What keeps a push waiting that needs the slot at the head, or one behind it. Frees a tombstone there.
    template <class Participant>
    [[nodiscard]] outcome resolve_head(Participant& self, std::uint64_t head, std::uint64_t stamp) const noexcept {
        if (space_.is_stamp(stamp, head, slot_state::full)) return outcome::full;
        if (space_.is_stamp(stamp, head, slot_state::free)) return outcome::in_progress;  // not published
        if (!space_.is_stamp(stamp, head, slot_state::tombstone)) {
            return memory_.head().load(std::memory_order_relaxed) == head ? outcome::corrupt : outcome::contended;
        }
        if (roles_.consumer) return outcome::full;  // only the consumer moves the head
        static_cast<void>(free_tombstone(self));
        return outcome::contended;
    }

    template <class Participant>
    [[nodiscard]] outcome resolve_pop(Participant& self) const noexcept {
        // [C0] acquire, pairs with [C2]: the claims of all earlier tickets are seen, whose owners had seen those
        // tickets pushed. A tail read later is not behind this head, and the slot's stamp is not older than the lap
        // before. Relaxed would make an honest stale read look like corruption.
        const std::uint64_t ticket = memory_.head().load(std::memory_order_acquire);
        if (!space_.valid(ticket)) return outcome::corrupt;
        // [C13] acquire, pairs with [P4] and [C3]: as [P6], for `head`. Relaxed would take another consumer's move of
        // `head` for corruption.
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_acquire);
        if (space_.is_stamp(stamp, ticket, slot_state::full)) return outcome::contended;  // it is ready by now
        if (space_.is_stamp(stamp, ticket, slot_state::tombstone)) {
            static_cast<void>(free_tombstone(self));
            return outcome::contended;
        }
        return this->diagnose(ticket, ticket, stamp);
    }

    // Claims the oldest orphan, or one behind the message that the participant had last. False: there is none, or
    // others were faster. So whoever takes one orphan after the other goes through the slots once, not once for each.
    template <class Participant>
    [[nodiscard]] bool claim_orphan(Participant& self, claim& made, std::uint64_t* in_vain = nullptr) const noexcept {
        // [D3] acquire, pairs with [D1]: as [D2]. Relaxed would let slots be read that are older than what was counted,
        // and an orphan among them be noted as gone.
        const std::uint64_t counted = memory_.irregular_count().load(std::memory_order_acquire);
        if (in_vain != nullptr && counted == *in_vain) return false;
        const std::uint64_t last = self.pop_intent.load(std::memory_order_relaxed);  // our own
        bool all_gone = true;
        bool done = false;
        this->for_each_slot_after(last, [&](std::uint64_t ticket, std::uint64_t stamp) {
            const delivery_state state(stamp - space_.lap(ticket));
            if (space_.is_stamp(stamp, ticket, slot_state::tombstone)) all_gone = false;
            if (!state.is_orphan()) return true;
            all_gone = false;
            done = retake(self, made, ticket, stamp);
            return !done;
        });
        // Relaxed: it says nothing of what became of the slots later. What did so was counted again.
        if (all_gone) memory_.irregular_cleared_at().store(counted, std::memory_order_relaxed);
        if (!done && in_vain != nullptr) *in_vain = counted;
        return done;
    }

    template <class Participant>
    [[nodiscard]] bool retake(Participant& self, claim& made, std::uint64_t ticket,
                              std::uint64_t stamp) const noexcept {
        const std::uint64_t retaken = space_.lap(ticket) + delivery_state(stamp - space_.lap(ticket)).retaken().value();
        made = {ticket, retaken};
        // [C6] release, as [C4].
        self.pop_intent.store(ticket, std::memory_order_release);
        // [C7] acquire and release, in seq_cst, pairs with [R1], [P6], [C9] and [R7]: a recovery that sees the
        // message retaken sees the intent; and the element, read next, is visible, as it was to the participant that
        // made this an orphan. Relaxed would show a claim without an owner. seq_cst: [W1] and [P6]. Acq_rel would let
        // this consumer and a producer that goes to sleep miss each other. Failing orders nothing.
        if (stamp_of(ticket).compare_exchange_strong(stamp, retaken, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed)) {
            return true;
        }
        // [C8] release, as [C5].
        self.pop_intent.store(layout::no_ticket, std::memory_order_release);
        return false;
    }

    template <class Participant>
    void make_orphan(Participant& self, const claim& made, delivery_state state) const noexcept {
        mark_orphan(made, state);
        clear_pop_intent(self);
    }
    void mark_orphan(const claim& made, delivery_state state) const noexcept {
        // [C9] release, pairs with [D4] and [C7]: our reads of the element are over before another consumer frees the
        // slot, and a consumer that finds the orphan sees the element, as we did. Relaxed would let the next producer
        // write over what we still read.
        stamp_of(made.ticket).store(space_.lap(made.ticket) + state.value(), std::memory_order_release);
        count_irregularity();
    }
    template <class Participant>
    void clear_pop_intent(Participant& self) const noexcept {
        // The ticket can be claimed again: while it stands here, we would be taken for its owner, and if that one died,
        // nobody could be sure of it. Last, so that a recovery that finds us dead before makes up for the count.
        // [C11] release, as [C5].
        self.pop_intent.store(layout::no_ticket, std::memory_order_release);
    }
};

}  // namespace promisqs::detail
