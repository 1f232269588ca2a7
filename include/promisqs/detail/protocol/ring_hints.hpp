// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is asked of a ring by those who wait, and by people: whom to wake, where to sleep and how long, and where others
// are stuck. All loads are relaxed: an old value only makes a participant look once more, or shows a stall a moment
// later.

#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>
#include <optional>

namespace promisqs::detail {

template <class Memory>
class ring_hints : public ring_state<Memory> {
    using base = ring_state<Memory>;

public:
    using base::in_order;
    using base::stamp_of;

    constexpr ring_hints(Memory memory, std::uint64_t capacity) noexcept : base(memory, capacity) {}

    /// Whether the next consumer, or producer, could go on at once. A closed ring lets no producer go on.
    [[nodiscard]] bool is_ready_for(role whose) const noexcept {
        if (whose == role::producer) return is_in(memory_.tail().load(std::memory_order_relaxed), slot_state::free);
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        return is_in(head, slot_state::full) || is_in(head, slot_state::tombstone) || !in_order();
    }
    /// The next ticket of a role, if its slot is ready for it; `no_ticket` if not.
    [[nodiscard]] std::uint64_t claimable_ticket(role whose) const noexcept {
        const bool pushes = whose == role::producer;
        const std::uint64_t ticket = (pushes ? memory_.tail() : memory_.head()).load(std::memory_order_relaxed);
        return is_in(ticket, pushes ? slot_state::free : slot_state::full) ? ticket : layout::no_ticket;
    }
    /// Whether the ring is closed, and all its tickets are claimed for a pop: what is left is in flight.
    [[nodiscard]] bool is_drained() const noexcept {
        const std::uint64_t tail = memory_.tail().load(std::memory_order_relaxed);
        return space_.closed(tail) && memory_.head().load(std::memory_order_relaxed) == space_.ticket_of(tail);
    }
    /// Whether the last ticket that was claimed for a pop is not released yet.
    [[nodiscard]] bool is_last_in_flight() const noexcept {
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        if (!space_.valid(head)) return false;
        const std::uint64_t ticket = space_.previous(head);
        return ticket_space::before(stamp_of(ticket).load(std::memory_order_relaxed), space_.lap_after(ticket));
    }
    [[nodiscard]] bool is_tombstone_at_head() const noexcept {
        return is_in(memory_.head().load(std::memory_order_relaxed), slot_state::tombstone);
    }
    /// A number that changes when a ticket is claimed.
    [[nodiscard]] std::uint64_t activity() const noexcept {
        return memory_.head().load(std::memory_order_relaxed) + memory_.tail().load(std::memory_order_relaxed);
    }

    /// The ticket, if any, at which all pops wait for a producer in the middle of a push.
    [[nodiscard]] std::optional<std::uint64_t> stall_at_head() const noexcept {
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        if (!ticket_space::before(head, tail) || !is_in(head, slot_state::free)) return std::nullopt;
        return head;
    }

    /// The ticket, if any, at which all pushes wait for a consumer in the middle of a pop.
    [[nodiscard]] std::optional<std::uint64_t> stall_at_tail() const noexcept {
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        if (!space_.valid(tail)) return std::nullopt;
        const std::uint64_t ticket = space_.previous_lap(tail);
        const std::uint64_t stamp = stamp_of(ticket).load(std::memory_order_relaxed);
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        const bool taken =
            space_.is_stamp(stamp, ticket, slot_state::full) || space_.is_stamp(stamp, ticket, slot_state::tombstone);
        const bool claimed = taken && ticket_space::before(ticket, head);
        const bool retaken = delivery_state(stamp - space_.lap(ticket)).is_retaken();
        return claimed || retaken ? std::optional(ticket) : std::nullopt;
    }

protected:
    using base::is_in;
    using base::memory_;
    using base::space_;
};

}  // namespace promisqs::detail
