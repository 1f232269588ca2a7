// SPDX-License-Identifier: Apache-2.0
#pragma once

// When the next look for the dead is due. All participants that wait on a word share one promise, `look_due`: a time at
// which one of them will look. A participant that finds a promise soon enough does not look. Otherwise it promises a
// look of its own, and looks at once.
//
// The participant that has made the promise is the keeper. It sleeps until then, and no longer. So it also finds what a
// killed waker has left, and wakes the next. A keeper that leaves its wait marks the promise as vacant, and the next
// participant that goes to sleep takes it over. Eight deputies sleep hardly longer, in case the keeper leaves or dies.
// All others sleep for half a second. A participant after which neither a keeper nor a deputy is left wakes one of
// them.
//
// Another process may write anything there, or may keep its promise badly. So no participant believes a promise that
// lies in the past or too far ahead; every process looks on its own once a second; and no sleep is longer than
// `longest_sleep`.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// One process's part in it, for one wait word. All times are nanoseconds, and points of the steady clock.
class recovery_schedule {
public:
    // How soon a participant wants a look.
    static constexpr std::uint64_t when_stuck = 1'000'000;       // behind an operation in progress, at first
    static constexpr std::uint64_t when_stuck_long = 4'000'000;  // after a while
    static constexpr std::uint64_t when_idle = 20'000'000;
    static constexpr std::uint64_t at_rest = 100'000'000;  // where nothing has moved for a while

    explicit recovery_schedule(std::atomic<std::uint64_t>& look_due) noexcept : due_(look_due) {}

    /// How soon a participant wants a look that waits behind an operation in progress since then.
    [[nodiscard]] static std::uint64_t behind(std::uint64_t since, std::uint64_t now) noexcept {
        return layout::lesser(layout::greater((now - since) / 32, when_stuck), when_stuck_long);
    }
    /// How soon a participant wants a look that finds the queue empty, or full.
    ///
    /// \param activity  changes when something moves
    [[nodiscard]] std::uint64_t idle(std::uint64_t activity) const noexcept {
        return activity_.load(std::memory_order_relaxed) == activity ? rest_.load(std::memory_order_relaxed)
                                                                     : when_idle;
    }
    /// Notes that a participant which found the queue empty, or full, looks now: the next look is later.
    void rest(std::uint64_t activity) noexcept {
        const std::uint64_t rest = idle(activity);
        activity_.store(activity, std::memory_order_relaxed);
        rest_.store(layout::lesser(2 * rest, at_rest), std::memory_order_relaxed);
    }

    /// Whether this process has not called `promise` for some milliseconds.
    [[nodiscard]] bool may_be_due(std::uint64_t now) const noexcept {
        return now - asked_.load(std::memory_order_relaxed) >= when_stuck_long;
    }
    /// Promises a look, if nobody looks soon enough. The caller looks now.
    ///
    /// \param wanted  how soon the look after this one is to be
    /// \param keeps   whether the caller sleeps in between
    /// \return        the promise; 0: others look
    [[nodiscard]] std::uint64_t promise(std::uint64_t wanted, std::uint64_t now, bool keeps) noexcept {
        if (may_be_due(now)) asked_.store(now, std::memory_order_relaxed);
        std::uint64_t due = due_.load(std::memory_order_relaxed);
        const bool trusts = now - looked_.load(std::memory_order_relaxed) < distrust;
        if (trusts && is_within(due, now, wanted)) [[likely]]
            return 0;
        if (is_ahead(not_before_.load(std::memory_order_relaxed), now)) return 0;
        const std::uint64_t made = (now + wanted) & ~flags;
        if (!due_.compare_exchange_strong(due, keeps ? made : made | layout::vacant, std::memory_order_relaxed)) {
            return 0;  // another participant was faster
        }
        looked_.store(now, std::memory_order_relaxed);
        return made;
    }
    /// Takes over a promise that nobody keeps, if it is soon enough.
    ///
    /// \return  the promise; 0: it is kept, or there is none
    [[nodiscard]] std::uint64_t take_over(std::uint64_t wanted, std::uint64_t now) noexcept {
        std::uint64_t due = due_.load(std::memory_order_relaxed);
        if ((due & layout::vacant) == 0 || !is_within(due, now, wanted)) return 0;
        if (!due_.compare_exchange_strong(due, due & ~layout::vacant, std::memory_order_relaxed)) return 0;
        return due & ~flags;
    }
    /// The keeper, or a deputy, leaves.
    ///
    /// \param mine    the promise that the caller keeps, or 0
    /// \param deputy  the promise in whose stead it would look, or 0
    /// \return        whether neither a keeper nor a deputy is left
    bool leave(std::uint64_t mine, std::uint64_t deputy) noexcept {
        std::uint64_t due = due_.load(std::memory_order_relaxed);
        while (mine != 0 && (due & ~flags) == mine) {
            if (!due_.compare_exchange_weak(due, due | layout::vacant, std::memory_order_relaxed)) continue;
            return (due & layout::deputies) == 0;
        }
        while (deputy != 0 && (due & ~flags) == deputy && (due & layout::deputies) != 0) {
            if (!due_.compare_exchange_weak(due, due - layout::deputy, std::memory_order_relaxed)) continue;
            return (due & flags) == (layout::vacant | layout::deputy);
        }
        return false;
    }

