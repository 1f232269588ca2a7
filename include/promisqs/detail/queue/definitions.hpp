// SPDX-License-Identifier: Apache-2.0
#pragma once

// Defines what queue_base.hpp declares: what does not depend on the element type. queue.hpp
// includes it, unless PROMISQS_COMPILED is defined: then src/promisqs.cpp is the one file that does.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/open.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/queue/drivers.hpp>
#include <promisqs/detail/queue/held_batch.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/stats_collector.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace promisqs::detail {

// NOLINTBEGIN(misc-definitions-in-headers): inline, or in one source file (definition.hpp)

// Handles. None of these functions is cold, for the reason given in lifecycle/open.hpp.

PROMISQS_DEFINITION queue_base::queue_base(joined_segment joined)
    : session_(std::make_shared<detail::session>(std::move(joined))),
      key_(session_->key()),
      counters_(&session_->object().counters()),
      first_slot_(session_->object().at<std::byte>(session_->header().plan.slots_offset)),
      capacity_(session_->header().capacity),
      roles_(session_->ring().roles()),
      full_barriers_(!session_->has_heavy_barriers()) {}

[[gnu::__noinline__]] PROMISQS_DEFINITION queue_base queue_base::create(std::string_view name,
                                                                        const element_description& element,
                                                                        std::uint64_t capacity, const options& wanted) {
    const os::cancellation_point no_other;
    const auto messages_in = [](const segment& object, const checked_header& header) -> std::uint64_t {
        return ring_of(object, header).size();
    };
    return queue_base(create_segment(name, element, capacity, wanted, messages_in));
}

