// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one loop that waits: for a message, for room, or for a participant in the middle of an operation; in one queue or
// in several. It spins, then yields, then sleeps, as the policy says; wait_word.hpp says why no wake-up is lost. Behind
// an operation in progress it naps in place of sleeping. After every look that found nothing it recovers what the dead
// have left, if that is due: every 1 ms behind an operation in progress, otherwise every 20 ms.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>
#include <promisqs/detail/queue/recovery_lock.hpp>
#include <promisqs/detail/queue/reentrancy.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/stopping.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

namespace promisqs::detail {

/// How far a wait has come, by a policy.
class wait_clock {
public:
    explicit wait_clock(const wait_policy& policy) noexcept : policy_(policy), probes_(probes_in_a_row(policy)) {}

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
    void restart() noexcept { sleeps_on_ = false, begun_ = 0; }
    /// None came.
    void sleep_on() noexcept { sleeps_on_ = true; }

private:
    // Of times that may be as long as can be.
    static constexpr std::int64_t sum(std::int64_t a, std::int64_t b) noexcept {
        constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
        return a > 0 && b > most - a ? most : a + b;
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
    unsigned probes_;
    std::uint64_t begun_ = 0;
    bool sleeps_on_ = false;
};

/// A word that ends a wait when a stop is requested. The waiter sleeps on it, too, so no other sleeper is disturbed.
class stop_signal {
public:
#if defined(__cpp_lib_jthread)
    explicit stop_signal(const stop_token& token)
        : possible_(token.stop_possible()), callback_(token, request{word_}) {}
#else
    explicit stop_signal(const stop_token& /*token*/) noexcept {}
#endif
    stop_signal(const stop_signal&) = delete;
    stop_signal& operator=(const stop_signal&) = delete;
    ~stop_signal() = default;

    /// Null: a stop can't be requested.
    [[nodiscard]] std::atomic<std::uint32_t>* word() noexcept { return possible_ ? &word_ : nullptr; }

private:
    std::atomic<std::uint32_t> word_ = 0;
    bool possible_ = false;
#if defined(__cpp_lib_jthread)
    struct request {
        std::atomic<std::uint32_t>& word;
        void operator()() const noexcept {
            // [T1] release, pairs with [T2]: what was done before the request is visible to the thread that stops.
            // Relaxed would let that thread miss it.
            word.store(1, std::memory_order_release);
            os::wake(word, os::everybody);
        }
    };
    std::stop_callback<request> callback_;  // the last member: it may run at once
#endif
};

/// What one look at what is waited for came to.
enum class finding {
    settled,      // there is no need to wait
    nothing,      // no message, or no room
    in_progress,  // a participant is in the middle of an operation
    contended     // another one was faster: look again at once
};

/// What a wait is for.
class awaited {
public:
    /// A cheap look. True: settled.
    virtual bool probe() = 0;
    /// A look that says why not.
    virtual finding check() = 0;

protected:
    awaited() = default;
    awaited(const awaited&) = default;
    awaited& operator=(const awaited&) = default;
    ~awaited() = default;
};

class waiter {
public:
    enum class ending { settled, timed_out, stopped };

    /// \param sessions   the queues, up to `most_queues`
    /// \param whose      the role of the thread that waits
    /// \param key        how to find its entry, if there is one queue; may be null
    /// \param interrupt  ends the wait when it is not 0 any more; woken by `os::wake`. May be null
    waiter(std::span<session* const> sessions, role whose, const entry_key* key, std::atomic<std::uint32_t>* interrupt)
        : sessions_(sessions), whose_(whose), key_(key), interrupt_(interrupt) {}

    static constexpr std::size_t most_queues = os::most_watched_words - 1;

