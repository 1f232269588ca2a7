// SPDX-License-Identifier: Apache-2.0
#pragma once

// Going to sleep, and waking, so that no wake-up is lost. Each role has a wait word (layout.hpp), on which its
// participants sleep.
//
//   the sleeper                                       the waker
//   1. sets `asleep` in the word, and keeps its       1. changes what the other role waits for: claims a ticket,
//      value [W2]                                        retakes an orphan, counts an irregularity, closes
//   2. looks again for what it waits for              2. publishes, or releases
//   3. sleeps, if the word still has that value       3. looks at the word [W1]; if `asleep` is set, wakes
//
// Steps 1 and 2 of the sleeper and steps 1 and 3 of the waker are sequentially consistent, so they have a single order.
// If the change comes before the sleeper's look, that look finds it, and the sleeper does not sleep. If the look comes
// before the change, the announcement does, too, and the waker's look at the word sees it. Acquire and release would
// let both miss.
//
// A waker first takes `asleep` away and changes the epoch, in one step, and then wakes all. A sleeper that announced
// itself before that is woken, or, if it has not come to its step 3 yet, does not sleep. One that sleeps later has set
// `asleep` again. The other way round, a sleeper could fall asleep between the two steps, with nothing in the word to
// say so. All are woken, not one: so no sleeper depends on what another one does that was woken.
//
// A waker that is killed between its steps 1 and 3 wakes nobody. That is why sleepers also wake up without it, at
// intervals.

#include <promisqs/detail/layout.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// The word on which the participants of one role sleep.
class wait_word {
public:
    explicit wait_word(std::atomic<std::uint32_t>& word) noexcept : word_(word) {}

    /// Longest sleep, in nanoseconds: bounds the delay when the waker was killed.
    static constexpr std::uint64_t interval = 20'000'000;
    /// Longest sleep, in nanoseconds, of a participant that needs a heavy barrier which the kernel does not have: its
    /// announcement may be missed.
    static constexpr std::uint64_t short_interval = 1'000'000;

    /// Whether there may be a sleeper to wake, or one to be told something.
    [[nodiscard]] [[gnu::__always_inline__]] bool needs_attention() const noexcept {
        // [W1] seq_cst, pairs with [W2] and [W4]: this look comes after our change [P3], [C2], [C7], [D1] or [X2].
        // Acquire would let it come before, and miss a sleeper that misses the change.
        return (word_.load(std::memory_order_seq_cst) & (layout::asleep | layout::closing)) != 0;
    }
    [[nodiscard]] bool has(std::uint32_t flag) const noexcept {
        // [W3] seq_cst, pairs with [W4]: a flag comes before the looks and barriers that follow its setting. Acquire
        // would let it be missed after them.
        return (word_.load(std::memory_order_seq_cst) & flag) != 0;
    }
    void set(std::uint32_t flag) noexcept {
        // [W4] seq_cst, pairs with [W3] and [W1]: it comes before what its setter does next. Release would let the
        // closed bit be seen, and wiped out, without `closing`.
        word_.fetch_or(flag, std::memory_order_seq_cst);
    }

    /// Announces that the calling thread is about to sleep.
    ///
    /// \return  the value on which to sleep
    [[nodiscard]] std::uint32_t announce() noexcept {
        // [W2] seq_cst, pairs with [W1] and [W5]: the sleeper's next look, [P0], [P6], [P9], [B10], [B11], [C10] or
        // [D2], comes after it. Acq_rel would let that look come before, and miss a change whose maker misses this.
        return word_.fetch_or(layout::asleep, std::memory_order_seq_cst) | layout::asleep;
    }

    /// Takes the mark away. True: the caller is to wake all that sleep on `futex()`.
    [[nodiscard]] bool clear_asleep() noexcept {
        // [W5] seq_cst, as [W1].
        std::uint32_t value = word_.load(std::memory_order_seq_cst);
        while ((value & layout::asleep) != 0) {
            // [W6] seq_cst, as [W1]: failing, too. Others have announced themselves, or are waking, and the word is
            // looked at again.
            if (word_.compare_exchange_weak(value, (value & ~layout::asleep) + layout::epoch,
                                            std::memory_order_seq_cst)) {
                return true;
            }
        }
        return false;
    }

    [[nodiscard]] std::atomic<std::uint32_t>& futex() const noexcept { return word_; }

private:
    std::atomic<std::uint32_t>& word_;
};

}  // namespace promisqs::detail