[[gnu::__noinline__]] PROMISQS_DEFINITION queue_base queue_base::open(std::string_view name,
                                                                      const element_description& element,
                                                                      const memory_options& memory) {
    const os::cancellation_point no_other;
    queue_base result(open_segment(name, element, memory));
    result.session_->recover_without_dropping();
    return result;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION queue_base queue_base::open_or_create(std::string_view name,
                                                                                const element_description& element,
                                                                                std::uint64_t capacity,
                                                                                const options& wanted) {
    const os::cancellation_point no_other;
    queue_base result(open_or_create_segment(name, element, capacity, wanted));
    if (!result.created()) result.session_->recover_without_dropping();
    return result;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION bool queue_base::remove(std::string_view name) {
    const os::cancellation_point no_other;
    return remove_segment(name);
}

PROMISQS_DEFINITION const std::string& queue_base::name() const noexcept { return session_->name(); }
PROMISQS_DEFINITION bool queue_base::created() const noexcept { return session_->joined().created(); }
PROMISQS_DEFINITION const options& queue_base::actual_options() const noexcept {
    return session_->joined().actual_options();
}
[[gnu::__noinline__]] PROMISQS_DEFINITION bool queue_base::is_named() const noexcept {
    return session_->object().is_named();
}
PROMISQS_DEFINITION std::uint64_t queue_base::size() const noexcept { return session_->ring().size(); }
PROMISQS_DEFINITION bool queue_base::full() const noexcept {
    return session_->ring().full() || session_->is_full_of_held(1);
}
PROMISQS_DEFINITION std::uint64_t queue_base::element_size() const noexcept { return session_->header().element_size; }
PROMISQS_DEFINITION std::uint64_t queue_base::element_alignment() const noexcept {
    return session_->header().element_alignment;
}
[[gnu::__noinline__]] PROMISQS_DEFINITION element_type queue_base::type() const {
    const checked_header& header = session_->header();
    const auto* const text = session_->object().at<char>(header.plan.schema_offset);
    return {{text, static_cast<std::size_t>(header.schema_size)},
            header.element_size,
            header.element_alignment,
            header.schema_fingerprint,
            header.name_fingerprint};
}
[[gnu::__noinline__]] PROMISQS_DEFINITION void queue_base::close() const noexcept { session_->close(); }
PROMISQS_DEFINITION bool queue_base::is_closed() const noexcept { return session_->closer().is_closed(); }
[[gnu::__noinline__]] PROMISQS_DEFINITION queue_stats queue_base::stats() const { return collect_stats(*session_); }

[[gnu::__noinline__]] PROMISQS_DEFINITION recovery_report queue_base::recover() const {
    return session_->recover(key_.known_in_any_role());
}

[[gnu::__noinline__]] PROMISQS_DEFINITION void queue_base::on_dropped(std::function<void(const void*)> handler) const {
    session_->dropped().set(std::move(handler));
}

// Claims, and what comes after them

// On both roles, unless the other one is for a single participant.
[[gnu::__noinline__]] PROMISQS_DEFINITION layout::participant& queue_base::enlist(role which) const {
    if (key_.recall(which)) return key_.known();
    layout::participant& entry = session_->enlist(which);
    key_.remember(which);
    if (!roles_.is_single(opposite(which))) key_.remember(opposite(which));
    return entry;
}

PROMISQS_DEFINITION void queue_base::attend_to_consumers(std::uint64_t messages) const noexcept {
    // [Q1] Our store to `tail` may have wiped the closed bit out.
    if (session_->wait_word_of(role::consumer).has(layout::closing)) {
        session_->ring().close();
        return session_->wake_all();  // the closer may have been killed before it could
    }
    session_->wake(role::consumer, messages);
}
PROMISQS_DEFINITION void queue_base::attend_to_producers(std::uint64_t messages) const noexcept {
    session_->wake(role::producer, messages);
}

PROMISQS_DEFINITION void queue_base::give_up(const claim& made) const noexcept {
    counters_->tombstones.fetch_add(1, std::memory_order_relaxed);  // first, as a recovery does
    session_->ring().give_up(made);
    wake_consumers(session_->ring().memory());  // one that wakes finds what others have pushed behind it
}

inline void requeue(session& queue, layout::participant& self, const claim& made) noexcept {
    const auto& ring = queue.ring();
    if (!ring.requeue(self, made)) {
        while (!queue.between_recoveries([&] { ring.requeue_locked(self, made); })) os::nap();
    }
    for (const role whose : {role::producer, role::consumer}) queue.wake(whose, 1);  // of a closed queue, too
}
PROMISQS_DEFINITION void queue_base::requeue(layout::participant& self, const claim& made) const noexcept {
    detail::requeue(*session_, self, made);
}

// Messages that are held

[[gnu::__noinline__]] PROMISQS_DEFINITION held_batch::held_batch(const queue_base& source)
    : session_(source.shared_session()), entry_(&session_->borrow_entry()), forks_(fork_count) {}

PROMISQS_DEFINITION void held_batch::swap(held_batch& other) noexcept {
    std::swap(session_, other.session_);
    std::swap(entry_, other.entry_);
    std::swap(made_, other.made_);
    std::swap(single_, other.single_);
    std::swap(state_, other.state_);
    std::swap(left_, other.left_);
    std::swap(forks_, other.forks_);
}

[[gnu::__noinline__]] PROMISQS_DEFINITION bool held_batch::claim(std::uint64_t most) {
    if (!is_here()) {
        raise(
            errc::in_callable, session_->name(),
            {"expected no return from fork() inside the callable of on_dropped while messages are claimed, found one; "
             "claim them by another call in the child"});
    }
    const auto& ring = session_->ring();
    auto& none_returned = session_->none_returned();
    // Relaxed: another thread's count only makes this one look in vain.
    std::uint64_t in_vain = none_returned.load(std::memory_order_relaxed);
    if (ring.claim_returned(*entry_, single_, in_vain)) return true;
    none_returned.store(in_vain, std::memory_order_relaxed);
    batch row{};  // says nothing where another consumer was faster
    if (!ring.claim_pops(*entry_, most, row)) return false;
    made_ = row;
    return true;
}

PROMISQS_DEFINITION void held_batch::hold() noexcept {
    const auto& space = session_->ring().space();
    state_ = static_cast<std::uint64_t>(slot_state::full);
    if (made_.size == 0) {
        made_ = {single_.ticket, 1, space.next(single_.ticket)};
        state_ = single_.stamp - space.lap(single_.ticket);
    }
    left_ = made_.size;
}

PROMISQS_DEFINITION claim held_batch::at(std::uint64_t i) const noexcept {
    const auto& space = session_->ring().space();
    const std::uint64_t ticket = space.later(made_.first, i);
    return {ticket, space.lap(ticket) + state_};
}
PROMISQS_DEFINITION const void* held_batch::payload(std::uint64_t i) const noexcept {
    return session_->ring().payload(at(i));
}
PROMISQS_DEFINITION std::uint64_t held_batch::number(std::uint64_t i) const noexcept {
    return session_->ring().space().distance(0, at(i).ticket);
}

PROMISQS_DEFINITION bool held_batch::is_held(std::uint64_t i) const noexcept {
    if (!is_here() || i >= made_.size) return false;
    const detail::claim one = at(i);
    // Relaxed: only we change the stamp of what we hold, and no slot comes back to it.
    return session_->ring().stamp_of(one.ticket).load(std::memory_order_relaxed) == one.stamp;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION bool held_batch::release(std::uint64_t i) noexcept {
    if (!is_held(i)) return false;
    const auto& ring = session_->ring();
    ring.release(at(i));
    if (session_->wait_word_of(role::producer).needs_attention_after_store()) session_->wake(role::producer, 1);
    if (--left_ == 0) {
        ring.finish_pops(*entry_);
        return_entry();
    }
    return true;
}

PROMISQS_DEFINITION void held_batch::return_entry() noexcept {
    session_->return_entry(*entry_);
    entry_ = nullptr;
}

[[gnu::__noinline__]] PROMISQS_DEFINITION void held_batch::give_back_rest() noexcept {
    if (!is_here()) return;
    if (left_ != 0 && made_.size == 1) {
        requeue(*session_, *entry_, at(0));
    } else if (left_ != 0) {
        session_->ring().requeue_rest(*entry_, made_);
        for (const role whose : {role::producer, role::consumer}) session_->wake(whose, left_);
    }
    return_entry();
}

[[gnu::__cold__]] PROMISQS_DEFINITION void queue_base::raise_batch_too_large(std::size_t messages) const {
    raise(errc::batch_too_large, name(),
          {"expected at most ", digits(capacity()), " messages at once, found ", digits(messages),
           "; push them in parts, or create it with a larger capacity"});
}

[[gnu::__cold__]] PROMISQS_DEFINITION void queue_base::raise_message_size(std::size_t bytes) const {
    raise(errc::element_size_differs, name(),
          {"expected ", digits(element_size()), " bytes for each message, found ", digits(bytes),
           "; element_size() says how many"});
}

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail
