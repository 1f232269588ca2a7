// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>

#include <cstdint>

namespace promisqs::detail {

/// The state of a message that came back: how many consumers died with it, how many requeued it since the last death,
/// and whether a consumer has claimed it again.
///
///     state = deaths × 32 + requeues × 2 + (retaken ? 1 : 0)
///
/// `full` decodes as 0 deaths and 0 requeues, so first delivery and redelivery share one path.
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
    /// What an orphan becomes when a consumer claims it.
    [[nodiscard]] constexpr delivery_state retaken() const noexcept { return delivery_state(state_ | 1); }

    /// The orphan after the death of its consumer.
    [[nodiscard]] constexpr delivery_state after_death() const noexcept {
        return deaths() < most_deaths ? orphan(deaths() + 1, 0) : saturated();
    }
    /// Whether a requeue still makes the state grow.
    [[nodiscard]] constexpr bool can_be_requeued() const noexcept { return requeues() < most_requeues; }
    /// The orphan after a requeue. Precondition: `can_be_requeued()`.
    [[nodiscard]] constexpr delivery_state after_requeue() const noexcept {
        return orphan(deaths(), layout::greater(requeues() + 1, 2));
    }
    /// The orphan where the state can't grow. Reusing a state risks ABA; the recovery lock excludes anyone between
    /// reading it and acting on it. (A consumer between reading an orphan and claiming it is not excluded: one orphan
    /// is as good as the other.)
    [[nodiscard]] constexpr delivery_state saturated() const noexcept { return orphan(deaths(), 2); }

private:
    static constexpr delivery_state orphan(std::uint64_t deaths, std::uint64_t requeues) noexcept {
        return delivery_state(deaths << 5 | requeues << 1);
    }

    std::uint64_t state_;
};

}  // namespace promisqs::detail
