// SPDX-License-Identifier: Apache-2.0
#pragma once

// The drivers of queue_base: once, until settled, until a deadline. They go on where the quick path of an operation has
// failed, and do not know the element type. A part of definitions.hpp.

#include <promisqs/detail/os/backoff.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/recovery_lock.hpp>
#include <promisqs/detail/queue/reentrancy.hpp>
#include <promisqs/detail/queue/session.hpp>
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

// A queue that was found closed is looked at again once it is known that no push can come to its end any more.
template <class Attempt>
outcome queue_base::check_closed(Attempt attempt) const {
    const outcome found = attempt();
    if (found != outcome::closed || !roles_.producer) return found;
    return session_->closer().is_final() ? attempt() : outcome::in_progress;
}

[[gnu::noinline]] PROMISQS_DEFINITION outcome queue_base::resolve(const operation& op,
                                                                  layout::participant& self) const {
    const auto& ring = session_->ring();
    if (op.whose == role::producer) {
        const outcome found = op.least == 1 ? ring.resolve_push(self) : ring.resolve_push_some(self, op.least);
        if (found == outcome::contended) wake_producers(ring.memory());  // a tombstone may have made way
        return found;
    }
    claim orphan{};
    claim& made = op.made != nullptr ? *op.made : orphan;
    const outcome found = check_closed([&] { return ring.claim_otherwise(self, made); });
    if (found == outcome::contended) wake_producers(ring.memory());
    if (found != outcome::ok || op.made != nullptr) return found;
    std::memcpy(op.out, ring.payload(made), static_cast<std::size_t>(session_->header().element_size));
    ring.release(made);
    wake_producers(ring.memory());
    if (op.done != nullptr) *op.done = 1;
    return outcome::ok;
}

[[gnu::noinline]] PROMISQS_DEFINITION outcome queue_base::attempt_and_resolve(const operation& op) const {
    layout::participant& entry = self(op.whose);
    return op.attempt(op, *this) ? outcome::ok : resolve(op, entry);
}

PROMISQS_DEFINITION outcome queue_base::look() const {
    return check_closed([&] { return session_->ring().try_peek(nullptr, 0); });
}

// Drivers

[[gnu::noinline]] PROMISQS_DEFINITION std::uint64_t queue_base::moved_since_last_idle(role whose) const {
    if (!key_.is_known(whose)) return 0;
    const auto& ring = session_->ring();
    const auto& counter = whose == role::producer ? counters_->tail : counters_->head;
    // Relaxed: it only decides how to look.
    const std::uint64_t now_at = ring.space().ticket_of(counter.load(std::memory_order_relaxed));
    const std::uint64_t was_at = key_.exchange_last_idle(whose, now_at);
    return was_at == layout::no_ticket ? 1 : ring.space().distance(was_at, now_at);
}

// Reporting empty or full must read the other role's counter, which steals its cache line. A thread that succeeded
// recently therefore checks its own slot again first.
[[gnu::noinline]] PROMISQS_DEFINITION bool queue_base::spin_briefly(const operation& op) const {
    constexpr unsigned looks = 16;
    if (moved_since_last_idle(op.whose) == 0) return false;
    for (unsigned i = 0; i < looks; ++i) {
        os::pause();
        if (op.attempt(op, *this)) return true;
    }
    return false;
}

// A thread that polls is never stuck, but may be waiting for what the dead have. True: there is such a message now.
[[gnu::noinline]] PROMISQS_DEFINITION bool queue_base::recover_when_idle(outcome found) const {
    const auto interval = found == outcome::in_progress ? recovery_schedule::when_stuck : recovery_schedule::when_idle;
    return session_->recover_if_due(key_.known_in_any_role(), interval, os::coarse_steady_clock());
}

[[noreturn, gnu::cold]] inline void raise_corrupt(const std::string& queue) {
    raise(errc::corrupt, queue,
          {"expected counters and slots that agree with each other, found some that no participant writes; something "
           "else "
           "has written into it: remove it and create it again"});
}

