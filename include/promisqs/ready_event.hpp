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

class untyped_queue;

namespace detail {

template <class T>
struct handle_of {
    using type = shmem_queue<T>;
};
template <>
struct handle_of<void> {
    using type = untyped_queue;
};

}  // namespace detail

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
/// All events of a process share one thread, which sleeps as any waiting consumer does (one for each 127 events; the
/// system can't sleep on more). It is started with the first event, and ends with the last. It leaves signals to other
/// threads. A push makes a system call to wake it only while it sleeps. After it has made a descriptor readable, it
/// leaves that queue alone until `rearm`. Different events can be used by different threads at once. A forked child has
/// no such thread: its parent's events do nothing there, and it makes events of its own.
///
/// \tparam T  of a `shmem_queue<T>`; void: of an `untyped_queue`
template <class T>
class ready_event {
public:
    /// Watches the queue, through a copy of the handle. The thread also recovers what dead processes have left in it,
    /// and calls the callable of `on_dropped` then, which may make and destroy events.
    ///
    /// \throws std::system_error  if there is no descriptor or no thread to be had
    explicit ready_event(const typename detail::handle_of<T>::type& watched)
        : watcher_(detail::start_watching(detail::queue_access::base_of(watched))) {}
    ready_event(const ready_event&) = delete;
    ready_event& operator=(const ready_event&) = delete;
    /// Returns when the thread does not use the queue any more.
    ~ready_event() = default;

    /// Non-blocking, closed by `exec`. Others must not read or close it.
    [[nodiscard]] int descriptor() const noexcept { return detail::descriptor_of(*watcher_); }

    /// Makes the descriptor unreadable until there is a message: it is readable again at once, if there still is one.
    /// To be called, by one thread at a time, when enough has been popped.
    void rearm() noexcept { detail::rearm(*watcher_); }

private:
    std::shared_ptr<detail::event_watcher> watcher_;
};

template <class T>
ready_event(const shmem_queue<T>&) -> ready_event<T>;
ready_event(const untyped_queue&)->ready_event<void>;

}  // namespace promisqs
