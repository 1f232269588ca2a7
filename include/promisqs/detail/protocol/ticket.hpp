// SPDX-License-Identifier: Apache-2.0
#pragma once

// The arithmetic of the ring. Words used here and everywhere else:
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
//   orphan       a slot whose consumer died, or gave up, between claim and release: its message is to be delivered again
//   retaken      an orphan that a consumer has claimed
//   closed       no more messages are to come: a bit of `tail`, so that no push needs to look for it

#include <promisqs/detail/layout.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>

namespace promisqs::detail {

/// The states of a slot within a lap, in the order in which they come; beyond them are those of messages that came back.
enum class slot_state : std::uint64_t { free = 0, full = 1, tombstone = 2 };

/// The arithmetic of tickets and stamps, for one capacity. A ticket is its lap in the high bits and its index in the low
/// ones, so that both come without a division. A stamp is the lap in the same high bits, and its state in the low 8.
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
    /// The lap after that of a ticket.
    [[nodiscard]] constexpr std::uint64_t lap_after(std::uint64_t ticket) const noexcept {
        return (ticket | mask_) + 1;
    }
    [[nodiscard]] constexpr std::uint64_t previous_lap(std::uint64_t ticket) const noexcept {
        return ticket - mask_ - 1;
    }

    /// Whether it is a ticket at all. A closed tail is not; other values can only come from something that is no participant.
    [[nodiscard]] constexpr bool valid(std::uint64_t ticket) const noexcept { return index(ticket) < capacity_; }

    /// The ticket after a valid one.
    [[nodiscard]] constexpr std::uint64_t next(std::uint64_t ticket) const noexcept {
        if (index(ticket) + 1 >= capacity_) [[unlikely]]
            return lap_after(ticket);  // cheaper than a conditional move
        return ticket + 1;
    }
    /// Likewise, in a single step with the question whether it is valid.
    ///
    /// \return  whether `ticket` is; only then `after` is set
    [[nodiscard]] constexpr bool step(std::uint64_t ticket, std::uint64_t& after) const noexcept {
        const std::uint64_t place = index(ticket) + 1;
        after = ticket + 1;
        if (place < capacity_) [[likely]]
            return true;
        after = lap_after(ticket);
        return place == capacity_;
    }

    /// Whether a stamp is the one that the slot of `ticket` has in this state; in fewer steps than it takes to make that stamp.
    [[nodiscard]] constexpr bool is_stamp(std::uint64_t stamp, std::uint64_t ticket, slot_state state) const noexcept {
        return stamp + index(ticket) == ticket + static_cast<std::uint64_t>(state);
    }

    /// How many tickets lie from `from` up to, and without, `to`; not before it.
    [[nodiscard]] constexpr std::uint64_t distance(std::uint64_t from, std::uint64_t to) const noexcept {
        return ((lap(to) - lap(from)) >> std::countr_one(mask_)) * capacity_ + index(to) - index(from);
    }

    [[nodiscard]] static constexpr bool before(std::uint64_t a, std::uint64_t b) noexcept {
        return static_cast<std::int64_t>(a - b) < 0;
    }

    /// The bit that closes the queue, in `tail`: the highest of the index, which no index needs.
    [[nodiscard]] constexpr std::uint64_t closed_bit() const noexcept { return (mask_ + 1) / 2; }
    [[nodiscard]] constexpr bool closed(std::uint64_t tail) const noexcept { return (tail & closed_bit()) != 0; }
    /// The ticket that a tail stands for, closed or not.
    [[nodiscard]] constexpr std::uint64_t ticket_of(std::uint64_t tail) const noexcept { return tail & ~closed_bit(); }

private:
    // An index never reaches the closed bit, nor the mask, so that `no_ticket` is no ticket; and a state, 8 bits, fits below
    // the lap.
    static constexpr std::uint64_t one_lap(std::uint64_t capacity) noexcept {
        return std::uint64_t{1} << std::max(8, static_cast<int>(std::bit_width(capacity)) + 1);
    }

    std::uint64_t capacity_;
    std::uint64_t mask_;
};

constexpr std::uint64_t make_stamp(std::uint64_t lap, slot_state state) noexcept {
    return lap + static_cast<std::uint64_t>(state);
}

}  // namespace promisqs::detail
