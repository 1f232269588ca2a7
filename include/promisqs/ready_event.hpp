// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A bridge into event loops: a file descriptor that becomes readable when a queue has messages.

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <system_error>
#include <thread>

namespace promisqs {

/// A file descriptor for `poll`, `epoll` or Boost.Asio, readable when a pop of a queue would not have to wait: it has a message, or is
/// closed and drained.
///
/// \code
/// promisqs::ready_event event(queue);
/// // when event.descriptor() is readable:
/// while (queue.try_pop(message) == promisqs::status::ok) { … }
/// event.rearm();
/// \endcode
///
/// It has a thread of its own, which sleeps as any consumer that waits does; a push wakes it by a system call only while it sleeps. After
/// it has made the descriptor readable it does nothing until `rearm`. In a forked child the thread is missing: the child makes its own.
template <queue_element T>
class ready_event {
public:
    /// Watches the queue, through a copy of the handle.
    ///
    /// \par Throws  `std::system_error`, if there is no descriptor or no thread to be had
    explicit ready_event(const shmem_queue<T>& watched) : queue_(watched), descriptor_(detail::os::make_event()) {
        if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "promisqs: no event descriptor");
        try {
            const detail::os::signals_blocked no_signals;  // in the new thread: they are the program's
            thread_ = std::thread([this] { watch(); });
        } catch (...) {
            detail::os::close(descriptor_);
            throw;
        }
    }
    ready_event(const ready_event&) = delete;
    ready_event& operator=(const ready_event&) = delete;
    ~ready_event() {
        command_.store(stop, std::memory_order_release);
        detail::os::wake(command_, detail::os::everybody);
        thread_.join();
        detail::os::close(descriptor_);
    }

    /// Non-blocking, closed by `exec`; not to be read or closed by others.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    /// Makes the descriptor unreadable, until there is a message: at once, if there still is one. To be called when enough has been
    /// popped, by one thread at a time.
    void rearm() noexcept {
        detail::os::clear_event(descriptor_);
        std::uint32_t expected = signalled;
        if (command_.compare_exchange_strong(expected, watching, std::memory_order_acq_rel)) {
            detail::os::wake(command_, detail::os::everybody);
        }
    }

private:
    static constexpr std::uint32_t watching = 0;
    static constexpr std::uint32_t signalled = 1;
    static constexpr std::uint32_t stop = 2;

    void watch() noexcept {
        const std::array queues{detail::watched_queue(queue_)};
        while (command_.load(std::memory_order_acquire) != stop) {
            if (!wait_for_message(queues)) continue;
            // First this: `rearm` may come as soon as the descriptor is readable, and must find it.
            std::uint32_t expected = watching;
            if (!command_.compare_exchange_strong(expected, signalled, std::memory_order_acq_rel)) continue;
            detail::os::signal_event(descriptor_);
            while (command_.load(std::memory_order_acquire) == signalled) {
                detail::os::sleep_on(command_, signalled, detail::os::never);
            }
        }
    }

    bool wait_for_message(const std::array<detail::watched_queue, 1>& queues) noexcept {
        try {
            return detail::any_waiter(queues).wait(detail::os::never, &command_).has_value();
        } catch (const std::exception&) {
            return true;  // a pop will say what it is
        }
    }

    shmem_queue<T> queue_;
    int descriptor_;
    std::atomic<std::uint32_t> command_ = watching;
    std::thread thread_;
};

}  // namespace promisqs
