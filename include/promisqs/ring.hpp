// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ring: Dmitry Vyukov's bounded multi-producer multi-consumer queue (1024cores.net, "Bounded MPMC queue"), changed in
// three points: any capacity from 1 up is exact; a participant announces the ticket it is about to claim, so that a claim
// can be traced to its owner; and full, empty, and "somebody is in the middle of it" are told apart.
//
// Words used here and everywhere else:
//   slot         room for one element, and its stamp
//   ticket       the position of a message in the endless sequence of all messages: a lap, and the index of a slot.
//                Tickets only grow; they wrap around at 2^64, which all comparisons allow for
//   lap          how often the ring has been gone round
//   stamp        what a slot is ready for: a lap and a state. A slot's stamp only ever grows
//   claim        to make a ticket one's own: the compare-and-swap on `tail` (push) or `head` (pop)
//   publish      to store the stamp that makes a pushed message visible
//   release      to store the stamp that gives a popped slot back; with it, the message has been handed over
//   participant  a thread that uses the queue, and its entry in the shared table
//   intent       the ticket that a participant is about to claim, in its entry
//   void         a slot whose producer died, or gave up, between claim and publish: there is no message in it
//   orphan       a slot whose consumer died between claim and release: its message is to be delivered again
//
// Nothing here knows the system, a clock, shared memory or an exception. `Memory` says where the words and bytes are:
//   tail(), head()   atomic 64-bit counters       stamp(index)     atomic 64-bit stamp of a slot
//   payload(index)   void*, where its element lies

#include <promisqs/layout.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace promisqs {

/// The arithmetic of tickets and stamps, for one capacity. A ticket is its lap in the high bits and its index in the low
/// ones, so that both come without a division. A stamp is the lap in the same high bits, and its state in the low ones.
class ticket_space {
public:
    /// \param capacity  1 to `layout::max_capacity`
    explicit constexpr ticket_space(std::uint64_t capacity) noexcept
        : capacity_(capacity), mask_(one_lap(capacity) - 1) {}

    [[nodiscard]] constexpr std::uint64_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] constexpr std::uint64_t index(std::uint64_t ticket) const noexcept { return ticket & mask_; }
    /// The lap of a ticket or of a stamp, where it stands: in the high bits.
    [[nodiscard]] constexpr std::uint64_t lap(std::uint64_t ticket) const noexcept { return ticket - index(ticket); }
    [[nodiscard]] constexpr std::uint64_t next_lap(std::uint64_t ticket) const noexcept { return ticket + mask_ + 1; }
    [[nodiscard]] constexpr std::uint64_t previous_lap(std::uint64_t ticket) const noexcept {
        return ticket - mask_ - 1;
    }

    /// Whether it is a ticket at all; other values can only come from something else that wrote into the queue.
    [[nodiscard]] constexpr bool valid(std::uint64_t ticket) const noexcept { return index(ticket) < capacity_; }

    /// The ticket after a valid one.
    [[nodiscard]] constexpr std::uint64_t next(std::uint64_t ticket) const noexcept {
        if (index(ticket) + 1 >= capacity_) [[unlikely]]
            return next_lap(lap(ticket));  // cheaper than a conditional move
        return ticket + 1;
    }

    /// How many tickets lie from `from` up to, and without, `to`; not before it.
    [[nodiscard]] constexpr std::uint64_t distance(std::uint64_t from, std::uint64_t to) const noexcept {
        return ((lap(to) - lap(from)) >> std::countr_one(mask_)) * capacity_ + index(to) - index(from);
    }

    [[nodiscard]] static constexpr bool before(std::uint64_t a, std::uint64_t b) noexcept {
        return static_cast<std::int64_t>(a - b) < 0;
    }

private:
    // An index never reaches the mask, so that `no_ticket` is no ticket; and a state, 8 bits, fits below the lap.
    static constexpr std::uint64_t one_lap(std::uint64_t capacity) noexcept {
        return std::uint64_t{1} << std::max(8, static_cast<int>(std::bit_width(capacity)));
    }

    std::uint64_t capacity_;
    std::uint64_t mask_;
};

