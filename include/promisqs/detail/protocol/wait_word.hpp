// SPDX-License-Identifier: Apache-2.0
#pragma once

// Going to sleep, and waking, so that no wake-up is lost. Each role has a wait word (layout.hpp), on which its
// participants sleep.
//
//   the sleeper                                       the waker
//   1. sets `asleep` in the word and changes the      1. changes what the other role waits for: claims a ticket,
//      epoch, in one step, and keeps the value [W2]      retakes an orphan, counts an irregularity, closes
//   2. looks again for what it waits for              2. publishes, or releases
//   3. sleeps, if the word still has that value       3. looks at the word [W1]; if `asleep` is set, changes the
//                                                        epoch [W6], and then wakes
//
// Steps 1 and 2 of the sleeper and steps 1 and 3 of the waker are sequentially consistent, so they have a single order.
// If the change comes before the sleeper's look, that look finds it, and the sleeper does not sleep. If the look comes
// before the change, the announcement does, too, and the waker's look at the word sees it. Acquire and release would
// let both miss. Then the sleeper sleeps already, and is woken; or it has not come to its step 3, and finds that the
// word has changed.
//
// One is woken for one message, and leaves `asleep` set for the others. Only a waker that wakes fewer than it wanted
// knows that nobody slept any more. It takes `asleep` away, if the word still has the value that it has made [W7]. A
// participant that has announced itself since has changed the word: so it does not lose its mark.
//
// A participant that is woken may find nothing: another one was faster, or the message before is not published yet. It
// goes on waiting, and its wake-up is spent. So a participant that leaves its wait looks whether the next one of its
// role could go on, and wakes it. A participant that may leave what it finds to others, such as `wait_any`, sets
// `watching`. Then all are woken, and both marks are taken away before.
//
// Two things can cost a wake-up. A process may be killed or stopped between its steps, or after it was woken. And
// behind an operation in progress, a sleeper looks at a stamp, which is published without being ordered before the look
// at the word. That is why one sleeper on each word, the keeper, wakes up without being woken: see
// queue/recovery_schedule.hpp.
//
// tests/model/waiting.pml is a model of this.

#include <promisqs/detail/layout.hpp>

#include <atomic>
#include <cstdint>
#include <limits>

namespace promisqs::detail {

/// The word on which the participants of one role sleep.
class wait_word {
public:
    explicit wait_word(std::atomic<std::uint32_t>& word) noexcept : word_(word) {}

    /// As a number of sleepers: all.
    static constexpr std::uint64_t everybody = (std::numeric_limits<std::int32_t>::max)();
    /// Longest sleep, in nanoseconds, of a participant that needs a heavy barrier which the kernel does not have: its
    /// announcement may be missed.
    static constexpr std::uint64_t short_interval = 1'000'000;

    /// Whether there may be a sleeper to wake, or one to be told something.
    [[nodiscard]] [[gnu::always_inline]] bool needs_attention() const noexcept {
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
    /// \param watches  whether it may leave to others what it is woken for
    /// \return         the value on which to sleep
    [[nodiscard]] std::uint32_t announce(bool watches) noexcept {
        const std::uint32_t marks = layout::asleep | (watches ? layout::watching : 0);
        std::uint32_t value = word_.load(std::memory_order_relaxed);  // only to begin with
        // [W2] seq_cst, pairs with [W1] and [W5]: the sleeper's next look, [P0], [P6], [P9], [C10] or [D2], comes after
        // it. Acq_rel would let that look come before, and miss a change whose maker misses this. Failing orders
        // nothing: it is tried again.
        while (!word_.compare_exchange_weak(value, (value | marks) + layout::epoch, std::memory_order_seq_cst,
                                            std::memory_order_relaxed)) {}
        return (value | marks) + layout::epoch;
    }

    /// A waker's call: how many to wake, and the value that the word has got for it.
    struct call {
        std::uint32_t sleepers;
        std::uint32_t value;
    };
    /// Changes the word, if there are sleepers.
    ///
    /// \param wanted  how many can go on now
    /// \return        how many of those who sleep on `futex()` the caller is to wake; then it calls `settle`
    [[nodiscard]] call prepare(std::uint64_t wanted) noexcept {
        // [W5] seq_cst, as [W1].
        std::uint32_t value = word_.load(std::memory_order_seq_cst);
        while ((value & layout::asleep) != 0) {
            const bool all = wanted >= everybody || (value & layout::watching) != 0;
            const std::uint32_t marks = all ? layout::asleep | layout::watching : 0;
            const std::uint32_t next = (value & ~marks) + layout::epoch;
            // [W6] seq_cst, as [W1]: failing, too. Others have announced themselves, or are waking, and the word is
            // looked at again.
            if (word_.compare_exchange_weak(value, next, std::memory_order_seq_cst)) {
                return {static_cast<std::uint32_t>(all ? everybody : wanted), next};
            }
        }
        return {0, value};
    }
    /// Takes `asleep` away if the kernel has woken fewer than it was to wake, and nobody has announced itself since.
    void settle(const call& made, std::uint32_t woken) noexcept {
        if (woken >= made.sleepers || (made.value & layout::asleep) == 0) return;
        std::uint32_t value = made.value;
        // [W7] relaxed: only the order of the changes of this one word matters. Failing, too: then there may be a
        // sleeper again.
        word_.compare_exchange_strong(value, (value & ~layout::asleep) + layout::epoch, std::memory_order_relaxed,
                                      std::memory_order_relaxed);
    }

    [[nodiscard]] std::atomic<std::uint32_t>& futex() const noexcept { return word_; }

private:
    std::atomic<std::uint32_t>& word_;
};

}  // namespace promisqs::detail
