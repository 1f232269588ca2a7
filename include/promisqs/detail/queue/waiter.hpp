// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one loop that waits: for a message, for room, or for a participant in the middle of an operation; in one
// queue or in several. It spins, then yields, then sleeps, as the policy says; wait_word.hpp says why no wake-up is
// lost. After every look that found nothing, at every stage, it recovers what the dead have left, if that is due:
// recovery_schedule.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>
#include <promisqs/detail/queue/recovery_schedule.hpp>
#include <promisqs/detail/queue/reentrancy.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/wait_clock.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace promisqs::detail {

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

    /// Who waits, and for what.
    struct terms {
        role whose;
        /// How many slots in a row it needs. If it needs several, it may find some, and sleep again.
        std::uint64_t row = 1;
        const entry_key* key = nullptr;                   ///< how to find its entry, if there is one queue
        std::atomic<std::uint32_t>* interrupt = nullptr;  ///< ends the wait when it is not 0; woken by `os::wake`
    };

    /// \param sessions  the queues, up to `most_queues`
    waiter(std::span<session* const> sessions, const terms& chosen) : sessions_(sessions), terms_(chosen) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;
    ~waiter() {
        for (std::size_t i = 0; i < places_used_; ++i) leave(*sessions_[i], places_[i]);
    }

    static constexpr std::size_t most_queues = os::most_watched_words - 1;

    /// What a wait says of spinning.
    enum class lesson {
        none,
        spinning_pays,   // what it waited for came while it spun
        yielding_helps,  // it was there as soon as others had run: they share the processor
    };

    /// \param deadline  by the steady clock, in nanoseconds; 0: looks once
    /// \param spins     false: it yields at once
    ending wait(awaited& what, const wait_policy& policy, std::uint64_t deadline, bool spins = true) {
        using stage = wait_clock::stage;
        wait_clock clock(policy, spins);
        unsigned contended = 0;
        // This thread has found nothing before. It may never find nothing again, where messages come just in time. What
        // it takes to know whether a look is due would take cache lines from the other role, so it asks rarely.
        const std::uint64_t begun = os::coarse_steady_clock();
        if (may_be_due(begun)) recover_if_due(finding::nothing, begun);
        for (stage at = clock.first(deadline != 0);;) {
            if (at == stage::yield && yield_and_look(what)) return ending::settled;
            if (at != stage::sleep && clock.probe([&] { return what.probe(); })) {
                if (at == stage::spin) learnt_ = lesson::spinning_pays;
                return ending::settled;
            }
            const finding found = what.check();
            if (found == finding::settled) return ending::settled;
            // It may be this thread that has just made way. Hostile bytes may make it look so for ever.
            if (found == finding::contended && ++contended % most_contended != 0) continue;
            const std::uint64_t now = os::steady_clock();
            recover_if_due(found, now);  // also by a call that does not wait
            if (is_interrupted()) return ending::stopped;
            if (now >= deadline) return ending::timed_out;
            if (found == finding::in_progress) refuse_in_callables();
            at = clock.at(now);  // whether this turn ends asleep
            if (at != stage::sleep || found == finding::contended) continue;
            if (sleep(what, deadline, clock) == finding::settled) return ending::settled;
            at = clock.at(os::steady_clock());  // how the next turn begins: time has passed, and a wake starts it over
        }
    }

    [[nodiscard]] lesson learnt() const noexcept { return learnt_; }

