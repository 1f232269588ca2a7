// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reading a ring without taking part in it: nothing here writes. `Memory` says where the words and bytes are:
//   tail(), head(), irregular_count(), irregular_cleared_at()   atomic 64-bit counters
//   stamp(index)                                                atomic 64-bit stamp of a slot
//   payload(index)                                              void*, where its element lies
//
// A tombstone or an orphan is irregular. While there is none, the messages are those between `head` and `tail`, and
// nobody looks any further. `irregular_count` counts them, each after it has been made. `irregular_cleared_at` is a
// count: of all up to that one, a consumer has looked through the slots and found them gone.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace promisqs::detail {

/// What one attempt on the ring came to.
enum class outcome {
    ok,
    full,
    empty,
    closed,
    contended,    // another participant was faster: try again at once
    in_progress,  // a participant is in the middle of an operation at this position: wait a little
    corrupt       // the shared words hold what no participant ever writes
};

// Copies bytes that a producer may be overwriting. The caller finds out, and throws such a copy away. The race is
// meant: hence no thread sanitizer here. `from` is 8-byte aligned, as every payload is.
#if defined(__clang__)
__attribute__((no_sanitize("thread")))
#else
__attribute__((no_sanitize_thread))
#endif
inline void
copy_while_shared(void* to, const void* from, std::size_t size) noexcept {
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    std::size_t done = 0;
    for (; done + 8 <= size; done += 8) {
        const auto* at = static_cast<const std::uint64_t*>(static_cast<const void*>(in + done));
        // [K2] acquire, pairs with [C3]: the caller's second look at the stamp comes after this load. Relaxed would let
        // it come before, and miss that the slot has been freed and written over.
        const std::uint64_t word = __atomic_load_n(at, __ATOMIC_ACQUIRE);
        std::memcpy(out + done, &word, 8);
    }
    // [K3] acquire, as [K2], for the bytes that are left.
    for (; done < size; ++done) out[done] = __atomic_load_n(in + done, __ATOMIC_ACQUIRE);
}

template <class Memory>
class ring_state {
public:
    constexpr ring_state(Memory memory, std::uint64_t capacity) noexcept : memory_(memory), space_(capacity) {}

    /// Copies the message that a pop would get, without claiming it. One attempt.
    ///
    /// \param out  on `ok`, holds the message whole; otherwise it may hold anything
    outcome try_peek(void* out, std::size_t element_size) const noexcept {
        const outcome result = peek_from_head(out, element_size);
        if (!leaves_only_orphans(result)) return result;
        outcome found = result;
        if (!in_order()) {
            for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
                if (!delivery_state(stamp - space_.lap(ticket)).is_orphan()) return true;
                found = copy_message(out, ticket, stamp, element_size);
                return false;
            });
        }
        return unless_in_flight(found);
    }

    /// The number of messages that wait, 0 to capacity. Exact while no participant is in an operation; messages pushed
    /// and popped during the call may or may not be counted.
    [[nodiscard]] std::uint64_t size() const noexcept {
        if (!in_order()) return count_messages();
        // [S1] acquire, pairs with [C2]: the tail read next is not behind this head. Relaxed would make an empty ring
        // look full. The tail is relaxed: it is only a number.
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        return layout::lesser(space_.distance(head, tail), space_.capacity());
    }

    /// Whether there was an instant during the call at which no message waited.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Whether there was an instant during the call at which there was no room for another message.
    [[nodiscard]] bool full() const noexcept {
        // [S2] acquire, pairs with [P3]: the tail is read first, and the head after it. Relaxed would let pops in
        // between make the ring look fuller than it ever was.
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_acquire));
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        const bool no_ticket_left = !ticket_space::before(tail, space_.next_lap(head));
        if (in_order() || !space_.valid(tail)) return no_ticket_left;
        const std::uint64_t lap = space_.lap(space_.previous_lap(tail));
        // Relaxed: nothing is read on the strength of it.
        const std::uint64_t stamp = stamp_of(tail).load(std::memory_order_relaxed);
        return delivery_state(stamp - lap).is_orphan() ||
               (no_ticket_left && stamp == make_stamp(lap, slot_state::full));
    }

    /// Whether no more messages can be pushed.
    [[nodiscard]] bool closed() const noexcept {
        // [X1] acquire, pairs with [X2]: a participant that finds the ring closed sees all that its closer did before.
        // Relaxed would show the end before what led to it.
        return space_.closed(memory_.tail().load(std::memory_order_acquire));
    }

    /// Whether there is neither a tombstone nor an orphan.
    [[nodiscard]] bool in_order() const noexcept {
        // [D2] acquire, in seq_cst, pairs with [D1]: a slot read from here on is not older than what was counted.
        // Relaxed would let a message that was counted not be found. seq_cst: [W2] and [D1]. Acquire would let a
        // consumer that goes to sleep and the participant that counts miss each other. `irregular_cleared_at` is
        // relaxed: nothing is read on the strength of it.
        return memory_.irregular_count().load(std::memory_order_seq_cst) ==
               memory_.irregular_cleared_at().load(std::memory_order_relaxed);
    }

    [[nodiscard]] constexpr const ticket_space& space() const noexcept { return space_; }
    [[nodiscard]] const Memory& memory() const noexcept { return memory_; }

    /// The stamp of a valid ticket's slot.
    [[nodiscard]] decltype(auto) stamp_of(std::uint64_t ticket) const noexcept {
        return memory_.stamp(space_.index(ticket));
    }

