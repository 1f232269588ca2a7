// SPDX-License-Identifier: Apache-2.0
#pragma once

// Going to sleep, and waking, so that no wake-up is lost. Each side has a wait word (layout.hpp), on which its participants sleep.
//
//   who sleeps                                          who wakes
//   1. sets `asleep` in the word, and keeps its value   1. changes what the other side waits for: claims a ticket, takes a message
//   2. looks once more at what it waits for                that came back, counts a disturbance, closes
//   3. sleeps, if the word still has that value         2. publishes, or releases
//                                                       3. looks at the word; if `asleep` is set, wakes
//
// [W1] [W2] Step 1 of either and the look after it are sequentially consistent. So in their one order, either the change comes before the
// look 2, which then finds that it is not to sleep; or the look 2, and with it the announcement 1, comes before the change, and the look 3
// of who changed it sees the announcement. Acquire and release would let both miss.
//
// Who wakes first takes `asleep` away and changes the epoch, in one step, and then wakes all. So who announced itself before is woken, or,
// if it has not come to its step 3 yet, does not sleep; and who sleeps later has set `asleep` again. The other way round, somebody could fall
// asleep between the two, with nothing in the word to say so. All, not one: nobody then depends on what another one does that was woken.
//
// Who is killed between 1 and 3 of the right column wakes nobody. That is why who sleeps also wakes up by itself, every now and then.

#include <promisqs/layout.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/wait_policy.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace promisqs {

/// What the participants of one side sleep on.
class wait_word {
public:
    explicit wait_word(std::atomic<std::uint32_t>& word) noexcept : word_(word) {}

    /// How long who sleeps does so at most, in nanoseconds; see above.
    static constexpr std::uint64_t interval = 20'000'000;
    /// Likewise, where the kernel has no heavy barriers for one that would need them: the announcement may then be missed.
    static constexpr std::uint64_t short_interval = 1'000'000;

    /// Whether there may be somebody to wake, or to be told something.
    [[nodiscard]] [[gnu::always_inline]] bool needs_attention() const noexcept {
        return (word_.load(std::memory_order_seq_cst) & (layout::asleep | layout::closing)) != 0;  // [W1]
    }
    [[nodiscard]] bool has(std::uint32_t flag) const noexcept {
        return (word_.load(std::memory_order_seq_cst) & flag) != 0;
    }
    void set(std::uint32_t flag) noexcept { word_.fetch_or(flag, std::memory_order_seq_cst); }

    /// Says that the calling thread is about to sleep.
    ///
    /// \return  what to sleep on
    [[nodiscard]] std::uint32_t announce() noexcept {
        return word_.fetch_or(layout::asleep, std::memory_order_seq_cst) | layout::asleep;  // [W2]
    }

    /// Sleeps, unless somebody has woken who sleeps since `value` was announced.
    ///
    /// \return  false: the time is over
    bool sleep(std::uint32_t value, std::uint64_t deadline) noexcept {
        return platform::sleep_on(word_, value, deadline) != ETIMEDOUT;
    }

    /// Wakes all who sleep.
    void wake() noexcept {
        std::uint32_t value = word_.load(std::memory_order_seq_cst);  // [W1]
        while ((value & layout::asleep) != 0) {
            // Failing: others have announced themselves, or are waking, which is looked at again.
            if (word_.compare_exchange_weak(value, (value & ~layout::asleep) + layout::epoch,
                                            std::memory_order_seq_cst)) {
                platform::wake(word_, platform::everybody);
                return;
            }
        }
    }

    [[nodiscard]] platform::watched_word watched(std::uint32_t value) const noexcept {
        return platform::watched_word::of(word_, value);
    }

private:
    std::atomic<std::uint32_t>& word_;
};

/// How far a wait has come, by a policy: what to do until the next look.
class wait_clock {
public:
    explicit wait_clock(const wait_policy& policy) noexcept : policy_(policy), looks_(looks_in_a_row(policy)) {}

    /// Looks some times in a row, as cheaply as can be, as long as this is for spinning.
    template <class Look>
    [[nodiscard]] bool look(Look look) const {
        for (unsigned i = 0; i < looks_; ++i) {
            for (unsigned pauses = 0; pauses < policy_.pauses; ++pauses) platform::pause();
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

/// The point of the steady clock that lies so far ahead, or `platform::never`.
template <class Rep, class Period>
std::uint64_t deadline_after(std::chrono::duration<Rep, Period> from_now) noexcept {
    using seconds = std::chrono::duration<double>;
    if (from_now <= from_now.zero()) return 0;
    if (std::chrono::duration_cast<seconds>(from_now) > std::chrono::hours(24 * 365 * 100)) return platform::never;
    const auto whole = std::chrono::ceil<std::chrono::nanoseconds>(from_now);
    return platform::steady_clock() + static_cast<std::uint64_t>(whole.count());
}

/// A point of the steady clock in nanoseconds; 0 if before its beginning.
template <class Duration>
std::uint64_t deadline_at(std::chrono::time_point<std::chrono::steady_clock, Duration> when) noexcept {
    using seconds = std::chrono::duration<double>;
    const auto since = when.time_since_epoch();
    if (since <= since.zero()) return 0;
    if (std::chrono::duration_cast<seconds>(since) > std::chrono::hours(24 * 365 * 200)) return platform::never;
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::nanoseconds>(since).count());
}

}  // namespace promisqs