    /// \param deadline  by the steady clock, in nanoseconds; 0: looks once
    ending wait(awaited& what, const wait_policy& policy, std::uint64_t deadline) {
        using stage = wait_clock::stage;
        wait_clock clock(policy);
        for (stage at = clock.first(deadline != 0);;) {
            if (at == stage::yield) os::yield();
            if (at != stage::sleep && clock.probe([&] { return what.probe(); })) return ending::settled;
            const finding found = what.check();
            if (found == finding::settled) return ending::settled;
            const std::uint64_t now = os::steady_clock();
            recover_if_due(found, now);  // also by a call that does not wait
            if (is_interrupted()) return ending::stopped;
            if (now >= deadline) return ending::timed_out;
            if (found == finding::in_progress) refuse_in_callables();
            at = clock.at(now);  // whether this turn ends asleep
            if (at != stage::sleep || found == finding::contended) continue;
            if (found == finding::in_progress || is_closing()) {
                os::nap();  // another participant has what is left, for a moment as a rule
            } else if (sleep(what, deadline, clock) == finding::settled) {
                return ending::settled;
            }
            at = clock.at(os::steady_clock());  // how the next turn begins: time has passed, and a wake starts it over
        }
    }

private:
    [[nodiscard]] bool is_interrupted() const noexcept {
        // [T2] acquire, pairs with [T1]: what was done before the request is visible. Relaxed would let this thread
        // miss it.
        return interrupt_ != nullptr && interrupt_->load(std::memory_order_acquire) != 0;
    }

    [[nodiscard]] bool is_closing() const noexcept {
        if (whose_ != role::consumer) return false;
        for (const session* one : sessions_) {
            if (one->closer().is_closed()) return true;
        }
        return false;
    }

    void recover_if_due(finding found, std::uint64_t now) const {
        const bool stuck = found == finding::in_progress;
        const auto interval = stuck ? recovery_schedule::when_stuck : recovery_schedule::when_idle;
        const layout::participant* self = key_ != nullptr ? key_->known_in_any_role() : nullptr;
        for (session* one : sessions_) {
            one->recover_if_due(self, interval, now);
        }
    }

    // What is in progress may be the calling thread's own operation.
    void refuse_in_callables() const {
        for (const session* one : sessions_) refuse_in_callable(one->object().file().id(), one->name());
    }

    // Returns when it may be worth while to look again, or what a last look has come to.
    finding sleep(awaited& what, std::uint64_t deadline, wait_clock& clock) {
        std::array<os::watched_word, os::most_watched_words> words;
        std::size_t count = 0;
        bool may_be_missed = false;
        for (const session* one : sessions_) {
            wait_word word = one->wait_word_of(whose_);
            words[count++] = os::watched_word::of(word.futex(), word.announce());
            may_be_missed = may_be_missed || one->ring().roles().is_single(opposite(whose_));
        }
        if (interrupt_ != nullptr) words[count++] = os::watched_word::of(*interrupt_, 0);
        // A single role moves its counter by a plain store: only the barrier makes sure that it sees the announcement.
        const bool sure = !may_be_missed || os::heavy_barrier();
        if (const finding found = what.check(); found != finding::nothing) return found;
        const std::uint64_t longest = os::steady_clock() + (sure ? wait_word::interval : wait_word::short_interval);
        const std::span<const os::watched_word> used(words.data(), count);
        if (sleep_on(used, std::min(deadline, longest)) == ETIMEDOUT) {
            clock.sleep_on();
        } else {
            clock.restart();
        }
        return finding::nothing;
    }

    [[nodiscard]] int sleep_on(std::span<const os::watched_word> words, std::uint64_t deadline) const {
        std::atomic<std::uint32_t> nobody = 0;  // what a wait for no queue sleeps on
        auto& first = !sessions_.empty()      ? sessions_.front()->wait_word_of(whose_).futex()
                      : interrupt_ != nullptr ? *interrupt_
                                              : nobody;
        const auto value = words.empty() ? 0 : static_cast<std::uint32_t>(words.front().value);
        if (words.size() <= 1) return os::sleep_on(first, value, deadline);
        const int result = os::sleep_on_any(words.data(), words.size(), deadline);
        if (result == 0 || result == EAGAIN || result == EINTR || result == ETIMEDOUT) return result;
        // The kernel can't sleep on several words (before Linux 5.16), or may not: on one of them, and soon on the
        // others.
        return os::sleep_on(first, value, std::min(deadline, os::steady_clock() + wait_word::short_interval));
    }

    std::span<session* const> sessions_;
    role whose_;
    const entry_key* key_;
    std::atomic<std::uint32_t>* interrupt_;
};

}  // namespace promisqs::detail