/// The states of a slot within a lap, in the order in which they come. Values from 3 up are kept for orphans.
enum class slot_state : std::uint64_t { free = 0, full = 1, voided = 2 };

constexpr std::uint64_t make_stamp(std::uint64_t lap, slot_state state) noexcept {
    return lap + static_cast<std::uint64_t>(state);
}

/// What one attempt on the ring came to.
enum class outcome {
    ok,
    full,
    empty,
    contended,  // somebody else was faster: try again at once
    busy,       // the position is held by somebody in the middle of an operation: wait a little
    corrupt     // the shared words hold what no participant ever writes
};

template <class Memory>
class ring {
public:
    constexpr ring(Memory memory, std::uint64_t capacity) noexcept : memory_(memory), space_(capacity) {}

    /// Pushes, if the slot at the tail is free and nobody else is faster; `fill(void*)` writes the element into it, between
    /// claim and publish. After a false, `why_not_push` says what was in the way.
    template <class Participant, class Fill>
    [[gnu::always_inline]] bool push_if_ready(Participant& me, Fill&& fill) const {
        // Copies, so that nothing is read again after each atomic: the compiler can't know that none of them changes `*this`.
        const Memory memory = memory_;
        const ticket_space space = space_;
        // [P0] acquire, pairs with [P3] of all earlier tickets: the slot's stamp, read next, is then not older than what the
        // claim of this slot in the lap before had seen. Relaxed would make an honest stale read look like corruption.
        std::uint64_t ticket = memory.tail().load(std::memory_order_acquire);
        const std::uint64_t index = space.index(ticket);
        if (!space.valid(ticket)) [[unlikely]]
            return false;
        auto& slot = memory.stamp(index);
        const std::uint64_t free = make_stamp(space.lap(ticket), slot_state::free);
        // [P1] acquire, pairs with the consumer's release [C3]: once the slot reads free, the consumer has read its element.
        // Relaxed would let our bytes overtake its copy.
        if (slot.load(std::memory_order_acquire) != free) [[unlikely]]
            return false;
        // [P2] release, pairs with recovery's acquire of the intent: who reads this ticket here sees that our previous push
        // is published. Relaxed would let recovery find that push's slot unpublished and nobody's.
        me.push_intent.store(ticket, std::memory_order_release);
        // [P3] release (part of seq_cst), pairs with [P0] and recovery's acquire of `tail`: who sees the ticket claimed sees the
        // intent. Relaxed would show a claim without an owner. seq_cst, so that a producer's look at a wait word after it, and a
        // sleeper's announcement followed by its look at `tail`, can't both miss. Failing orders nothing.
        if (!memory.tail().compare_exchange_strong(ticket, space.next(ticket), std::memory_order_seq_cst,
                                                   std::memory_order_relaxed)) [[unlikely]] {
            // Before anything else: as long as it stands, this intent would keep the ticket's owner from being found dead.
            // [P5] release, as [P2]: who reads "none" here, too, sees that our previous push is published.
            me.push_intent.store(layout::no_ticket, std::memory_order_release);
            return false;
        }
        fill(memory.payload(index));
        // [P4] release, pairs with [C1] and [K1]: who reads full sees the whole element.
        slot.store(free + make_stamp(0, slot_state::full), std::memory_order_release);
        return true;
    }

    /// Pops, if the slot at the head is full and nobody else is faster; `use(const void*)` reads the element from it, between
    /// claim and release. After a false, `why_not_pop` says what was in the way.
    template <class Participant, class Use>
    [[gnu::always_inline]] bool pop_if_ready(Participant& me, Use&& use) const {
        return take_if<slot_state::full>(me, use);
    }

