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

#include <promisqs/detail/layout.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

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

    /// Takes the mark away. True: the caller is to wake all that sleep on `futex()`.
    [[nodiscard]] bool clear_asleep() noexcept {
        std::uint32_t value = word_.load(std::memory_order_seq_cst);  // [W1]
        while ((value & layout::asleep) != 0) {
            // Failing: others have announced themselves, or are waking, which is looked at again.
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
