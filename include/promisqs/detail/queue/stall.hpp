// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>
#include <optional>

namespace promisqs::detail {

// Acquire, in the two functions that follow, pairs with the claims [P3] and [C2], and with [P4] and [C3]: each word is not older than
// what the one that was read before shows. What comes out is for people; nothing else depends on it.

/// The ticket, if any, at which all pops wait for somebody who is in the middle of a push.
template <class Memory>
std::optional<std::uint64_t> stall_at_head(const ring<Memory>& ring) noexcept {
    const auto& space = ring.space();
    const std::uint64_t head = ring.memory().head().load(std::memory_order_acquire);
    const std::uint64_t tail = space.ticket_of(ring.memory().tail().load(std::memory_order_acquire));
    if (!space.valid(head) || !ticket_space::before(head, tail)) return std::nullopt;
    const bool free = ring.stamp_of(head).load(std::memory_order_acquire) == space.lap(head);
    return free ? std::optional(head) : std::nullopt;
}

/// The ticket, if any, at which all pushes wait for somebody who is in the middle of a pop.
template <class Memory>
std::optional<std::uint64_t> stall_at_tail(const ring<Memory>& ring) noexcept {
    const auto& space = ring.space();
    const std::uint64_t tail = space.ticket_of(ring.memory().tail().load(std::memory_order_acquire));
    if (!space.valid(tail)) return std::nullopt;
    const std::uint64_t ticket = space.previous_lap(tail);
    const std::uint64_t stamp = ring.stamp_of(ticket).load(std::memory_order_acquire);
    const std::uint64_t head = ring.memory().head().load(std::memory_order_acquire);
    const delivery_state state(stamp - space.lap(ticket));
    const bool claimed = ticket_space::before(ticket, head) && (state.value() == 1 || state.value() == 2);
    return claimed || state.is_retaken() ? std::optional(ticket) : std::nullopt;
}

/// Writes down what is held, and since when somebody has known it. For people: nothing depends on it.
///
/// \return  for how long it has been known, in nanoseconds
template <class Memory>
std::uint64_t note_stall(layout::stall_note& note, const ring<Memory>& ring,
                         std::optional<std::uint64_t> ticket) noexcept {
    const std::uint64_t position = ticket ? ring.space().distance(0, *ticket) + 1 : 0;
    const std::uint64_t now = os::steady_clock();
    if (note.position.load(std::memory_order_relaxed) != position) {
        note.since.store(now, std::memory_order_relaxed);
        note.position.store(position, std::memory_order_relaxed);
        return 0;
    }
    const std::uint64_t since = note.since.load(std::memory_order_relaxed);
    return position == 0 || since > now ? 0 : now - since;
}

template <class Memory>
void note_stalls(layout::counters& counters, const ring<Memory>& ring) noexcept {
    note_stall(counters.head_stall, ring, stall_at_head(ring));
    note_stall(counters.tail_stall, ring, stall_at_tail(ring));
}

}  // namespace promisqs::detail