private:
    static constexpr unsigned most_contended = 64;

    /// Where it sleeps in one queue, and what it has promised there.
    struct place {
        role word;
        bool announced;
        std::uint64_t promise;  // to look, which it keeps; 0: none
        std::uint64_t deputy;   // the promise in whose stead it would look; 0: none
    };

    // True: settled, by the first look after the first yield.
    [[nodiscard]] bool yield_and_look(awaited& what) {
        os::yield();
        if (std::exchange(has_yielded_, true) || !what.probe()) return false;
        learnt_ = lesson::yielding_helps;
        return true;
    }

    [[nodiscard]] bool is_interrupted() const noexcept {
        // [T2] acquire, pairs with [T1]: what was done before the request is visible. Relaxed would let this thread
        // miss it.
        return terms_.interrupt != nullptr && terms_.interrupt->load(std::memory_order_acquire) != 0;
    }

    // What is in progress may be the calling thread's own operation.
    void refuse_in_callables() const {
        for (const session* one : sessions_) refuse_in_callable(one->object().file().id(), one->name());
    }

    // Of a closed queue, a consumer waits for the last releases, which look at the producers' word. Nobody pushes there
    // any more.
    [[nodiscard]] role word_in(const session& one) const noexcept {
        return terms_.whose == role::consumer && one.ring().is_drained() ? role::producer : terms_.whose;
    }

    // How soon it wants a look for the dead.
    [[nodiscard]] std::uint64_t wanted_in(session& one, role word, std::uint64_t now) const noexcept {
        const bool stuck = stuck_since_ != 0 && (sessions_.size() == 1 || one.ring().stall_at_head());
        if (stuck) return recovery_schedule::behind(stuck_since_, now);
        if (one.ring().is_last_in_flight()) return recovery_schedule::when_idle;
        return one.schedule(word).idle(one.ring().activity());
    }

    // Reads nothing that other processes write.
    [[nodiscard]] bool may_be_due(std::uint64_t now) const noexcept {
        for (session* one : sessions_) {
            if (one->schedule(terms_.whose).may_be_due(now)) return true;
        }
        return false;
    }

    void recover_if_due(finding found, std::uint64_t now) {
        if (found != finding::in_progress) {
            stuck_since_ = 0;
        } else if (stuck_since_ == 0) {
            stuck_since_ = now;
        }
        const layout::participant* self = terms_.key != nullptr ? terms_.key->known_in_any_role() : nullptr;
        for (std::size_t i = 0; i < sessions_.size(); ++i) {
            if (i == places_used_) places_[places_used_++] = {terms_.whose, false, 0, 0};
            session& one = *sessions_[i];
            const role word = word_in(one);
            const auto looked = one.recover_if_due(self, word, wanted_in(one, word, now), now, true, terms_.row);
            if (looked.promise == 0) continue;
            move(one, places_[i], word);
            places_[i].promise = looked.promise;
            if (found == finding::nothing) one.schedule(word).rest(one.ring().activity());
        }
    }

    static void move(session& one, place& here, role word) noexcept {
        if (here.word == word) return;
        if (one.schedule(here.word).leave(here.promise, here.deputy)) one.wake(here.word, 1);
        here = {word, here.announced, 0, 0};
    }

    // The waiter marks its promise as vacant. It wakes the next participant of its role if that one could go on, or if
    // no participant is left that looks for the dead. If the queue is closed and all its messages are claimed, the
    // waiter wakes all consumers: each of them must wait on the other word from now on, or return.
    void leave(session& one, const place& here) const noexcept {
        const bool nobody_looks = one.schedule(here.word).leave(here.promise, here.deputy);
        if (!here.announced) return;
        if (terms_.whose == role::consumer && one.ring().is_drained()) {
            one.wake(role::consumer, wait_word::everybody);
        } else if (one.ring().is_ready_for(terms_.whose)) {
            one.wake(terms_.whose, 1);
        } else if (nobody_looks) {
            one.wake(here.word, 1);
        }
    }

    // Returns when it may be worth while to look again, or what a last look has come to.
    finding sleep(awaited& what, std::uint64_t deadline, wait_clock& clock) {
        os::test_cancellation();
        std::array<os::watched_word, os::most_watched_words> words;
        std::size_t count = 0;
        bool may_be_missed = false;
        for (std::size_t i = 0; i < sessions_.size(); ++i) {
            session& one = *sessions_[i];
            place& here = places_[i];
            const role which = word_in(one);
            move(one, here, which);
            here.announced = true;
            wait_word word = one.wait_word_of(which);
            const bool watches = terms_.row > 1 || which != terms_.whose;
            words[count++] = os::watched_word::of(word.futex(), word.announce(watches));
            may_be_missed = may_be_missed || one.ring().roles().is_single(opposite(which));
        }
        if (terms_.interrupt != nullptr) words[count++] = os::watched_word::of(*terms_.interrupt, 0);
        // A single role moves its counter by a plain store: only the barrier makes sure that it sees the announcement.
        const bool sure = !may_be_missed || os::heavy_barrier();
        const finding found = what.check();
        if (found == finding::settled || found == finding::contended) return found;
        if (found == finding::in_progress && stuck_since_ == 0) return finding::contended;  // wants a look sooner
        for (std::size_t i = 0; i < sessions_.size(); ++i) {
            // The last message may have been claimed since: a release does not look at this word.
            if (word_in(*sessions_[i]) != places_[i].word) return finding::contended;
        }
        const std::uint64_t until = layout::lesser(deadline, sleep_until(sure));
        const int result = sleep_on({words.data(), count}, until);
        if (result == 0) clock.restart();
        if (result == ETIMEDOUT) clock.sleep_on();
        return finding::nothing;
    }

    // Until when nobody needs this thread's look.
    [[nodiscard]] std::uint64_t sleep_until(bool sure) {
        const std::uint64_t now = os::steady_clock();
        std::uint64_t until = sure ? os::never : now + wait_word::short_interval;
        for (std::size_t i = 0; i < sessions_.size(); ++i) {
            recovery_schedule& schedule = sessions_[i]->schedule(places_[i].word);
            const std::uint64_t wanted = wanted_in(*sessions_[i], places_[i].word, now);
            if (const std::uint64_t taken = schedule.take_over(wanted, now)) places_[i].promise = taken;
            until = layout::lesser(until, schedule.sleep_until(places_[i].promise, places_[i].deputy, wanted, now));
        }
        return until;
    }

    // Signals do not end the sleep. Otherwise as `os::sleep_on`.
    [[nodiscard]] int sleep_on(std::span<const os::watched_word> words, std::uint64_t until) const {
        for (;;) {
            const int result = sleep_once(words, until);
            if (result != EINTR) return result;
        }
    }
    [[nodiscard]] int sleep_once(std::span<const os::watched_word> words, std::uint64_t until) const {
        std::atomic<std::uint32_t> nobody = 0;  // what a wait for no queue sleeps on
        auto& first = !sessions_.empty()            ? sessions_.front()->wait_word_of(places_[0].word).futex()
                      : terms_.interrupt != nullptr ? *terms_.interrupt
                                                    : nobody;
        const auto value = words.empty() ? 0 : static_cast<std::uint32_t>(words.front().value);
        if (words.size() <= 1) return os::sleep_on(first, value, until);
        const int result = os::sleep_on_any(words.data(), words.size(), until);
        if (result == 0 || result == EAGAIN || result == EINTR || result == ETIMEDOUT) return result;
        // The kernel can't sleep on several words (before Linux 5.16), or may not: on one of them, and soon on the
        // others.
        return os::sleep_on(first, value, layout::lesser(until, os::steady_clock() + wait_word::short_interval));
    }

    std::span<session* const> sessions_;
    terms terms_;
    std::uint64_t stuck_since_ = 0;  // since when it has found an operation in progress; 0: it has not
    std::size_t places_used_ = 0;
    bool has_yielded_ = false;
    lesson learnt_ = lesson::none;
    std::array<place, most_queues> places_;
};

}  // namespace promisqs::detail
