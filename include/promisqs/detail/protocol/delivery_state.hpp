// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>

#include <algorithm>
#include <cstdint>

namespace promisqs::detail {

/// The state of a message that is to be delivered again, or is being so: how many consumers died with it, how often it was
/// handed back since the last death, and whether somebody has it now:
///
///     state = deaths × 32 + handed back × 2 + (taken ? 1 : 0)
///
/// `full` is, in this reading, a message that came back never: so a consumer that has claimed one treats both alike.
class delivery_state {
public:
    static constexpr std::uint64_t most_deaths = layout::most_deaths;
    static constexpr std::uint64_t most_requeues = 15;
    static constexpr std::uint64_t last = 255;

    /// \param state  the low bits of a stamp, up to `last`
    explicit constexpr delivery_state(std::uint64_t state) noexcept : state_(state) {}

    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return state_; }
    [[nodiscard]] constexpr std::uint64_t deaths() const noexcept { return state_ >> 5; }
    [[nodiscard]] constexpr std::uint64_t requeues() const noexcept { return (state_ >> 1) & most_requeues; }
    [[nodiscard]] constexpr bool is_orphan() const noexcept {
        return state_ > 2 && state_ <= last && (state_ & 1) == 0;
    }
    [[nodiscard]] constexpr bool is_retaken() const noexcept {
        return state_ > 2 && state_ <= last && (state_ & 1) == 1;
    }
    /// Of an orphan: once a consumer has claimed it.
    [[nodiscard]] constexpr delivery_state retaken() const noexcept { return delivery_state(state_ | 1); }

    /// The orphan after the death of its consumer.
    [[nodiscard]] constexpr delivery_state after_death() const noexcept {
        return deaths() < most_deaths ? orphan(deaths() + 1, 0) : after_many();
    }
    /// Whether the state still grows when the consumer hands the message back.
    [[nodiscard]] constexpr bool can_be_requeued() const noexcept { return requeues() < most_requeues; }
    /// The orphan after it did; `can_be_requeued`.
    [[nodiscard]] constexpr delivery_state after_requeue() const noexcept {
        return orphan(deaths(), std::max<std::uint64_t>(requeues() + 1, 2));
    }
    /// The orphan to which the state goes when it can't grow any more. It does so only under the recovery lock, so that nobody
    /// is between looking at the state and acting on it, for whom it must not come again. (A consumer that is about to take
    /// the orphan may be: to it, one is as good as the other.)
    [[nodiscard]] constexpr delivery_state after_many() const noexcept { return orphan(deaths(), 2); }

private:
    static constexpr delivery_state orphan(std::uint64_t deaths, std::uint64_t requeues) noexcept {
        return delivery_state(deaths << 5 | requeues << 1);
    }

    std::uint64_t state_;
};

}  // namespace promisqs::detail
