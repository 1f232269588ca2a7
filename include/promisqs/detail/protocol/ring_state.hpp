// SPDX-License-Identifier: Apache-2.0
#pragma once

// Looking at a ring without taking part in it. The words used here are explained in tickets.hpp. `Memory` says where the words and
// bytes are:
//   tail(), head()              atomic 64-bit counters      stamp(index)     atomic 64-bit stamp of a slot
//   irregular_count(), irregular_cleared_at()   atomic 64-bit counters      payload(index)   void*, where its element lies
//
// A void or an orphan is a disturbance. As long as there is none, the messages are what lies between `head` and `tail`, and
// nobody looks any further. `irregular_count` counts them, each after it is there; `irregular_cleared_at` is the count up to which somebody
// has looked through all slots and found them gone.

#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <algorithm>
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
    contended,    // somebody else was faster: try again at once
    in_progress,  // the position is held by somebody in the middle of an operation: wait a little
    corrupt       // the shared words hold what no participant ever writes
};

// Copies bytes that a producer may overwrite meanwhile; the caller finds out, and throws the copy away. Each load is an
// acquire, so that none of them can come after the caller's second look at the stamp. The race is meant: hence no
// thread sanitizer here. `from` is 8-byte aligned, as every payload is.
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
        const std::uint64_t word = __atomic_load_n(reinterpret_cast<const std::uint64_t*>(in + done), __ATOMIC_ACQUIRE);
        std::memcpy(out + done, &word, 8);
    }
    for (; done < size; ++done) out[done] = __atomic_load_n(in + done, __ATOMIC_ACQUIRE);
}

template <class Memory>
class ring_state {
public:
    constexpr ring_state(Memory memory, std::uint64_t capacity) noexcept : memory_(memory), space_(capacity) {}

    /// One attempt to copy the message that a pop would get, without taking it. On `ok`, `out` holds it whole; otherwise
    /// anything.
    outcome try_peek(void* out, std::size_t element_size) const noexcept {
        const outcome result = peek_from_head(out, element_size);
        const bool nothing_there = result == outcome::empty || result == outcome::closed;
        if ((!nothing_there && result != outcome::in_progress) || in_order()) return result;
        outcome found = result;
        for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            if (!delivery_state(stamp - space_.lap(ticket)).is_orphan()) return true;
            found = copy_message(out, ticket, stamp, element_size);
            return false;
        });
        return found;
    }

    /// How many messages wait, 0 to capacity: exact when nobody works; else messages pushed and popped during the call may or
    /// may not be counted.
    [[nodiscard]] std::uint64_t size() const noexcept {
        if (!in_order()) return count_messages();
        // [S1] acquire, pairs with [C2]: the tail read next is not behind this head. That one is relaxed: it is only a number.
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        return std::min(space_.distance(head, tail), space_.capacity());
    }

    /// Whether there was an instant, during the call, at which no message waited.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Whether there was an instant, during the call, at which there was no room for another message.
    [[nodiscard]] bool full() const noexcept {
        // The tail first: were it read after the head, pops in between would make the ring look fuller than it ever was.
        // [S2] acquire, so that the head is not read before it; pairs with [P3].
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_acquire));
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        const bool no_ticket_left = !ticket_space::before(tail, space_.next_lap(head));
        if (in_order() || !space_.valid(tail)) return no_ticket_left;
        const std::uint64_t lap = space_.lap(space_.previous_lap(tail));
        const std::uint64_t stamp =
            stamp_of(tail).load(std::memory_order_relaxed);  // nothing is read on the strength of it
        return delivery_state(stamp - lap).is_orphan() ||
               (no_ticket_left && stamp == make_stamp(lap, slot_state::full));
    }

    /// Whether no more messages can be pushed.
    [[nodiscard]] bool closed() const noexcept {
        // [X1] acquire, pairs with [X2]: who sees it closed sees what the one who closed it did before.
        return space_.closed(memory_.tail().load(std::memory_order_acquire));
    }

    /// Whether there is neither a void nor an orphan.
    [[nodiscard]] bool in_order() const noexcept {
        // Relaxed `irregular_cleared_at`: nothing is read on the strength of it. [D2] acquire (part of seq_cst), pairs with [D1]: a slot looked at
        // from here on is not older than what was counted. seq_cst: [W2].
        return memory_.irregular_count().load(std::memory_order_seq_cst) ==
               memory_.irregular_cleared_at().load(std::memory_order_relaxed);
    }

    /// Says that there is a void or an orphan, after it is there.
    void count_irregularity() const noexcept {
        // [D1] release (part of seq_cst), pairs with [D2]: whoever sees the count finds the void or orphan, or what became of it.
        // seq_cst: [W1].
        memory_.irregular_count().fetch_add(1, std::memory_order_seq_cst);
    }

    [[nodiscard]] constexpr const ticket_space& space() const noexcept { return space_; }
    [[nodiscard]] const Memory& memory() const noexcept { return memory_; }

    /// The stamp of a valid ticket's slot.
    [[nodiscard]] auto& stamp_of(std::uint64_t ticket) const noexcept { return memory_.stamp(space_.index(ticket)); }

