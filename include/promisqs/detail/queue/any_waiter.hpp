// SPDX-License-Identifier: Apache-2.0
#pragma once

// Waiting for a message in any of several queues. wait_any.hpp includes it, unless PROMISQS_COMPILED is defined.

#include <promisqs/detail/protocol/ring_state.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/stop_signal.hpp>
#include <promisqs/detail/queue/waiter.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace promisqs::detail {

// NOLINTBEGIN(misc-definitions-in-headers): inline, or in one source file (definition.hpp)

/// A message in any of several queues, to be waited for. Popping it is left to others.
class awaited_message final : public awaited {
public:
    explicit awaited_message(std::span<const queue_base* const> queues) noexcept : queues_(queues) {}

    bool probe() override { return check() == finding::settled; }
    finding check() override {
        finding result = finding::nothing;
        for (ready_ = 0; ready_ < queues_.size(); ++ready_) {
            const outcome found = queues_[ready_]->look();
            // A corrupt queue is ready: its pop throws.
            if (found == outcome::ok || found == outcome::closed || found == outcome::corrupt) return finding::settled;
            if (found != outcome::empty) result = finding::in_progress;
        }
        return result;
    }
    [[nodiscard]] std::size_t ready() const noexcept { return ready_; }

private:
    std::span<const queue_base* const> queues_;
    std::size_t ready_ = 0;
};

[[nodiscard]] inline std::optional<std::size_t> wait_for_message(std::span<const queue_base* const> queues,
                                                                 std::uint64_t deadline,
                                                                 std::atomic<std::uint32_t>* interrupt,
                                                                 const wait_policy& policy) {
    if (queues.size() > waiter::most_queues) {
        raise(errc::invalid_options, queues.front()->name(),
              {"expected at most ", digits(waiter::most_queues), " queues to wait for at once, found this one and ",
               digits(queues.size() - 1), " others; wait for fewer, or in several threads"});
    }
    std::array<session*, waiter::most_queues> sessions;
    for (std::size_t i = 0; i < queues.size(); ++i) sessions[i] = &queues[i]->session();
    awaited_message what(queues);
    waiter loop({sessions.data(), queues.size()}, {.whose = role::consumer, .interrupt = interrupt});
    if (loop.wait(what, policy, deadline) != waiter::ending::settled) return std::nullopt;
    return what.ready();
}

PROMISQS_DEFINITION std::optional<std::size_t> wait_for_any(std::span<const queue_base* const> queues,
                                                            std::uint64_t deadline, const stop_token& stop) {
    stop_signal signal(stop);
    return wait_for_message(queues, deadline, signal.word(), wait_policy::balanced());
}

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail
