// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/slot_set.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// The tickets of the last lap before a tail, as a row of places: place 0 is the oldest one. Every claim that is open
/// is among them, because the tail can't pass a slot that is not free.
class last_lap {
public:
    constexpr last_lap(const ticket_space& space, std::uint64_t tail) noexcept
        : space_(space), oldest_(space.previous_lap(tail)) {}

    [[nodiscard]] constexpr std::uint64_t size() const noexcept { return space_.capacity(); }
    [[nodiscard]] constexpr std::uint64_t oldest() const noexcept { return oldest_; }

    /// The place of a ticket; `size()`, or more: none.
    [[nodiscard]] constexpr std::uint64_t place_of(std::uint64_t ticket) const noexcept {
        if (!space_.valid(ticket) || ticket_space::before(ticket, oldest_)) return size();
        return space_.distance(oldest_, ticket);
    }
    [[nodiscard]] constexpr std::uint64_t ticket_at(std::uint64_t place) const noexcept {
        return space_.later(oldest_, place);
    }

    /// The places that an intent covers. The count is stored before the intent, and read after it: a pair that does not
    /// belong together covers too much, which only postpones.
    template <class Word>
    [[nodiscard]] place_range covered_by(const Word& intent, const Word& count) const {
        // [R4] acquire, pairs with [P2], [P5], [C4], [C5], [C6], [C8], [C11], [B7] and [B8]: a participant that has
        // gone on to another ticket, or to none, is seen to have published or released the one before, so that the
        // compare-and-swap on its stamp fails. Relaxed would rob it.
        const std::uint64_t first = intent.load(std::memory_order_acquire);
        if (first == layout::no_ticket || !space_.valid(first)) return {};
        // [R9] acquire, pairs with [B1], [B2], [B3], [B4], [B6], [B9] and [B10]: as [R4], for a participant that goes
        // on from several tickets to one. It stores the count before the intent. Relaxed would rob it.
        const std::uint64_t tickets = count.load(std::memory_order_acquire);
        if (ticket_space::before(first, oldest_)) {
            const std::uint64_t gone = layout::lesser(tickets, space_.distance(first, oldest_));
            return {0, layout::lesser(tickets - gone, size())};
        }
        const std::uint64_t begin = layout::lesser(space_.distance(oldest_, first), size());
        return {begin, begin + layout::lesser(tickets, size() - begin)};
    }

private:
    ticket_space space_;
    std::uint64_t oldest_;
};

}  // namespace promisqs::detail
