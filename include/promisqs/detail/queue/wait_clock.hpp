// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/options.hpp>

#include <chrono>
#include <cstdint>
#include <limits>

namespace promisqs::detail {

/// How far a wait has come, by a policy.
class wait_clock {
public:
    /// \param spins  false: it yields for the time to spin, too
    explicit wait_clock(const wait_policy& policy, bool spins = true) noexcept
        : policy_(spins ? within_bounds(policy) : without_spinning(within_bounds(policy))) {}

    /// Probes several times in a row.
    template <class Probe>
    [[nodiscard]] bool probe(Probe probe) const {
        for (unsigned i = 0; i < probes_; ++i) {
            for (unsigned pauses = 0; pauses < policy_.pauses; ++pauses) os::pause();
            if (probe()) return true;
        }
        return false;
    }

    enum class stage { spin, yield, sleep };
    /// What to begin with.
    [[nodiscard]] stage first(bool has_time) const noexcept {
        if (!has_time || end_of_yield_ <= 0) return stage::sleep;
        return policy_.spin.count() > 0 ? stage::spin : stage::yield;
    }
    [[nodiscard]] stage at(std::uint64_t now) noexcept {
        if (begun_ == 0) begun_ = now;
        const auto waited = static_cast<std::int64_t>(now - begun_);
        if (!sleeps_on_ && waited < policy_.spin.count()) return stage::spin;
        return !sleeps_on_ && waited < end_of_yield_ ? stage::yield : stage::sleep;
    }

    /// A waker came: it may be worth while to spin again.
    void restart() noexcept {
        sleeps_on_ = false;
        begun_ = 0;
    }
    /// None came.
    void sleep_on() noexcept { sleeps_on_ = true; }

private:
    // Times may be as long as can be, but not negative. Pauses may take some milliseconds: limits of time are kept.
    static wait_policy within_bounds(wait_policy policy) noexcept {
        constexpr std::chrono::nanoseconds none{0};
        if (policy.spin < none) policy.spin = none;
        if (policy.yield < none) policy.yield = none;
        if (policy.pauses > wait_policy::most_pauses) policy.pauses = wait_policy::most_pauses;
        return policy;
    }
    static wait_policy without_spinning(wait_policy policy) noexcept {
        policy.yield = std::chrono::nanoseconds(sum(policy.spin.count(), policy.yield.count()));
        policy.spin = policy.spin.zero();
        return policy;
    }
    static constexpr std::int64_t sum(std::int64_t a, std::int64_t b) noexcept {
        constexpr std::int64_t most = (std::numeric_limits<std::int64_t>::max)();
        return b > most - a ? most : a + b;
    }

    // Enough probes for about 3 µs (25 ns per pause), capped by the policy's time to spin.
    static unsigned probes_in_a_row(const wait_policy& policy) noexcept {
        if (policy.pauses == 0) return policy.spin.count() > 0 ? 1024 : 1;
        const std::int64_t fit = policy.spin.count() / 25 / policy.pauses;
        const std::int64_t most = policy.pauses < 128 ? 128 / policy.pauses : 1;
        return static_cast<unsigned>(fit < 1 ? 1 : fit < most ? fit : most);
    }

    wait_policy policy_;
    std::int64_t end_of_yield_ = sum(policy_.spin.count(), policy_.yield.count());
    unsigned probes_ = probes_in_a_row(policy_);
    std::uint64_t begun_ = 0;
    bool sleeps_on_ = false;
};

}  // namespace promisqs::detail