protected:
    // Whether the slot of a ticket is in this state, in the ticket's lap.
    [[nodiscard]] bool is_in(std::uint64_t ticket, slot_state state) const noexcept {
        return space_.valid(ticket) && space_.is_stamp(stamp_of(ticket).load(std::memory_order_relaxed), ticket, state);
    }

    // Whether nothing can be had at the head, so that only an orphan may be.
    [[nodiscard]] static constexpr bool leaves_only_orphans(outcome at_head) noexcept {
        return at_head == outcome::empty || at_head == outcome::closed || at_head == outcome::in_progress;
    }

    // What it means that the slot of `ticket` is neither full nor a tombstone. The ticket is the one at the head, or,
    // behind tombstones, a later one.
    [[nodiscard]] outcome diagnose(std::uint64_t head, std::uint64_t ticket, std::uint64_t stamp) const noexcept {
        const std::uint64_t free = make_stamp(space_.lap(ticket), slot_state::free);
        if (ticket_space::before(free, stamp)) {
            // Past full: its consumer claimed the ticket before that, so `head` has moved on.
            return memory_.head().load(std::memory_order_relaxed) == head ? outcome::corrupt : outcome::contended;
        }
        // Not filled yet. If no producer has claimed the ticket, nothing waits there: at the instant of this load. By
        // [C0] the tail is not behind the ticket.
        // [C10] acquire, in seq_cst, pairs with [P3]: if the ticket is claimed, its slot is read below as its producer
        // saw it, or later. Relaxed would take an old stamp for corruption. seq_cst: [W2] and [P3]. Acquire would let a
        // consumer that goes to sleep and a producer miss each other.
        const std::uint64_t tail = memory_.tail().load(std::memory_order_seq_cst);
        const std::uint64_t next_push = space_.ticket_of(tail);
        if (next_push == ticket) return space_.closed(tail) ? outcome::closed : outcome::empty;
        if (ticket_space::before(next_push, ticket) || !space_.valid(next_push)) return outcome::corrupt;
        // Claimed. A stamp older than free was then read before the claim. A tail more than a lap away means that the
        // head was.
        const bool too_far = ticket_space::before(space_.next_lap(head), next_push);
        if (!too_far && stamp == free) return outcome::in_progress;
        const bool changed = stamp_of(ticket).load(std::memory_order_relaxed) != stamp ||
                             memory_.head().load(std::memory_order_relaxed) != head;
        return changed ? outcome::contended : outcome::corrupt;
    }

    // Calls `visit(ticket, stamp)` for the tickets of the last lap before `tail`, oldest first, until it returns false.
    // All messages that wait, and all that a consumer has claimed, are among them: the tail can't pass a slot that is
    // not free.
    template <class Visit>
    void for_each_slot(Visit visit) const noexcept {
        for_each_slot_after(layout::no_ticket, visit);
    }
    // The same, beginning with the one after a ticket that is among them, and then from the oldest on.
    template <class Visit>
    void for_each_slot_after(std::uint64_t last, Visit visit) const noexcept {
        // Relaxed: what was counted before is seen by [D2] or [D3]. Stamps of a lap that an old tail does not know are
        // passed over.
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        if (!space_.valid(tail)) return;
        const std::uint64_t oldest = space_.previous_lap(tail);
        const bool within =
            space_.valid(last) && !ticket_space::before(last, oldest) && ticket_space::before(last, tail);
        std::uint64_t ticket = within ? space_.next(last) : oldest;
        for (std::uint64_t i = 0; i < space_.capacity(); ++i, ticket = space_.next(ticket)) {
            if (ticket == tail) ticket = oldest;
            // [D4] acquire, pairs with [C9] and [R7]: once the stamp says orphan, its element is visible to
            // `copy_message`. Relaxed would let it copy the previous lap's bytes.
            if (!visit(ticket, stamp_of(ticket).load(std::memory_order_acquire))) return;
        }
    }

    // What it means that nothing can be had. A message that a consumer of a closed ring has in its hands may come back.
    [[nodiscard]] outcome unless_in_flight(outcome found) const noexcept {
        return found == outcome::closed && is_in_flight() ? outcome::empty : found;
    }

    // Whether a consumer has claimed a message and not released it yet. Precondition: nothing can be had at the head of
    // a closed ring. So no ticket is claimed any more, and what is still full has a consumer.
    [[nodiscard]] bool is_in_flight() const noexcept {
        bool found = false;
        for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            const delivery_state state(stamp - space_.lap(ticket));
            found = state.is_retaken() || state.is_orphan() || space_.is_stamp(stamp, ticket, slot_state::full);
            return !found;
        });
        return found;
    }

    Memory memory_;
    ticket_space space_;

