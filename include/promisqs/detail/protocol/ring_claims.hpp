// SPDX-License-Identifier: Apache-2.0
#pragma once

// The quick half of the ring: claiming a ticket whose slot is ready, one or several at once, and publishing or
// releasing it. ring.hpp has what is done where the slot is not ready.
//
// `Memory` is that of ring_state.hpp, and has `light_barrier()`: for every thread with a heavy barrier in between, what
// the caller did before comes before what it does after. A `Participant` has the atomic 64-bit words push_intent,
// push_count, pop_intent and pop_count.
//
// A role that is declared to have a single participant claims by a plain store. Nobody else moves its counter, except
// that anybody may close the queue: see [Q1].

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring_hints.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// A ticket that a participant has claimed, and the stamp that its slot has since.
struct claim {
    std::uint64_t ticket;
    std::uint64_t stamp;
};

/// Tickets in a row that a participant has claimed, and the one after them.
struct batch {
    std::uint64_t first;
    std::uint64_t size;
    std::uint64_t after;
};

template <class Memory>
class ring_claims : public ring_hints<Memory> {
    using base = ring_hints<Memory>;

public:
    using base::stamp_of;

    constexpr ring_claims(Memory memory, std::uint64_t capacity, single_roles roles) noexcept
        : base(memory, capacity), roles_(roles) {}

    // Some calls take `here`: this ring again, as `*this` or as a copy of it. Behind each atomic the compiler has to
    // read the members of `*this` again, because for all it knows another thread has changed them. A local copy can't
    // be reached by another thread, so its members stay in registers: a caller for which that matters passes one.
    // Others pass `*this`. What a call needs only once it reads from `*this`, so that it takes no register.

    /// Claims the ticket at the tail, if its slot is free and nobody else is faster.
    ///
    /// \return  whether it did; only then `made` is the claim
    template <class Participant>
    [[gnu::__always_inline__]] bool claim_push(const ring_claims& here, Participant& self, claim& made) const {
        // Relaxed: an old tail only makes the claim fail, and [P1] orders the slot. By [P0], `resolve_push` reads it
        // again.
        const std::uint64_t ticket = here.memory_.tail().load(std::memory_order_relaxed);
        std::uint64_t after{};
        if (!here.space_.step(ticket, after)) [[unlikely]]  // closed; or corrupt
            return false;
        // [P1] acquire, pairs with [C3] and [R8]: once the slot reads free, its last consumer has read the element.
        // Relaxed would let our bytes overtake that consumer's copy.
        const std::uint64_t stamp = here.stamp_of(ticket).load(std::memory_order_acquire);
        if (!here.space_.is_stamp(stamp, ticket, slot_state::free)) [[unlikely]]
            return false;
        made = {ticket, stamp};
        return announce_and_advance_tail(here.memory_, self, ticket, after);
    }
    template <class Participant>
    [[gnu::__always_inline__]] bool claim_push(Participant& self, claim& made) const {
        return claim_push(*this, self, made);
    }

    /// Claims the ticket at the head, if its slot is full and nobody else is faster.
    ///
    /// \return  whether it did; only then `made` is the claim
    template <class Participant>
    [[gnu::__always_inline__]] bool claim_pop(const ring_claims& here, Participant& self, claim& made) const {
        return claim_at_head<slot_state::full>(here, self, made);
    }
    template <class Participant>
    [[gnu::__always_inline__]] bool claim_pop(Participant& self, claim& made) const {
        return claim_pop(*this, self, made);
    }

    /// Where the element of a claim lies.
    [[nodiscard]] [[gnu::__always_inline__]] void* payload(const claim& made) const noexcept {
        return memory_.payload(space_.index(made.ticket));
    }

    /// Makes a pushed message visible.
    [[gnu::__always_inline__]] void publish(const claim& made) const noexcept {
        // [P4] release, pairs with [C1], [B5], [K1], [R1], [P6], [C13], [P10] and [I1]: a participant that reads full
        // sees the whole element. Relaxed would show the element in part.
        stamp_of(made.ticket).store(made.stamp + make_stamp(0, slot_state::full), std::memory_order_release);
    }

    /// Gives the slot of a popped message back. With that, the message has been handed over.
    [[gnu::__always_inline__]] void release(const claim& made) const noexcept {
        // [C3] release, pairs with [P1], [B5], [K2], [P6], [C13], [P10] and [I1]: our reads of the element are over
        // before the slot reads free. Relaxed would let the next producer write over what is still being read.
        stamp_of(made.ticket)
            .store(make_stamp(space_.lap_after(made.ticket), slot_state::free), std::memory_order_release);
    }

