// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/participants.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/stall.hpp>
#include <promisqs/stats.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace promisqs::detail {

// What comes out is for people, and nothing depends on it: so all loads but one are relaxed.

/// The first message that an intent is at whose claim is open.
///
/// \param counter  `tail` or `head`: a ticket from there on is not claimed
/// \param open     `open(state)`: whether a slot in that state has an open claim
template <class Open>
std::optional<std::uint64_t> message_of(const untyped_ring& ring, const std::atomic<std::uint64_t>& intent,
                                        const std::atomic<std::uint64_t>& count, std::uint64_t counter, Open open) {
    const auto& space = ring.space();
    std::uint64_t ticket = intent.load(std::memory_order_relaxed);
    if (ticket == layout::no_ticket || !space.valid(ticket)) return {};
    const std::uint64_t tickets = layout::lesser(count.load(std::memory_order_relaxed), space.capacity());
    for (std::uint64_t i = 0; i < tickets && ticket_space::before(ticket, counter); ++i, ticket = space.next(ticket)) {
        const std::uint64_t stamp = ring.stamp_of(ticket).load(std::memory_order_relaxed);
        if (open(stamp - space.lap(ticket))) return space.distance(0, ticket);
    }
    return {};
}

/// Tells who is alive. The locks of a process go together, so it tests one for each process, and those of participants
/// that may be in the middle of an operation.
class census {
public:
    explicit census(const session& queue) noexcept : queue_(queue) {}

    [[nodiscard]] bool is_alive(std::uint32_t i, bool in_operation) {
        const std::uint64_t process = participant_table::process_of(queue_.participants()[i]);
        const std::span<const std::uint64_t> alive(alive_.data(), layout::lesser(noted_, alive_.size()));
        const bool is_noted = std::find(alive.begin(), alive.end(), process) != alive.end();
        if (!in_operation && process != 0 && is_noted) return true;
        if (!queue_.is_alive(i)) return false;
        alive_[noted_++ % alive_.size()] = process;
        return true;
    }

private:
    const session& queue_;
    std::array<std::uint64_t, 32> alive_{};
    std::size_t noted_ = 0;
};

inline participant_stats stats_of(const session& queue, std::uint32_t i, census& living) {
    const auto& ring = queue.ring();
    const auto& entry = queue.participants()[i];
    const std::uint64_t tail = ring.space().ticket_of(ring.memory().tail().load(std::memory_order_relaxed));
    const std::uint64_t head = ring.memory().head().load(std::memory_order_relaxed);
    const std::chrono::nanoseconds since(entry.registered_at.load(std::memory_order_relaxed));
    const auto pushing =
        message_of(ring, entry.push_intent, entry.push_count, tail, [](std::uint64_t state) { return state == 0; });
    const auto popping = message_of(ring, entry.pop_intent, entry.pop_count, head, [](std::uint64_t state) {
        return state == 1 || state == 2 || delivery_state(state).is_retaken();
    });
    return {
        entry.pid.load(std::memory_order_relaxed),
        entry.tid.load(std::memory_order_relaxed),
        std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(since)),
        living.is_alive(i, pushing || popping),
        pushing,
        popping};
}

inline std::optional<stall> note_and_describe(layout::stall_note& note, const session& queue,
                                              const std::vector<participant_stats>& participants,
                                              std::optional<std::uint64_t> ticket,
                                              std::optional<std::uint64_t> participant_stats::*position) {
    const std::chrono::nanoseconds at_least(note_stall(note, queue.ring(), ticket));
    if (!ticket) return std::nullopt;
    const std::uint64_t message = queue.ring().space().distance(0, *ticket);
    stall result{message, at_least, std::nullopt};
    for (const auto& one : participants) {
        if (one.*position == message && (!result.by || one.alive)) result.by = one;
    }
    return result;
}

inline queue_stats collect_stats(const session& queue) {
    const auto& ring = queue.ring();
    const auto& space = ring.space();
    auto& counters = queue.object().counters();
    queue_stats result{};
    result.capacity = space.capacity();
    result.tombstones = counters.tombstones.load(std::memory_order_relaxed);
    result.redelivered = counters.redelivered.load(std::memory_order_relaxed);
    result.dropped = counters.dropped.load(std::memory_order_relaxed);
    result.closed = ring.closed();
    result.being_recovered = queue.is_being_recovered();
    result.size = ring.size();
    // All tickets that were ever claimed are messages, except the tombstones. Messages that no longer wait have been
    // popped.
    const std::uint64_t claimed = space.distance(0, space.ticket_of(counters.tail.load(std::memory_order_relaxed)));
    result.pushed = claimed - layout::lesser(claimed, result.tombstones);
    result.popped = result.pushed - layout::lesser(result.pushed, result.size + result.dropped);
    census living(queue);
    for (std::uint32_t i = 0; i < queue.participants().count(); ++i) {
        // [A5] acquire, pairs with [A3]: an entry that is seen occupied has no earlier owner's intents. Relaxed would
        // show them.
        if (queue.participants()[i].occupied.load(std::memory_order_acquire) != 0) {
            result.participants.push_back(stats_of(queue, i, living));
        }
    }
    result.head = note_and_describe(counters.head_stall, queue, result.participants, ring.stall_at_head(),
                                    &participant_stats::pushing);
    result.tail = note_and_describe(counters.tail_stall, queue, result.participants, ring.stall_at_tail(),
                                    &participant_stats::popping);
    return result;
}

}  // namespace promisqs::detail
