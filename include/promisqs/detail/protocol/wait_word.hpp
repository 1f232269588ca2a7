// SPDX-License-Identifier: Apache-2.0
#pragma once

// Going to sleep, and waking, so that no wake-up is lost. Each role has a wait word (layout.hpp), on which its
// participants sleep. One is woken for one message.
//
//   the sleeper                                       the waker
//   1. sets `asleep` in the word, unless it is set,   1. changes what the other role waits for: claims a ticket,
//      and keeps the value [W2]                          retakes an orphan, counts an irregularity, closes
//   2. looks again for what it waits for              2. publishes, or releases
//   3. sleeps, if the word still has that value       3. looks at the word [W1]; if `asleep` is set, changes the
//                                                        epoch [W6], and then wakes as many as can go on
//                                                     4. if the kernel woke fewer: takes `asleep` and `watching` away,
//                                                        if the word still has the value of its step 3 [W7], and
//                                                        then wakes all
//
// The sleeper's steps 1 and 2 and the waker's steps 1 and 3 are sequentially consistent, so they have a single order.
// If the change comes before the sleeper's look, that look finds it. If the look comes before the change, then so does
// the announcement, and the waker sees it. Acquire and release would let both miss. A sleeper that the waker has seen
// sleeps, and the kernel can wake it; or it has not come to its step 3, and finds there that the epoch has changed.
//
// `asleep` is set as long as anybody sleeps. Only a waker that has found too few sleepers takes it away. A participant
// may have found the mark since, and fallen asleep: so the waker then wakes all. One that has found it and does not
// sleep yet finds, in its step 3, that the word has changed. A waker that is killed in between costs an interval. Were
// the mark taken away before all are woken, and many slept, a killed waker would leave sleepers whom nobody sees.
//
// An announcement changes nothing where the marks are set. Otherwise many participants that go to sleep at once would
// keep each other awake: each announcement would make the others' values old before they get to the kernel.
//
// A wake-up may be spent on a participant that has nothing to take: another one was faster, or a message before is not
// published yet, and it sleeps again. Then that message is ready later, and its own wake-up is spent. So each
// participant that has announced itself in this wait, and leaves it, looks whether the next of its role could go on,
// and wakes it. That is so however it leaves: with what it waited for, out of time, stopped, or by an exception. It
// does so before the caller's code gets the message, because that code may take any time. What the next could go on
// with is a message, an orphan or a tombstone, or that the queue is closed and all its messages are claimed (then all
// are woken).
//
// A participant that may leave what it finds to others and sleep again, such as `push_all` that needs several slots,
// sets `watching`, and then all are woken. The waker decides that in its step 3. A watcher may have come since, and may
// have got the wake-up of another one. So a waker that has woken one looks for `watching` again, and if it is set,
// wakes all.
//
// On a closed queue whose messages are all claimed, consumers wait for the last release. They sleep on the producers'
// word, as watchers, because a release looks at that one. What hands a message back must look at both words. A consumer
// that has announced itself on its own word, and finds only then that all are claimed, goes round once more. When it
// leaves, it passes on on its own word.
//
// Two things can cost a wake-up. A process may be killed or stopped between its steps, or after it was woken. And
// behind an operation in progress a sleeper looks at a stamp, which is stored without being ordered before the look at
// the word. Either costs one interval, and is over with it: see queue/recovery_schedule.hpp.
//
// tests/model/waiting.pml and closing.pml are models of this, with the mistakes that they find.

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
    [[nodiscard]] [[gnu::__always_inline__]] bool needs_attention() const noexcept {
        // [W1] seq_cst, pairs with [W2] and [W4]: this look comes after our change [P3], [C2], [C7], [D1] or [X2].
        // Acquire would let it come before, and miss a sleeper that misses the change.
        return (word_.load(std::memory_order_seq_cst) & (layout::asleep | layout::closing)) != 0;
    }
    /// The same, where the change that sleepers wait for is an ordinary store: a message that was held is released.
    [[nodiscard]] bool needs_attention_after_store() noexcept {
        // [W10] seq_cst, pairs with [W2] and [W9]: this changes the word, if only to the same value. So it comes
        // before an announcement, which then shows our store; or after it, and sees the marks. Relaxed would let it
        // come before our store, and miss a sleeper that misses that one.
        return (word_.fetch_add(0, std::memory_order_seq_cst) & (layout::asleep | layout::closing)) != 0;
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
        // [W9] seq_cst, pairs with [W10]: as [W2]. The marks of another participant serve this one, too. Acquire would
        // let the next look come before.
        std::uint32_t value = word_.load(std::memory_order_seq_cst);
        while ((value & marks) != marks) {
            const std::uint32_t announced = (value | marks) + layout::epoch;
            // [W2] seq_cst, pairs with [W1], [W5] and [W10]: the sleeper's next look, [P0], [P6], [P9], [C10] or
            // [D2], comes after it. Acq_rel would let that look come before, and miss a change whose maker misses this.
            // Failing, as [W9].
            if (word_.compare_exchange_weak(value, announced, std::memory_order_seq_cst)) return announced;
        }
        return value;
    }

    /// A waker's call: how many to wake, and the value that the word has got for it.
    struct call {
        std::uint32_t sleepers;
        std::uint32_t value;
    };
    /// Changes the word, if there are sleepers.
    ///
    /// \param wanted  how many can go on now
    /// \return        how many of those who sleep on `futex()` the caller is to wake, if any; then it calls `settle`
    [[nodiscard]] call prepare(std::uint64_t wanted) noexcept {
        // [W5] seq_cst, as [W1].
        std::uint32_t value = word_.load(std::memory_order_seq_cst);
        while ((value & layout::asleep) != 0) {
            const bool all = wanted >= everybody || (value & layout::watching) != 0;
            // [W6] seq_cst, as [W1]: failing, too. Others have announced themselves, or are waking, and the word is
            // looked at again.
            if (word_.compare_exchange_weak(value, value + layout::epoch, std::memory_order_seq_cst)) {
                return {static_cast<std::uint32_t>(all ? everybody : wanted), value + layout::epoch};
            }
        }
        return {0, value};
    }
    /// What is left to do once the kernel has woken some.
    enum class rest {
        nothing,
        wake_all,     // there is a watcher, and it may have got the wake-up of another one
        wake_joiners  // the marks are away, and all who have relied on them are to be woken
    };
    /// Takes the marks away if the kernel has woken fewer than it was to wake, and the word has not changed since.
    [[nodiscard]] rest settle(const call& made, std::uint32_t woken) noexcept {
        if (woken >= made.sleepers) {
            // [W8] seq_cst, as [W1].
            return (word_.load(std::memory_order_seq_cst) & layout::watching) != 0 ? rest::wake_all : rest::nothing;
        }
        std::uint32_t value = made.value;
        // [W7] relaxed: only the order of the changes of this one word matters. The kernel's call that follows comes
        // after it. Failing, too: then others have announced themselves, or are waking.
        const bool cleared =
            word_.compare_exchange_strong(value, (value & ~(layout::asleep | layout::watching)) + layout::epoch,
                                          std::memory_order_relaxed, std::memory_order_relaxed);
        return cleared ? rest::wake_joiners : rest::nothing;
    }

    [[nodiscard]] std::atomic<std::uint32_t>& futex() const noexcept { return word_; }

private:
    std::atomic<std::uint32_t>& word_;
};

}  // namespace promisqs::detail