PROMISQS_DEFINITION status queue_base::to_status(outcome found) const {
    switch (found) {
        case outcome::ok: return status::ok;
        case outcome::full: return status::full;
        case outcome::closed: return status::closed;
        case outcome::empty: return recover_when_idle(found), status::empty;
        case outcome::contended: return status::would_block;
        case outcome::in_progress: return recover_when_idle(found), status::would_block;
        case outcome::corrupt: break;
    }
    raise_corrupt(name());
}

[[gnu::noinline]] PROMISQS_DEFINITION status queue_base::once(const operation& op) const {
    if (spin_briefly(op)) return status::ok;
    if (!key_.is_known(op.whose)) return to_status(attempt_and_resolve(op));
    return to_status(resolve(op, key_.known(op.whose)));
}

template <class Attempt>
outcome queue_base::ride_out(Attempt attempt) const {
    for (backoff wait;;) {
        const outcome found = attempt();
        if (found == outcome::corrupt) raise_corrupt(name());
        if (found == outcome::contended || (found == outcome::empty && recover_when_idle(found))) continue;
        if (found != outcome::in_progress) return found;
        wait();
        if (!wait.is_long()) continue;
        refuse_in_callable(key_.file_id(), name());
        session_->recover_if_due(key_.known_in_any_role(), recovery_schedule::when_stuck, os::steady_clock());
    }
}

[[gnu::noinline]] PROMISQS_DEFINITION bool queue_base::until_settled(const operation& op) const {
    return spin_briefly(op) || ride_out([&] { return attempt_and_resolve(op); }) == outcome::ok;
}

PROMISQS_DEFINITION status queue_base::try_peek(void* out) const {
    const auto size = static_cast<std::size_t>(session_->header().element_size);
    return to_status(check_closed([&] { return session_->ring().try_peek(out, size); }));
}

PROMISQS_DEFINITION bool queue_base::peek(void* out) const {
    const auto size = static_cast<std::size_t>(session_->header().element_size);
    const auto attempt = [&] { return session_->ring().try_peek(out, size); };
    return ride_out([&] { return check_closed(attempt); }) == outcome::ok;
}

/// One operation on one queue, to be waited for.
class awaited_operation final : public awaited {
public:
    awaited_operation(const queue_base& queue, const operation& op) noexcept : queue_(queue), op_(op) {}

    bool probe() override { return op_.attempt(op_, queue_); }
    finding check() override {
        const outcome found = queue_.attempt_and_resolve(op_);
        switch (found) {
            case outcome::ok: return finding::settled;
            case outcome::closed: closed_ = true; return finding::settled;
            case outcome::full:
            case outcome::empty: return finding::nothing;
            case outcome::in_progress: return finding::in_progress;
            case outcome::contended: return finding::contended;
            case outcome::corrupt: break;
        }
        raise_corrupt(queue_.name());
    }
    [[nodiscard]] status result() const noexcept { return closed_ ? status::closed : status::ok; }

private:
    const queue_base& queue_;
    const operation& op_;
    bool closed_ = false;
};

[[gnu::noinline]] PROMISQS_DEFINITION status queue_base::until(const operation& op, std::uint64_t deadline,
                                                               const stop_token& stop) const {
    if (policy_.in_a_stream != 0 && deadline != 0 && moved_since_last_idle(op.whose) > 1) {
        for (std::uint32_t i = 0; i < policy_.in_a_stream; ++i) os::pause();
    }
    stop_signal signal(stop);
    awaited_operation what(*this, op);
    const std::array sessions{session_.get()};
    switch (waiter(sessions, op.whose, &key_, signal.word()).wait(what, policy_, deadline)) {
        case waiter::ending::settled: break;
        case waiter::ending::timed_out: return status::timed_out;
        case waiter::ending::stopped: return status::stopped;
    }
    return what.result();
}

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail
