// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/last_lap.hpp>
#include <promisqs/detail/protocol/slot_set.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// Whether the first place in a row behind the tail that is not free belongs to a message that a process holds. Then
/// nobody is in the middle of a pop there: the ring is full.
///
/// For an instant it may also be so while a process is about to hold messages, and loses them to another consumer.
///
/// \param table  as for a recovery
/// \param row    how many slots a push needs
template <class Ring, class Table>
[[nodiscard]] bool is_full_of_held(const Ring& ring, const Table& table, std::uint64_t row) noexcept {
    const ticket_space& space = ring.space();
    // All loads are relaxed, but those of [R4] and [R9]: it only says how to wait. The caller has made its own look.
    const std::uint64_t tail = space.ticket_of(ring.memory().tail().load(std::memory_order_relaxed));
    if (!space.valid(tail)) return false;
    std::uint64_t place = 0;
    const auto is_free = [&] {
        const std::uint64_t ticket = space.later(tail, place);
        return space.is_stamp(ring.stamp_of(ticket).load(std::memory_order_relaxed), ticket, slot_state::free);
    };
    while (place < row && place < space.capacity() && is_free()) ++place;
    if (place == row || place == space.capacity()) return false;
    const last_lap lap(space, tail);
    const std::uint32_t end = table.used();
    for (std::uint32_t i = 0; i < end; ++i) {
        const auto& entry = table[i];
        if (entry.occupied.load(std::memory_order_relaxed) == 0 || table.is_of_a_thread(entry)) continue;
        const place_range held = lap.covered_by(entry.pop_intent, entry.pop_count);
        if (held.begin <= place && place < held.end) return true;
    }
    return false;
}

}  // namespace promisqs::detail