    /// Notes how long a look took that is over: looks must not take much of a process's time.
    void looked(std::uint64_t begun) noexcept {
        const std::uint64_t now = os::steady_clock();
        looked_.store(now, std::memory_order_relaxed);
        not_before_.store(now + layout::lesser(16 * (now - begun), when_idle), std::memory_order_relaxed);
    }

    /// Until when to sleep.
    ///
    /// \param mine    the promise that the caller keeps, or 0
    /// \param deputy  the promise in whose stead it would look, or 0; is set here
    [[nodiscard]] std::uint64_t sleep_until(std::uint64_t mine, std::uint64_t& deputy, std::uint64_t wanted,
                                            std::uint64_t now) noexcept {
        std::uint64_t due = due_.load(std::memory_order_relaxed);
        // A process that is so slow that the time has passed before it slept sleeps all the same.
        if (mine != 0 && (due & ~flags) == mine) return is_ahead(mine, now) ? mine : now + wanted;
        // Nobody looks soon enough, and this process must not look yet.
        if (!is_within(due, now, wanted)) {
            const std::uint64_t not_before = not_before_.load(std::memory_order_relaxed);
            return is_ahead(not_before, now) ? not_before : now + when_stuck;
        }
        while (deputy != (due & ~flags) && (due & layout::deputies) < layout::most_deputies * layout::deputy) {
            if (due_.compare_exchange_weak(due, due + layout::deputy, std::memory_order_relaxed)) deputy = due & ~flags;
        }
        // Timers of all processes that expire together cost a quarter of those that do not.
        return next_multiple(now, deputy == (due & ~flags) ? layout::greater(wanted, when_idle) : longest_sleep);
    }

private:
    static constexpr std::uint64_t longest_sleep = 500'000'000;
    static constexpr std::uint64_t distrust = 1'000'000'000;
    static constexpr std::uint64_t flags = layout::vacant | layout::deputies;

    static constexpr bool is_within(std::uint64_t due, std::uint64_t now, std::uint64_t wanted) noexcept {
        return due - now <= wanted;
    }
    static constexpr bool is_ahead(std::uint64_t time, std::uint64_t now) noexcept {
        return static_cast<std::int64_t>(time - now) > 0;
    }
    static constexpr std::uint64_t next_multiple(std::uint64_t now, std::uint64_t unit) noexcept {
        return (now / unit + 1) * unit;
    }

    // Everything is relaxed: nothing but the time of the next look depends on it.
    std::atomic<std::uint64_t>& due_;
    std::atomic<std::uint64_t> looked_ = 0;
    std::atomic<std::uint64_t> asked_ = 0;
    std::atomic<std::uint64_t> not_before_ = 0;
    std::atomic<std::uint64_t> activity_ = 0;
    std::atomic<std::uint64_t> rest_ = when_idle;
};

}  // namespace promisqs::detail