protected:
    // Why the slot at a ticket, at the head or behind voids from there on, is neither full nor void.
    [[nodiscard]] outcome resolve_not_full(std::uint64_t head, std::uint64_t ticket,
                                           std::uint64_t stamp) const noexcept {
        const std::uint64_t free = make_stamp(space_.lap(ticket), slot_state::free);
        if (ticket_space::before(free, stamp)) {
            // Past full: whoever took it claimed the ticket before, so `head` has moved on.
            return memory_.head().load(std::memory_order_relaxed) == head ? outcome::corrupt : outcome::contended;
        }
        // Not filled yet. If no producer has claimed the ticket, nothing waits there: at the instant of this load. By [C0] it
        // is not behind the ticket. [C10] acquire (part of seq_cst), pairs with [P3]: if the ticket is claimed, its slot is seen as it
        // was then. seq_cst: [W2].
        const std::uint64_t tail = memory_.tail().load(std::memory_order_seq_cst);
        const std::uint64_t next_push = space_.ticket_of(tail);
        if (next_push == ticket) return space_.closed(tail) ? outcome::closed : outcome::empty;
        if (ticket_space::before(next_push, ticket)) return outcome::corrupt;
        // Claimed. Older than free can then only be what was read before the claim; more than a lap away, only the head.
        const bool too_far = ticket_space::before(space_.next_lap(head), next_push);
        if (!too_far && stamp == free) return outcome::in_progress;
        const bool changed = stamp_of(ticket).load(std::memory_order_relaxed) != stamp ||
                             memory_.head().load(std::memory_order_relaxed) != head;
        return changed ? outcome::contended : outcome::corrupt;
    }

    // Calls `visit(ticket, stamp)` for the tickets of the last lap before `tail`, oldest first, until it returns false. All that
    // waits, and all that somebody holds, is among them: the tail can't pass a slot that is not free.
    template <class Visit>
    void for_each_slot(Visit visit) const noexcept {
        // Relaxed: what was counted before is seen by [D2], [D3] or [D5]; the stamps of a lap that an old tail does not know are
        // passed over.
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        if (!space_.valid(tail)) return;
        std::uint64_t ticket = space_.previous_lap(tail);
        for (std::uint64_t i = 0; i < space_.capacity(); ++i, ticket = space_.next(ticket)) {
            // [D4] acquire, as [C1], for the element of an orphan that `copy_message` reads.
            if (!visit(ticket, stamp_of(ticket).load(std::memory_order_acquire))) return;
        }
    }

    [[nodiscard]] std::uint64_t count_messages() const noexcept {
        const std::uint64_t counted = memory_.irregular_count().load(std::memory_order_acquire);  // [D5] as [D3]
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);                // it is only a number
        std::uint64_t messages = 0;
        bool all_gone = true;
        for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            const bool orphan = delivery_state(stamp - space_.lap(ticket)).is_orphan();
            const bool full = space_.is_stamp(stamp, ticket, slot_state::full);
            if (orphan || space_.is_stamp(stamp, ticket, slot_state::tombstone)) all_gone = false;
            if (orphan || (full && !ticket_space::before(ticket, head))) ++messages;
            return true;
        });
        if (all_gone) memory_.irregular_cleared_at().store(counted, std::memory_order_relaxed);
        return messages;
    }

    // Whether a consumer has claimed a message, and not released it yet.
    [[nodiscard]] bool is_in_flight() const noexcept {
        bool held = false;
        for_each_slot([&](std::uint64_t ticket, std::uint64_t stamp) {
            const delivery_state state(stamp - space_.lap(ticket));
            // The head is at the tail, and no ticket is claimed any more: what is still full has a consumer.
            held = state.is_retaken() || state.is_orphan() || space_.is_stamp(stamp, ticket, slot_state::full);
            return !held;
        });
        return held;
    }

    Memory memory_;
    ticket_space space_;

private:
    [[nodiscard]] outcome peek_from_head(void* out, std::size_t element_size) const noexcept {
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);  // as [C0]
        std::uint64_t ticket = head;
        for (std::uint64_t looked = 0; looked < space_.capacity(); ++looked, ticket = space_.next(ticket)) {
            if (!space_.valid(ticket)) return outcome::corrupt;
            // [K1] acquire, pairs with [P4]: the element is whole.
            const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_acquire);
            if (space_.is_stamp(stamp, ticket, slot_state::tombstone)) continue;
            if (!space_.is_stamp(stamp, ticket, slot_state::full)) return resolve_not_full(head, ticket, stamp);
            return copy_message(out, ticket, stamp, element_size);
        }
        return closed() ? outcome::closed : outcome::empty;  // nothing but voids
    }

    [[nodiscard]] outcome copy_message(void* out, std::uint64_t ticket, std::uint64_t stamp,
                                       std::size_t element_size) const noexcept {
        copy_while_shared(out, memory_.payload(space_.index(ticket)), element_size);
        // Relaxed: every load of the copy is an acquire, so this one comes after them. A producer can only have written
        // into the slot after it read the free stamp [P1] that a consumer stored after this one. On machines where
        // all cores see stores in one order (x86, ARMv8), seeing any of its bytes means seeing a newer stamp here.
        return stamp_of(ticket).load(std::memory_order_relaxed) == stamp ? outcome::ok : outcome::contended;
    }
};

}  // namespace promisqs::detail
