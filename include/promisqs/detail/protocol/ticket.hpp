// SPDX-License-Identifier: Apache-2.0
#pragma once

// The arithmetic of the ring. docs/protocol.md explains the words: ticket, lap, slot, stamp, claim, intent and the
// others.

#include <promisqs/detail/layout.hpp>

#include <bit>
#include <cstdint>

namespace promisqs::detail {

/// The states of a slot within a lap, in the order in which they come. Those of messages that came back are greater:
/// see `delivery_state`.
enum class slot_state : std::uint64_t { free = 0, full = 1, tombstone = 2 };

/// The arithmetic of tickets and stamps, for one capacity. A ticket is a lap in the high bits and an index in the low
/// ones, so that both come without a division. A stamp is a lap in the same high bits, and a state in the low 8.
class ticket_space {
public:
    /// \param capacity  1 to `layout::max_capacity`
    explicit constexpr ticket_space(std::uint64_t capacity) noexcept
        : capacity_(capacity), mask_(one_lap(capacity) - 1) {}

    [[nodiscard]] constexpr std::uint64_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] constexpr std::uint64_t index(std::uint64_t ticket) const noexcept { return ticket & mask_; }
    /// The lap of a ticket or of a stamp, left in the high bits.
    [[nodiscard]] constexpr std::uint64_t lap(std::uint64_t ticket) const noexcept { return ticket - index(ticket); }
    /// The ticket of the same slot, one lap later.
    [[nodiscard]] constexpr std::uint64_t next_lap(std::uint64_t ticket) const noexcept { return ticket + mask_ + 1; }
    /// The lap after that of a ticket.
    [[nodiscard]] constexpr std::uint64_t lap_after(std::uint64_t ticket) const noexcept {
        return (ticket | mask_) + 1;
    }
    /// The ticket of the same slot, one lap earlier.
    [[nodiscard]] constexpr std::uint64_t previous_lap(std::uint64_t ticket) const noexcept {
        return ticket - mask_ - 1;
    }

    /// Whether a number is a ticket at all. A closed tail is not. Participants write no others: those come from
    /// something else that writes into the segment.
    [[nodiscard]] constexpr bool valid(std::uint64_t ticket) const noexcept { return index(ticket) < capacity_; }

    /// The ticket after a valid one.
    [[nodiscard]] constexpr std::uint64_t next(std::uint64_t ticket) const noexcept {
        if (index(ticket) + 1 >= capacity_) [[unlikely]]
            return lap_after(ticket);  // cheaper than a conditional move
        return ticket + 1;
    }
    /// The ticket so many after a valid one, at most a lap.
    [[nodiscard]] constexpr std::uint64_t later(std::uint64_t ticket, std::uint64_t tickets) const noexcept {
        const std::uint64_t place = index(ticket) + tickets;
        return place < capacity_ ? ticket + tickets : lap_after(ticket) + place - capacity_;
    }
    /// The ticket before a valid one.
    [[nodiscard]] constexpr std::uint64_t previous(std::uint64_t ticket) const noexcept {
        return index(ticket) != 0 ? ticket - 1 : previous_lap(ticket) + capacity_ - 1;
    }
    /// `next` and `valid` in one step.
    ///
    /// \return  whether `ticket` is valid; only then `after` is the ticket after it
    [[nodiscard]] constexpr bool step(std::uint64_t ticket, std::uint64_t& after) const noexcept {
        const std::uint64_t place = index(ticket) + 1;
        after = ticket + 1;
        if (place < capacity_) [[likely]]
            return true;
        after = lap_after(ticket);
        return place == capacity_;
    }

    /// True if `stamp` equals `make_stamp(lap(ticket), state)`. Written as an addition, which saves an instruction.
    [[nodiscard]] constexpr bool is_stamp(std::uint64_t stamp, std::uint64_t ticket, slot_state state) const noexcept {
        return stamp + index(ticket) == ticket + static_cast<std::uint64_t>(state);
    }

    /// The number of tickets from `from` up to `to`, without `to`, which does not come before `from`.
    [[nodiscard]] constexpr std::uint64_t distance(std::uint64_t from, std::uint64_t to) const noexcept {
        return ((lap(to) - lap(from)) >> std::countr_one(mask_)) * capacity_ + index(to) - index(from);
    }

    /// Whether `a` comes before `b`. Tickets wrap around at 2^64, which this allows for.
    [[nodiscard]] static constexpr bool before(std::uint64_t a, std::uint64_t b) noexcept {
        return static_cast<std::int64_t>(a - b) < 0;
    }

    /// The bit of `tail` that closes the queue: the highest bit of the index, which no index needs. It makes `tail` an
    /// invalid ticket, so that no push has to look for it.
    [[nodiscard]] constexpr std::uint64_t closed_bit() const noexcept { return (mask_ + 1) / 2; }
    [[nodiscard]] constexpr bool closed(std::uint64_t tail) const noexcept { return (tail & closed_bit()) != 0; }
    /// The ticket in a tail, closed or not.
    [[nodiscard]] constexpr std::uint64_t ticket_of(std::uint64_t tail) const noexcept { return tail & ~closed_bit(); }

private:
    // No index reaches the closed bit or the mask, so `no_ticket` is no ticket. A state, 8 bits, fits below the lap.
    static constexpr std::uint64_t one_lap(std::uint64_t capacity) noexcept {
        const int bits = static_cast<int>(std::bit_width(capacity)) + 1;
        return std::uint64_t{1} << (bits < 8 ? 8 : bits);
    }

    std::uint64_t capacity_;
    std::uint64_t mask_;
};

constexpr std::uint64_t make_stamp(std::uint64_t lap, slot_state state) noexcept {
    return lap + static_cast<std::uint64_t>(state);
}

}  // namespace promisqs::detail
