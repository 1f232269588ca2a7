// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/options.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace promisqs::detail {

/// How far a wait has come, by a policy: what to do until the next look.
class wait_clock {
public:
    explicit wait_clock(const wait_policy& policy) noexcept : policy_(policy), looks_(looks_in_a_row(policy)) {}

    /// Looks some times in a row, as cheaply as can be, as long as this is for spinning.
    template <class Look>
    [[nodiscard]] bool look(Look look) const {
        for (unsigned i = 0; i < looks_; ++i) {
            for (unsigned pauses = 0; pauses < policy_.pauses; ++pauses) os::pause();
            if (look()) return true;
        }
        return false;
    }

    enum class stage { spin, yield, sleep };
    /// What to begin with.
    [[nodiscard]] stage first(bool has_time) const noexcept {
        if (!has_time || policy_.spin + policy_.yield <= policy_.spin.zero()) return stage::sleep;
        return policy_.spin > policy_.spin.zero() ? stage::spin : stage::yield;
    }
    [[nodiscard]] stage at(std::uint64_t now) noexcept {
        if (begun_ == 0) begun_ = now;
        const std::chrono::nanoseconds waited(now - begun_);
        if (!tired_ && waited < policy_.spin) return stage::spin;
        return !tired_ && waited < policy_.spin + policy_.yield ? stage::yield : stage::sleep;
    }

    /// Something has happened: it may be worth while to spin.
    void restart() noexcept { tired_ = false, begun_ = 0; }
    /// Nothing has.
    void go_on_sleeping() noexcept { tired_ = true; }

private:
    // As many as take a few microseconds, by what a pause takes at least on most processors, but no longer than it may spin at all.
    static unsigned looks_in_a_row(const wait_policy& policy) noexcept {
        if (policy.pauses == 0) return policy.spin > policy.spin.zero() ? 1024 : 1;
        const auto fit = policy.spin / std::chrono::nanoseconds(25) / policy.pauses;
        return static_cast<unsigned>(std::clamp<std::int64_t>(fit, 1, std::max(1U, 128 / policy.pauses)));
    }

    wait_policy policy_;
    unsigned looks_;
    std::uint64_t begun_ = 0;
    bool tired_ = false;
};

/// The point of the steady clock that lies so far ahead, or `os::never`.
template <class Rep, class Period>
std::uint64_t deadline_after(std::chrono::duration<Rep, Period> from_now) noexcept {
    using seconds = std::chrono::duration<double>;
    if (from_now <= from_now.zero()) return 0;
    if (std::chrono::duration_cast<seconds>(from_now) > std::chrono::hours(24 * 365 * 100)) return os::never;
    const auto whole = std::chrono::ceil<std::chrono::nanoseconds>(from_now);
    return os::steady_clock() + static_cast<std::uint64_t>(whole.count());
}

/// A point of the steady clock in nanoseconds; 0 if before its beginning.
template <class Duration>
std::uint64_t deadline_at(std::chrono::time_point<std::chrono::steady_clock, Duration> when) noexcept {
    using seconds = std::chrono::duration<double>;
    const auto since = when.time_since_epoch();
    if (since <= since.zero()) return 0;
    if (std::chrono::duration_cast<seconds>(since) > std::chrono::hours(24 * 365 * 200)) return os::never;
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::nanoseconds>(since).count());
}

}  // namespace promisqs::detail