    /// Why a push was not ready.
    [[nodiscard]] outcome why_not_push() const noexcept {
        const std::uint64_t ticket = memory_.tail().load(std::memory_order_acquire);  // as [P0]
        if (!space_.valid(ticket)) return outcome::corrupt;
        // [P6] acquire, pairs with [P4] and [C3]: whoever brought the slot into a later state had moved `tail` before, and the look
        // at it below sees that.
        const std::uint64_t stamp = memory_.stamp(space_.index(ticket)).load(std::memory_order_acquire);
        if (stamp == make_stamp(space_.lap(ticket), slot_state::free)) return outcome::contended;  // it is by now
        if (!ticket_space::before(stamp, space_.lap(ticket))) {
            // Filled in this lap: whoever did claimed the ticket before, so `tail` has moved on.
            return memory_.tail().load(std::memory_order_relaxed) == ticket ? outcome::corrupt : outcome::contended;
        }
        const std::uint64_t lap_before = space_.previous_lap(ticket);
        if (ticket_space::before(stamp, space_.lap(lap_before))) return outcome::corrupt;
        // The slot still belongs to the lap before. Not full there means that its producer has not published yet.
        if (stamp != make_stamp(space_.lap(lap_before), slot_state::full)) return outcome::busy;
        // If no consumer has claimed that message yet, there are `capacity` of them from it up to here: at the instant of
        // this load, the queue is full. Relaxed: nothing is read on the strength of it.
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        return ticket_space::before(lap_before, head) ? outcome::busy : outcome::full;
    }

    /// Why a pop was not ready. A void at the head is taken out of the way.
    template <class Participant>
    [[nodiscard]] outcome why_not_pop(Participant& me) const noexcept {
        const std::uint64_t ticket = memory_.head().load(std::memory_order_acquire);  // as [C0]
        if (!space_.valid(ticket)) return outcome::corrupt;
        // Acquire, as [P6], for `head`.
        const std::uint64_t stamp = memory_.stamp(space_.index(ticket)).load(std::memory_order_acquire);
        if (stamp == make_stamp(space_.lap(ticket), slot_state::full)) return outcome::contended;  // it is by now
        if (stamp == make_stamp(space_.lap(ticket), slot_state::voided)) {
            static_cast<void>(take_if<slot_state::voided>(me, [](const void*) {}));
            return outcome::contended;
        }
        return why_not_full(ticket, ticket, stamp);
    }

    /// One attempt to copy the oldest message, without taking it. On `ok`, `out` holds it whole; otherwise anything.
    outcome try_peek(void* out, std::size_t element_size) const noexcept {
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);  // as [C0]
        std::uint64_t ticket = head;
        for (std::uint64_t looked = 0; looked < space_.capacity(); ++looked, ticket = space_.next(ticket)) {
            if (!space_.valid(ticket)) return outcome::corrupt;
            const std::uint64_t index = space_.index(ticket);
            auto& slot = memory_.stamp(index);
            // [K1] acquire, pairs with [P4]: the element is whole.
            const std::uint64_t stamp = slot.load(std::memory_order_acquire);
            if (stamp == make_stamp(space_.lap(ticket), slot_state::voided)) continue;
            if (stamp != make_stamp(space_.lap(ticket), slot_state::full)) return why_not_full(head, ticket, stamp);
            copy_while_shared(out, memory_.payload(index), element_size);
            // Relaxed: every load of the copy is an acquire, so this one comes after them. A producer can only have written
            // into the slot after it read the free stamp [P1] that a consumer stored after this full one. On machines where
            // all cores see stores in one order (x86, ARMv8), seeing any of its bytes means seeing a newer stamp here.
            return slot.load(std::memory_order_relaxed) == stamp ? outcome::ok : outcome::contended;
        }
        return outcome::empty;
    }

    /// How many messages wait, 0 to capacity: exact when nobody works; else never fewer than at the beginning of the call
    /// less those popped since, but messages pushed and popped during the call may be counted.
    [[nodiscard]] std::uint64_t size() const noexcept {
        // [S1] acquire, pairs with [C2]: the tail read next is not behind this head. That one is relaxed: it is only a number.
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);
        const std::uint64_t tail = memory_.tail().load(std::memory_order_relaxed);
        return std::min(space_.distance(head, tail), space_.capacity());
    }

    /// Whether there was an instant, during the call, at which no message waited.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Whether there was an instant, during the call, at which `capacity` messages waited.
    [[nodiscard]] bool full() const noexcept {
        // The tail first: were it read after the head, pops in between would make the ring look fuller than it ever was.
        // [S2] acquire, so that the head is not read before it; pairs with [P3].
        const std::uint64_t tail = memory_.tail().load(std::memory_order_acquire);
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        return !ticket_space::before(tail, space_.next_lap(head));
    }

    [[nodiscard]] constexpr const ticket_space& space() const noexcept { return space_; }

private:
    // Claims the ticket at the head, if its slot is in this state, and releases the slot.
    template <slot_state State, class Participant, class Use>
    [[gnu::always_inline]] bool take_if(Participant& me, Use&& use) const {
        const Memory memory = memory_;  // copies, as in a push
        const ticket_space space = space_;
        // [C0] acquire, pairs with the claims [C2] of all earlier tickets, whose owners had seen those tickets pushed: a tail
        // read later is not behind this head, and the slot's stamp not older than the lap before.
        std::uint64_t ticket = memory.head().load(std::memory_order_acquire);
        const std::uint64_t index = space.index(ticket);
        if (!space.valid(ticket)) [[unlikely]]
            return false;
        auto& slot = memory.stamp(index);
        const std::uint64_t lap = space.lap(ticket);
        // [C1] acquire, pairs with [P4]: once the stamp says full, the producer's copy is visible here. Relaxed would let the
        // copy below read the previous lap's bytes.
        if (slot.load(std::memory_order_acquire) != make_stamp(lap, State)) [[unlikely]]
            return false;
        // Release, pairs with recovery's acquire of the intent: as [P2], for the previous pop.
        me.pop_intent.store(ticket, std::memory_order_release);
        // [C2] release (part of seq_cst), pairs with [C0] and recovery's acquire of `head`: as [P3].
        if (!memory.head().compare_exchange_strong(ticket, space.next(ticket), std::memory_order_seq_cst,
                                                   std::memory_order_relaxed)) [[unlikely]] {
            me.pop_intent.store(layout::no_ticket, std::memory_order_release);  // as [P5]
            return false;
        }
        use(static_cast<const void*>(memory.payload(index)));
        // [C3] release, pairs with [P1]: our reads of the element are over before the slot reads free.
        slot.store(make_stamp(space.next_lap(lap), slot_state::free), std::memory_order_release);
        return true;
    }

    // Why the slot at a ticket, at the head or behind voids from there on, is neither full nor void.
    [[nodiscard]] outcome why_not_full(std::uint64_t head, std::uint64_t ticket, std::uint64_t stamp) const noexcept {
        if (ticket_space::before(make_stamp(space_.lap(ticket), slot_state::free), stamp)) {
            // Past full: whoever took it claimed the ticket before, so `head` has moved on.
            return memory_.head().load(std::memory_order_relaxed) == head ? outcome::corrupt : outcome::contended;
        }
        // Not filled yet. If no producer has claimed the ticket, nothing waits: at the instant of this load, the queue is
        // empty. Relaxed: nothing is read on the strength of it, and by [C0] it is not behind the ticket.
        const std::uint64_t tail = memory_.tail().load(std::memory_order_relaxed);
        if (ticket_space::before(tail, ticket)) return outcome::corrupt;
        return tail == ticket ? outcome::empty : outcome::busy;
    }

    // Copies bytes that a producer may overwrite meanwhile; the caller finds out, and throws the copy away. Each load is an
    // acquire, so that none of them can come after the caller's second look at the stamp. The race is meant: hence no
    // thread sanitizer here. `from` is 8-byte aligned, as every payload is.
#if defined(__clang__)
    __attribute__((no_sanitize("thread")))
#else
    __attribute__((no_sanitize_thread))
#endif
    static void
    copy_while_shared(void* to, const void* from, std::size_t size) noexcept {
        auto* out = static_cast<unsigned char*>(to);
        const auto* in = static_cast<const unsigned char*>(from);
        std::size_t done = 0;
        for (; done + 8 <= size; done += 8) {
            const std::uint64_t word =
                __atomic_load_n(reinterpret_cast<const std::uint64_t*>(in + done), __ATOMIC_ACQUIRE);
            std::memcpy(out + done, &word, 8);
        }
        for (; done < size; ++done) out[done] = __atomic_load_n(in + done, __ATOMIC_ACQUIRE);
    }

    Memory memory_;
    ticket_space space_;
};

}  // namespace promisqs
