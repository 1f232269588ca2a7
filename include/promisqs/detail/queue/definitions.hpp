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
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/stats_collector.hpp>
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
PROMISQS_DEFINITION bool queue_base::full() const noexcept { return session_->ring().full(); }
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
    session_->ring().give_up(made);
    counters_->tombstones.fetch_add(1, std::memory_order_relaxed);
    wake_consumers(session_->ring().memory());  // one that wakes finds what others have pushed behind it
}

PROMISQS_DEFINITION void queue_base::requeue(layout::participant& self, const claim& made) const noexcept {
    const auto& ring = session_->ring();
    if (!ring.requeue(self, made)) {
        while (!session_->between_recoveries([&] { ring.requeue_locked(self, made); })) os::nap();
    }
    for (const role whose : {role::producer, role::consumer}) session_->wake(whose, 1);  // of a closed queue, too
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
