// SPDX-License-Identifier: Apache-2.0
#pragma once

// The drivers of queue_base: once, until settled, until a deadline. They go on where the quick path of an operation has
// failed, and do not know the element type. A part of definitions.hpp.

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/recovery_schedule.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/stop_signal.hpp>
#include <promisqs/detail/queue/waiter.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/status.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace promisqs::detail {

// NOLINTBEGIN(misc-definitions-in-headers): inline, or in one source file (definition.hpp)

// Attempts that say why not

// With a single producer, a closing may be half done, and a push may come to its end after it. So a queue that is found
// empty or closed is looked at again once that is settled.
template <class Attempt>
outcome queue_base::check_closed(Attempt attempt) const {
    outcome found = attempt();
    if (!roles_.producer) return found;
    if (found == outcome::empty && session_->complete_closing()) found = attempt();
    if (found != outcome::closed) return found;
    return session_->closer().is_final() ? attempt() : outcome::in_progress;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION outcome queue_base::resolve(const operation& op,
                                                                      layout::participant& self) const {
    const auto& ring = session_->ring();
    if (op.whose == role::producer) {
        const auto attempt = [&] { return ring.resolve_push(self, op.least); };
        outcome found = attempt();
        if (found == outcome::full && roles_.producer && session_->complete_closing()) found = attempt();
        if (found == outcome::contended) wake_producers(ring.memory());  // a tombstone may have made way
        if (found == outcome::in_progress && session_->is_full_of_held(op.least)) return outcome::full;
        return found;
    }
    claim orphan{};
    claim* made = &orphan;
    layout::participant* owner = &self;
    if (op.made != nullptr) {
        made = op.made;
        if (op.entry != nullptr) owner = op.entry;
    }
    const outcome found = check_closed([&] { return ring.claim_otherwise(*owner, *made); });
    if (found == outcome::contended) wake_producers(ring.memory());
    if (found != outcome::ok || op.made != nullptr) return found;
    std::memcpy(op.out, ring.payload(orphan), static_cast<std::size_t>(session_->header().element_size));
    ring.release(orphan);
    wake_producers(ring.memory());
    if (op.done != nullptr) *op.done = 1;
    return outcome::ok;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION outcome queue_base::attempt_and_resolve(const operation& op) const {
    layout::participant& entry = self(op.whose);
    return op.attempt(op, *this) ? outcome::ok : resolve(op, entry);
}

[[gnu::__noinline__]] PROMISQS_DEFINITION outcome queue_base::attempt_to_peek(void* out) const {
    const auto size = out == nullptr ? 0 : static_cast<std::size_t>(session_->header().element_size);
    return check_closed([&] { return session_->ring().try_peek(out, size); });
}

PROMISQS_DEFINITION outcome queue_base::look() const {
    const auto& ring = session_->ring();
    // A single consumer alone moves the head, and a push may wait for the place of a tombstone there.
    if (roles_.consumer && ring.is_tombstone_at_head()) {
        const bool knows = key_.is_known(role::consumer) || key_.recall(role::consumer);
        if (!knows) return outcome::ok;  // the consumer is to look
        for (std::uint64_t i = 0; i < capacity() && ring.free_tombstone(key_.known()); ++i) {
            wake_producers(ring.memory());
        }
    }
    return attempt_to_peek(nullptr);
}

// Drivers

[[gnu::__noinline__]] PROMISQS_DEFINITION std::uint64_t queue_base::moved_since_last_idle(role whose) const {
    if (!key_.is_known(whose)) return 0;
    const auto& ring = session_->ring();
    const auto& counter = whose == role::producer ? counters_->tail : counters_->head;
    // Relaxed: it only decides how to look.
    const std::uint64_t now_at = ring.space().ticket_of(counter.load(std::memory_order_relaxed));
    const std::uint64_t was_at = key_.exchange_last_idle(whose, now_at);
    return was_at == layout::no_ticket ? 0 : ring.space().distance(was_at, now_at);
}

// A thread that has lost its claim makes way for a while, longer each time: with each attempt, the counter's cache line
// moves from one thread to another. The numbers of pauses differ from thread to thread, so that two do not meet again.
[[gnu::__noinline__]] PROMISQS_DEFINITION bool queue_base::claim_after_backing_off(const operation& op) const {
    constexpr std::uint64_t least = 64;
    constexpr std::uint64_t most = 128;
    constexpr std::uint64_t golden = 0x9E37'79B9'7F4A'7C15;      // Fibonacci hashing (Knuth, volume 3, 6.4)
    if (op.least > 1 || !key_.is_known(op.whose)) return false;  // of several slots, one says nothing
    const layout::participant& entry = key_.known();
    const auto& intent = op.whose == role::producer ? entry.push_intent : entry.pop_intent;
    for (std::uint64_t limit = least; limit <= most; limit *= 2) {
        // Relaxed: it is our own. After a success the intent stays, so none means that a claim was lost, or that there
        // never was one.
        if (intent.load(std::memory_order_relaxed) != layout::no_ticket) return false;
        const std::uint64_t ticket = session_->ring().claimable_ticket(op.whose);
        if (ticket == layout::no_ticket) return false;
        const std::uint64_t random = (ticket + reinterpret_cast<std::uintptr_t>(&entry)) * golden >> 32U;
        for (std::uint64_t i = random % limit + 1; i != 0; --i) os::pause();
        if (op.attempt(op, *this)) return true;
    }
    return false;
}

// Before a thread says that the queue is empty, or full, it must read the other role's counter. That takes its cache
// line from the participants that move it. So where its own role's counter has moved since it last said so, it looks at
// its own slot again first: as often as that has been worth while lately, and for some 2 µs at most. If several
// messages have moved, there is a stream, and it stays behind, as in a wait. If none has, it does not look again.
[[gnu::__noinline__]] PROMISQS_DEFINITION bool queue_base::spin_briefly(const operation& op) const {
    constexpr std::uint64_t longest = 2'000;                    // nanoseconds
    constexpr std::uint32_t in_a_stream = 64;                   // pauses: one to two microseconds
    const std::uint32_t between_times = op.least > 1 ? 1 : 16;  // looks: what the time costs is little beside them
    const std::uint64_t moved = moved_since_last_idle(op.whose);
    if (moved == 0) return false;
    adaptive_spin& mine = key_.polling(op.whose);
    std::uint64_t looks = mine.looks();
    if (looks == 0) return false;
    // This thread may never get as far as the look for the dead below, if messages always come just in time.
    if (const auto now = os::coarse_steady_clock(); session_->schedule(op.whose).may_be_due(now)) {
        static_cast<void>(recover_when_idle(op.whose, outcome::empty));
    }
    if (moved > 1 && policy_.in_a_stream != 0) {
        const std::uint64_t pauses = layout::lesser(policy_.in_a_stream, in_a_stream);
        for (std::uint64_t i = 0; i < pauses; ++i) os::pause();
        looks = layout::lesser(looks, 16);
    }
    std::uint64_t end = 0;
    for (std::uint32_t i = 0; i < looks; ++i) {
        os::pause();
        if (op.attempt(op, *this)) {
            mine.found_after(i);
            return true;
        }
        if (i % between_times != between_times - 1) continue;
        const std::uint64_t now = os::steady_clock();
        if (end == 0) end = now + longest;
        if (now >= end) break;
    }
    mine.found_nothing();
    return false;
}

// A thread that polls is never stuck, but may be waiting for what the dead have. True: there is such a message now.
[[gnu::__noinline__]] PROMISQS_DEFINITION bool queue_base::recover_when_idle(role whose, outcome found) const {
    const auto wanted = found == outcome::in_progress ? recovery_schedule::when_stuck : recovery_schedule::when_idle;
    const auto now = os::coarse_steady_clock();
    return session_->recover_if_due(key_.known_in_any_role(), whose, wanted, now, false).redelivers;
}

[[noreturn, gnu::__cold__]] inline void raise_corrupt(const std::string& queue) {
    raise(errc::corrupt, queue,
          {"expected counters and slots that agree with each other, found some that no participant writes; something "
           "else has written into it: remove it and create it again"});
}

PROMISQS_DEFINITION status queue_base::to_status(role whose, outcome found) const {
    switch (found) {
        case outcome::ok: return status::ok;
        case outcome::full: return status::full;
        case outcome::closed: return status::closed;
        case outcome::empty: static_cast<void>(recover_when_idle(whose, found)); return status::empty;
        case outcome::contended: return status::would_block;
        case outcome::in_progress: static_cast<void>(recover_when_idle(whose, found)); return status::would_block;
        case outcome::corrupt: break;
    }
    raise_corrupt(name());
}

[[gnu::__noinline__]] PROMISQS_DEFINITION status queue_base::once(const operation& op) const {
    if (claim_after_backing_off(op) || spin_briefly(op)) return status::ok;
    if (!key_.is_known(op.whose)) return to_status(op.whose, attempt_and_resolve(op));
    return to_status(op.whose, resolve(op, key_.known()));
}

PROMISQS_DEFINITION status queue_base::try_peek(void* out) const {
    return to_status(role::consumer, attempt_to_peek(out));
}

/// An attempt, to be waited for: until it is done, or, if `while_in_progress`, until it meets nothing in progress.
template <class Attempt, class Probe>
class awaited_attempt final : public awaited {
public:
    awaited_attempt(const queue_base& queue, Attempt attempt, Probe probe, bool while_in_progress) noexcept
        : queue_(queue), attempt_(attempt), probe_(probe), while_in_progress_(while_in_progress) {}

    bool probe() override {
        if (!probe_()) return false;
        result_ = outcome::ok;
        return true;
    }
    finding check() override {
        result_ = attempt_();
        switch (result_) {
            case outcome::ok:
            case outcome::closed: return finding::settled;
            case outcome::full:
            case outcome::empty: return while_in_progress_ ? finding::settled : finding::nothing;
            case outcome::in_progress: return finding::in_progress;
            case outcome::contended: return finding::contended;
            case outcome::corrupt: break;
        }
        raise_corrupt(queue_.name());
    }
    [[nodiscard]] outcome result() const noexcept { return result_; }

private:
    const queue_base& queue_;
    Attempt attempt_;
    Probe probe_;
    bool while_in_progress_;
    outcome result_ = outcome::in_progress;
};
template <class Attempt, class Probe>
awaited_attempt(const queue_base&, Attempt, Probe, bool) -> awaited_attempt<Attempt, Probe>;

template <class Attempt, class Probe>
outcome queue_base::wait_while_in_progress(role whose, std::uint64_t row, Attempt attempt, Probe probe) const {
    awaited_attempt what(*this, attempt, probe, true);
    for (;;) {
        const finding found = what.check();
        // A look for the dead may find the message that a poller waits for.
        if (what.result() == outcome::empty && recover_when_idle(whose, outcome::empty)) continue;
        if (found == finding::settled) return what.result();
        if (found == finding::in_progress) break;
    }
    const std::array sessions{session_.get()};
    waiter loop(sessions, {.whose = whose, .row = row, .key = &key_});
    static_cast<void>(loop.wait(what, policy_, never));
    return what.result();
}

[[gnu::__noinline__]] PROMISQS_DEFINITION bool queue_base::until_settled(const operation& op) const {
    if (claim_after_backing_off(op) || spin_briefly(op)) return true;
    const auto attempt = [&] { return attempt_and_resolve(op); };
    const auto probe = [&] { return op.attempt(op, *this); };
    return wait_while_in_progress(op.whose, op.least, attempt, probe) == outcome::ok;
}

PROMISQS_DEFINITION bool queue_base::peek(void* out) const {
    const auto attempt = [&] { return attempt_to_peek(out); };
    return wait_while_in_progress(role::consumer, 1, attempt, [] { return false; }) == outcome::ok;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION status queue_base::until(const operation& op, std::uint64_t deadline,
                                                                   const stop_token& stop) const {
    if (claim_after_backing_off(op)) return status::ok;
    // Only a known thread remembers how it went. A call that looks once does not spin.
    const bool learns = policy_.adaptive && deadline != 0 && key_.is_known(op.whose);
    adaptive_spin* const spin = learns ? &key_.spinning(op.whose) : nullptr;
    const bool spins = spin == nullptr || spin->looks() != 0;
    if (spins && policy_.in_a_stream != 0 && deadline != 0 && moved_since_last_idle(op.whose) > 1) {
        for (std::uint32_t i = 0; i < policy_.in_a_stream; ++i) {
            os::pause();
            if (i % 4096 == 4095 && (os::steady_clock() >= deadline || stop.stop_requested())) break;
        }
    }
    stop_signal signal(stop);
    const auto attempt = [&] { return attempt_and_resolve(op); };
    const auto probe = [&] { return op.attempt(op, *this); };
    awaited_attempt what(*this, attempt, probe, false);
    const std::array sessions{session_.get()};
    waiter loop(sessions, {op.whose, op.least, &key_, signal.word()});
    const waiter::ending end = loop.wait(what, policy_, deadline, spins);
    if (spin != nullptr && loop.learnt() == waiter::lesson::spinning_pays) spin->found_after(0);
    if (spin != nullptr && loop.learnt() == waiter::lesson::yielding_helps && spins) spin->found_nothing();
    switch (end) {
        case waiter::ending::settled: break;
        case waiter::ending::timed_out: return status::timed_out;
        case waiter::ending::stopped: return status::stopped;
    }
    return what.result() == outcome::ok ? status::ok : status::closed;
}

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail
