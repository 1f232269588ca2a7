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

/// Writes down at which ticket others wait, and since when that has been known. For people: nothing depends on it.
///
/// \param ticket  nothing: none
/// \return        for how long it has been known, in nanoseconds
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
    note_stall(counters.head_stall, ring, ring.stall_at_head());
    note_stall(counters.tail_stall, ring, ring.stall_at_tail());
}

}  // namespace promisqs::detail
