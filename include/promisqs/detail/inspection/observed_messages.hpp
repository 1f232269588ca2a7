// SPDX-License-Identifier: Apache-2.0
#pragma once

// Copies of messages that are in a queue, whole or not at all.

#include <promisqs/detail/inspection/observed_queue.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/inspection.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace promisqs::detail {

/// The message of a ticket that is claimed for a push. Nothing: it is popped, or was while it was copied.
[[gnu::__cold__]] inline std::optional<waiting_message> copy_of_message(const queue_view& seen, std::uint64_t ticket,
                                                                        std::uint64_t head) {
    const auto& ring = seen.ring;
    const ticket_space& space = ring.space();
    const std::uint64_t stamp = ring.stamp_of(ticket).load(std::memory_order_acquire);  // as [K1], by [I1]
    const delivery_state state(stamp - space.lap(ticket));
    waiting_message result{space.distance(0, ticket), message_state::ready, 0, 0, {}};
    if (ticket_space::before(stamp, space.lap(ticket)) || state.value() == 0) {
        result.state = message_state::pushing;
        return result;
    }
    if (state.value() > delivery_state::last) return std::nullopt;
    if (state.value() == static_cast<std::uint64_t>(slot_state::tombstone)) {
        result.state = message_state::tombstone;
        return result;
    }
    if (state.is_orphan()) result.state = message_state::to_redeliver;
    if (state.is_retaken() || (state.value() == 1 && ticket_space::before(ticket, head)))
        result.state = message_state::popping;
    result.deaths = static_cast<std::uint32_t>(state.deaths());
    result.requeues = static_cast<std::uint32_t>(state.requeues());
    result.bytes.resize(seen.header.element_size);
    const std::uint64_t place = ring.memory().slot(space.index(ticket)) + ring.memory().plan().payload_offset;
    if (!ring.memory().file().fetch(result.bytes.data(), result.bytes.size(), place)) return std::nullopt;
    if (ring.stamp_of(ticket).load(std::memory_order_relaxed) == stamp) return result;
    const std::uint64_t tail = space.ticket_of(ring.memory().tail().load(std::memory_order_relaxed));
    if (!is_intact(space, ticket, tail)) return std::nullopt;
    return result;
}

[[gnu::__cold__]] inline std::optional<waiting_message> peek_at(const queue_view& seen, std::uint64_t index) {
    const auto& ring = seen.ring;
    const ticket_space& space = ring.space();
    for (int tries = 0; tries < 16; ++tries) {
        const std::uint64_t head = ring.memory().head().load(std::memory_order_acquire);  // as [K0], by [I1]
        if (!space.valid(head) || index >= ring.in_row()) return std::nullopt;
        if (auto found = copy_of_message(seen, ticket_after(space, head, index), head)) return found;
    }
    return std::nullopt;
}

[[gnu::__cold__]] inline std::vector<waiting_message> copies_of_returned(const queue_view& seen, std::size_t most) {
    const ticket_space& space = seen.ring.space();
    std::vector<std::uint64_t> tickets;
    seen.ring.for_each_stamp([&](std::uint64_t ticket, std::uint64_t stamp) {
        const delivery_state state(stamp - space.lap(ticket));
        if (tickets.size() < most && (state.is_orphan() || state.is_retaken())) tickets.push_back(ticket);
        return tickets.size() < most;
    });
    std::vector<waiting_message> found;
    for (const std::uint64_t ticket : tickets) {
        if (auto message = copy_of_message(seen, ticket, ticket)) found.push_back(std::move(*message));
    }
    return found;
}

}  // namespace promisqs::detail
