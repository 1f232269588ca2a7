// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a handle does for its elements: the quick path of each operation, and what it hands to the drivers.
// queue.hpp says what is promised.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/queue/copy.hpp>
#include <promisqs/detail/queue/elements.hpp>
#include <promisqs/detail/queue/held_message.hpp>
#include <promisqs/detail/queue/operations.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/reentrancy.hpp>
#include <promisqs/element.hpp>
#include <promisqs/status.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace promisqs::detail {

/// \tparam Elements  what this kind of handle takes for a message (elements.hpp)
template <class Elements>
class queue_impl : public queue_base, private Elements {
    using stride = typename Elements::stride;

public:
    explicit queue_impl(queue_base&& joined) noexcept
        : queue_base(std::move(joined)),
          Elements(static_cast<const queue_base&>(*this)),
          ring_(slots_at(Elements::distances()), capacity(), roles()) {}

    [[nodiscard]] [[gnu::__always_inline__]] const auto& ring() const noexcept { return ring_; }

    [[nodiscard]] const Elements& elements() const noexcept { return *this; }

    // What an operation moves, from the arguments of a call. Throws if these have the wrong size.

    [[nodiscard]] [[gnu::__always_inline__]] auto source(typename Elements::message one) const {
        return Elements::from(*this, one);
    }
    [[nodiscard]] [[gnu::__always_inline__]] auto target(typename Elements::room one) const {
        return Elements::into(*this, one);
    }
    [[nodiscard]] [[gnu::__always_inline__]] auto sources(typename Elements::messages all) const {
        return Elements::from_all(*this, all);
    }
    [[nodiscard]] [[gnu::__always_inline__]] auto targets(typename Elements::rooms all) const {
        return Elements::into_all(*this, all);
    }

    /// The path that matters. False: it is the thread's first call in this role, or a slot was not ready.
    template <class Operation>
    [[gnu::__always_inline__]] bool quick(const Operation& op) const {
        const bool done = key().is_known(Operation::whose) && op.attempt(*this, key().known());
        return done;
    }

    // The drivers, for an operation whose quick attempt has failed. Out of line, so that the quick path saves no
    // registers. Not cold: a poller runs them all the time.

    template <class Operation>
    [[gnu::__noinline__]] status once(Operation op) const {
        return queue_base::once(erased<Operation>(op));
    }
    template <class Operation>
    [[gnu::__noinline__]] bool until_settled(Operation op) const {
        return queue_base::until_settled(erased<Operation>(op));
    }
    template <class Operation>
    [[gnu::__noinline__]] status until(Operation op, std::uint64_t deadline, const stop_token& stop) const {
        return queue_base::until(erased<Operation>(op), deadline, stop);
    }

    // Pops by value. What is returned is made where the caller wants it: an optional that is filled later would be
    // cleared first, all of it.

    template <class T>
    [[gnu::__always_inline__]] std::optional<T> take(const claim& made) const {
        std::optional<T> copied = optional_copy_of<T>(ring_.payload(made));
        finish_pop(made);
        return copied;
    }
    template <class T>
    [[gnu::__noinline__]] std::optional<T> take_once_settled() const {
        claim made{};
        return queue_base::until_settled(erased<claim_for_pop>({made})) ? take<T>(made) : std::nullopt;
    }
    template <class T>
    [[gnu::__noinline__]] std::optional<T> take_until(std::uint64_t deadline, const stop_token& stop) const {
        claim made{};
        const erased<claim_for_pop> op({made});
        return queue_base::until(op, deadline, stop) == status::ok ? take<T>(made) : std::nullopt;
    }
    /// Lets `fill` make the message in a place that is claimed, and publishes it.
    template <class Fill>
    void push_claimed(const claim& made, Fill&& fill) const {
        run_guarded(
            key(), name(), [&] { std::invoke(std::forward<Fill>(fill), this->place_at(ring_.payload(made))); },
            [&]() noexcept { give_up(made); });
        ring_.publish(made);
        wake_consumers(ring_.memory());
    }
    /// Lets `use` read a message that is claimed, and releases it.
    template <class Use>
    void pop_claimed(const claim& made, Use&& use) const {
        layout::participant& self = key().known();
        run_guarded(
            key(), name(), [&] { std::invoke(std::forward<Use>(use), this->view_at(ring_.payload(made))); },
            [&]() noexcept { requeue(self, made); });
        finish_pop(made);
    }

private:
    /// An operation, without its type, and what `attempt` needs to find it again.
    template <class Operation>
    struct erased : operation {
        Operation typed;

        explicit erased(const Operation& op) noexcept
            : operation{.whose = Operation::whose, .attempt = &attempt_typed}, typed(op) {
            typed.describe(*this);
        }
        static bool attempt_typed(const operation& op, const queue_base& queue) {
            return static_cast<const queue_impl&>(queue).quick(static_cast<const erased&>(op).typed);
        }
    };

    [[gnu::__always_inline__]] void finish_pop(const claim& made) const {
        ring_.release(made);
        wake_producers(ring_.memory());
    }

    detail::ring<slot_array<stride>> ring_;
};

}  // namespace promisqs::detail