private:
    [[nodiscard]] std::uint64_t count_messages() const noexcept {
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);  // it is only a number
        std::uint64_t messages = 0;
        for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            const bool full = space_.is_stamp(stamp, ticket, slot_state::full) && !ticket_space::before(ticket, head);
            if (full || delivery_state(stamp - space_.lap(ticket)).is_orphan()) ++messages;
            return true;
        });
        return messages;
    }

    [[nodiscard]] outcome peek_from_head(void* out, std::size_t element_size) const noexcept {
        // [K0] acquire, pairs with [C2]: as [C0], a tail read later is not behind this head. Relaxed would take an
        // honest stale read for corruption.
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);
        std::uint64_t ticket = head;
        for (std::uint64_t looked = 0; looked < space_.capacity(); ++looked, ticket = space_.next(ticket)) {
            if (!space_.valid(ticket)) return outcome::corrupt;
            // [K1] acquire, pairs with [P4]: once the stamp says full, the whole element is visible. Relaxed would let
            // the copy read the previous lap's bytes.
            const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_acquire);
            if (space_.is_stamp(stamp, ticket, slot_state::tombstone)) continue;
            if (!space_.is_stamp(stamp, ticket, slot_state::full)) return diagnose(head, ticket, stamp);
            return copy_message(out, ticket, stamp, element_size);
        }
        return closed() ? outcome::closed : outcome::empty;  // nothing but tombstones
    }

    [[nodiscard]] outcome copy_message(void* out, std::uint64_t ticket, std::uint64_t stamp,
                                       std::size_t element_size) const noexcept {
        copy_while_shared(out, memory_.payload(space_.index(ticket)), element_size);
        // Relaxed: [K2] and [K3] make this load come after the copy. A producer writes into the slot only after it has
        // read the free stamp [P1], which a consumer stored after this one [C3]. On machines where all cores see stores
        // in one order (x86, ARMv8), a copy with any of the producer's bytes comes with a newer stamp here.
        return stamp_of(ticket).load(std::memory_order_relaxed) == stamp ? outcome::ok : outcome::contended;
    }
};

}  // namespace promisqs::detail
