// SPDX-License-Identifier: Apache-2.0
#pragma once

// The thread behind ready_event.hpp, which includes it, unless PROMISQS_COMPILED is defined.

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/queue/any_waiter.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/readiness.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <system_error>
#include <thread>

namespace promisqs::detail {

// NOLINTBEGIN(misc-definitions-in-headers): inline, or in one source file (definition.hpp)

/// A thread that sleeps as any consumer does, and makes a descriptor readable when a pop would not have to wait. Then
/// it does nothing until `rearm`.
class event_watcher {
public:
    /// \throws  `std::system_error`, if there is no descriptor or no thread to be had
    explicit event_watcher(const queue_base& queue) : queue_(queue), descriptor_(os::make_event()) {
        if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "promisqs: no event descriptor");
        try {
            const os::signals_blocked no_signals;  // in the new thread: they are the program's
            thread_ = std::thread([this] { watch(); });
        } catch (...) {
            os::close(descriptor_);
            throw;
        }
    }
    event_watcher(const event_watcher&) = delete;
    event_watcher& operator=(const event_watcher&) = delete;
    ~event_watcher() {
        // [E1] release, pairs with [E3]: what this thread did before is over when the watcher ends. Relaxed would let
        // the watcher run on without it.
        command_.store(stop, std::memory_order_release);
        os::wake(command_, os::everybody);
        thread_.join();
        os::close(descriptor_);
    }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    void rearm() noexcept {
        os::clear_event(descriptor_);
        std::uint32_t expected = signalled;
        // [E2] acq_rel, pairs with [E3] and [E4]: the cleared event comes before the watcher's next signal. Relaxed
        // would let that signal be cleared.
        if (command_.compare_exchange_strong(expected, watching, std::memory_order_acq_rel)) {
            os::wake(command_, os::everybody);
        }
    }

private:
    static constexpr std::uint32_t watching = 0;
    static constexpr std::uint32_t signalled = 1;
    static constexpr std::uint32_t stop = 2;

    // [E3] acquire, pairs with [E1] and [E2]. Relaxed would let this thread miss what came before the command.
    [[nodiscard]] std::uint32_t command() const noexcept { return command_.load(std::memory_order_acquire); }

    void watch() noexcept {
        while (command() != stop) {
            if (!wait_once()) continue;
            // First this: `rearm` may come as soon as the descriptor is readable, and must find it.
            std::uint32_t expected = watching;
            // [E4] acq_rel, pairs with [E2]: the event is signalled after it was cleared. Relaxed would let it be
            // cleared afterwards.
            if (!command_.compare_exchange_strong(expected, signalled, std::memory_order_acq_rel)) continue;
            os::signal_event(descriptor_);
            while (command() == signalled) os::sleep_on(command_, signalled, never);
        }
    }

    bool wait_once() noexcept {
        const std::array queues{static_cast<const queue_base*>(&queue_)};
        try {
            return wait_for_message(queues, never, &command_).has_value();
        } catch (...) {
            return true;  // a pop will say what it is
        }
    }

    queue_base queue_;
    int descriptor_;
    std::atomic<std::uint32_t> command_ = watching;
    std::thread thread_;
};

PROMISQS_DEFINITION std::shared_ptr<event_watcher> start_watching(const queue_base& queue) {
    return std::make_shared<event_watcher>(queue);
}
PROMISQS_DEFINITION int descriptor_of(const event_watcher& watcher) noexcept { return watcher.descriptor(); }
PROMISQS_DEFINITION void rearm(event_watcher& watcher) noexcept { watcher.rearm(); }

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail
