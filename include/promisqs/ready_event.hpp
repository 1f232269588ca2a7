// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// A bridge into event loops: a file descriptor that is readable when a queue has messages.

#include <promisqs/detail/queue/readiness.hpp>
#include <promisqs/queue.hpp>

#if !defined(PROMISQS_COMPILED)
#include <promisqs/detail/queue/event_watcher.hpp>
#endif

#include <memory>

namespace promisqs {

/// A file descriptor for `poll`, `epoll` or Boost.Asio. It is readable when a pop of a queue would not have to wait:
/// the queue has a message, or is closed and drained.
///
/// \code
/// promisqs::ready_event event(queue);
/// // when event.descriptor() is readable:
/// while (queue.try_pop(message) == promisqs::status::ok) { … }
/// event.rearm();
/// \endcode
///
/// It has a thread of its own, which sleeps as any waiting consumer does. A push makes a system call to wake it only
/// while it sleeps. After it has made the descriptor readable, it does nothing until `rearm`. A forked child has no
/// such thread: the child makes an event of its own.
template <queue_element T>
class ready_event {
public:
    /// Watches the queue, through a copy of the handle.
    ///
    /// \throws std::system_error  if there is no descriptor or no thread to be had
    explicit ready_event(const shmem_queue<T>& watched)
        : watcher_(detail::start_watching(detail::queue_access::base_of(watched))) {}
    ready_event(const ready_event&) = delete;
    ready_event& operator=(const ready_event&) = delete;
    ~ready_event() = default;

    /// Non-blocking, closed by `exec`. Others must not read or close it.
    [[nodiscard]] int descriptor() const noexcept { return detail::descriptor_of(*watcher_); }

    /// Makes the descriptor unreadable until there is a message: it is readable again at once, if there still is one.
    /// To be called, by one thread at a time, when enough has been popped.
    void rearm() noexcept { detail::rearm(*watcher_); }

private:
    std::shared_ptr<detail::event_watcher> watcher_;
};

}  // namespace promisqs