    /// Pushes as many messages as there is room for in a row, up to `most`, with one claim. Each is published on its
    /// own. Pushes none if that would be fewer than `least`, or another producer is faster.
    ///
    /// \param fill  `fill(void*, i)` writes the i-th element, and must not throw
    /// \return      how many
    template <class Participant, class Fill>
    std::uint64_t push_some_if_ready(Participant& self, std::uint64_t least, std::uint64_t most, Fill fill) const {
        const ring_claims here = *this;
        batch made{};
        if (!here.claim_pushes(self, least, most, made)) return 0;
        std::uint64_t ticket = made.first;
        for (std::uint64_t i = 0; i < made.size; ++i, ticket = here.space_.next(ticket)) {
            const claim one{ticket, make_stamp(here.space_.lap(ticket), slot_state::free)};
            fill(here.payload(one), i);
            here.publish(one);
        }
        // [B1] release, pairs with [R9]: a recovery that reads a count of one sees that all messages of the batch are
        // published. Relaxed would let a recovery make tombstones of them. Single pushes leave the count alone.
        self.push_count.store(1, std::memory_order_release);
        return made.size;
    }

    /// Pops as many messages as are ready in a row, up to `most`, with one claim. Each is released on its own. Pops
    /// none if another consumer is faster.
    ///
    /// \param use  `use(const void*, i)` reads the i-th element, and must not throw
    /// \return     how many
    template <class Participant, class Use>
    std::uint64_t pop_some_if_ready(Participant& self, std::uint64_t most, Use use) const {
        const ring_claims here = *this;
        batch made{};
        if (!here.claim_pops(self, most, made)) return 0;
        std::uint64_t ticket = made.first;
        for (std::uint64_t i = 0; i < made.size; ++i, ticket = here.space_.next(ticket)) {
            const claim one{ticket, make_stamp(here.space_.lap(ticket), slot_state::full)};
            use(static_cast<const void*>(here.payload(one)), i);
            here.release(one);
        }
        finish_pops(self);
        return made.size;
    }

    /// Claims as many messages as are ready in a row, up to `most`, to be released one by one.
    ///
    /// \return  whether it claimed any; only then `made` is the claim
    template <class Participant>
    bool claim_pops(Participant& self, std::uint64_t most, batch& made) const {
        made = ready_from<slot_state::full>(memory_.head().load(std::memory_order_relaxed), most);
        if (made.size == 0) return false;
        // [B4] release, pairs with [R9]: as [B3], for what was popped before. Relaxed would let a recovery deliver the
        // messages that we popped before once more.
        self.pop_count.store(made.size, std::memory_order_release);
        // [B7] release, as [C4].
        self.pop_intent.store(made.first, std::memory_order_release);
        if (advance_head(memory_, made.first, made.after)) return true;
        // [B8] release, as [C5].
        self.pop_intent.store(layout::no_ticket, std::memory_order_release);
        // [B9] release, as [B4].
        self.pop_count.store(1, std::memory_order_release);
        return false;
    }

    /// Says that all messages of a batch are released.
    template <class Participant>
    void finish_pops(Participant& self) const noexcept {
        // [B2] release, pairs with [R9]: as [B1], all messages of the batch are released. Relaxed would let a recovery
        // deliver them again.
        self.pop_count.store(1, std::memory_order_release);
    }

    [[nodiscard]] const single_roles& roles() const noexcept { return roles_; }

protected:
    // Claims the ticket at the head, if its slot is in this state.
    template <slot_state State, class Participant>
    [[gnu::__always_inline__]] bool claim_at_head(const ring_claims& here, Participant& self, claim& made) const {
        // Relaxed: an old head only makes the claim fail, and [C1] orders the slot. By [C0], `resolve_pop` reads it
        // again.
        const std::uint64_t ticket = here.memory_.head().load(std::memory_order_relaxed);
        std::uint64_t after{};
        if (!here.space_.step(ticket, after)) [[unlikely]]
            return false;
        // [C1] acquire, pairs with [P4], [P7] and [R5]: once the stamp says full, the producer's copy is visible here,
        // and once it says tombstone, the producer has written its last. Relaxed would let the copy that follows read
        // the previous lap's bytes.
        const std::uint64_t stamp = here.stamp_of(ticket).load(std::memory_order_acquire);
        if (!here.space_.is_stamp(stamp, ticket, State)) [[unlikely]]
            return false;
        // [C4] release, pairs with [R4]: a recovery that reads this ticket here sees that our previous pop is released.
        // Relaxed would let a recovery find that pop's slot full and nobody's, and deliver its message again.
        self.pop_intent.store(ticket, std::memory_order_release);
        made = {ticket, stamp};
        if (advance_head(here.memory_, ticket, after)) [[likely]]
            return true;
        // [C5] release, pairs with [R4]: as [P5], for the previous pop. Relaxed would let a recovery deliver the
        // message of that pop again.
        self.pop_intent.store(layout::no_ticket, std::memory_order_release);
        return false;
    }

    // How many slots in a row are in this state, from a ticket on, and the ticket after them.
    template <slot_state State>
    [[nodiscard]] batch ready_from(std::uint64_t first, std::uint64_t most) const noexcept {
        batch found{first, 0, first};
        for (std::uint64_t after{}; found.size < most && space_.step(found.after, after); ++found.size) {
            // [B5] acquire, pairs with [C3], [P4] and [R8]: as [P1] for a push, and as [C1] for a pop. Relaxed would
            // let our bytes overtake a consumer's copy, or our copy read the previous lap's bytes.
            const std::uint64_t stamp = stamp_of(found.after).load(std::memory_order_acquire);
            if (!space_.is_stamp(stamp, found.after, State)) break;
            found.after = after;
        }
        return found;
    }

    using base::memory_;
    using base::space_;
    single_roles roles_;

private:
    // Claims tickets whose slots were free.
    template <class Participant>
    [[gnu::__always_inline__]] bool announce_and_advance_tail(const Memory& memory, Participant& self,
                                                              std::uint64_t ticket, std::uint64_t after) const {
        // [P2] release, pairs with [R4] and [Q3]: a recovery that reads this ticket here sees that our previous push is
        // published. Relaxed would let a recovery find that push's slot free and nobody's, and make a tombstone of it.
        self.push_intent.store(ticket, std::memory_order_release);
        if (advance_tail(memory, ticket, after)) [[likely]]
            return true;
        // Before anything else: while this intent stands, it keeps the ticket's owner from being found dead.
        // [P5] release, pairs with [R4]: a recovery that reads "none" here sees, too, that our previous push is
        // published. Relaxed would let a recovery make a tombstone of that push.
        self.push_intent.store(layout::no_ticket, std::memory_order_release);
        return false;
    }

    [[gnu::__always_inline__]] bool advance_tail(const Memory& memory, std::uint64_t ticket,
                                                 std::uint64_t after) const {
        if (roles_.producer) {
            // [Q1] light barrier, pairs with [Q2]: a closer sets the bit in `tail`, has a heavy barrier, and looks at
            // our intent. So either our look below sees the bit, or the closer sees our intent, and knows that our
            // store may wipe the bit out. Without it, a push would come to its end after the queue was said to be
            // drained.
            memory_.light_barrier();
            if (memory.tail().load(std::memory_order_relaxed) != ticket) [[unlikely]]
                return false;
            // [P8] release, as [P3].
            memory.tail().store(after, std::memory_order_release);
            return true;
        }
        // [P3] release, in seq_cst, pairs with [P0], [S2], [C10], [R2] and [I1]: a participant that sees the ticket
        // claimed sees the intent, and the slot as this producer saw it. Relaxed would show a claim without an owner.
        // seq_cst: [W1] and [C10]. Acq_rel would let this producer and a consumer that goes to sleep miss each other.
        // Failing orders nothing.
        return memory.tail().compare_exchange_strong(ticket, after, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed);
    }

    [[gnu::__always_inline__]] bool advance_head(const Memory& memory, std::uint64_t ticket,
                                                 std::uint64_t after) const {
        if (roles_.consumer) {
            // [C12] release, as [C2].
            memory.head().store(after, std::memory_order_release);
            return true;
        }
        // [C2] release, in seq_cst, pairs with [C0], [K0], [S1], [P9], [R3] and [I1]: a participant that sees the
        // ticket claimed sees the intent, and that the ticket had been pushed. Relaxed would show a claim without an
        // owner. seq_cst: [W1] and [P9]. Acq_rel would let this consumer and a producer that goes to sleep miss each
        // other. Failing orders nothing.
        return memory.head().compare_exchange_strong(ticket, after, std::memory_order_seq_cst,
                                                     std::memory_order_relaxed);
    }

    template <class Participant>
    bool claim_pushes(Participant& self, std::uint64_t least, std::uint64_t most, batch& made) const {
        made = ready_from<slot_state::free>(memory_.tail().load(std::memory_order_relaxed), most);
        if (made.size == 0 || made.size < least) return false;
        // Before the intent, so that a recovery that sees that one sees a count that is not too small.
        // [B3] release, pairs with [R9]: a recovery may see the previous intent with this count, and then sees, as by
        // [B1], that what it announced is published. Relaxed would let a recovery make tombstones of the messages that
        // we pushed before.
        self.push_count.store(made.size, std::memory_order_release);
        if (announce_and_advance_tail(memory_, self, made.first, made.after)) return true;
        // [B6] release, as [B3].
        self.push_count.store(1, std::memory_order_release);
        return false;
    }
};

}  // namespace promisqs::detail
