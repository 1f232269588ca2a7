// SPDX-License-Identifier: Apache-2.0
#pragma once

// Declares what ready_event.hpp calls; event_watcher.hpp defines it.

#include <promisqs/detail/queue/queue_base.hpp>

#include <memory>

namespace promisqs::detail {

/// A thread that makes a descriptor readable when a pop of a queue would not have to wait.
class event_watcher;

/// \throws  `std::system_error`, if there is no descriptor or no thread to be had
std::shared_ptr<event_watcher> start_watching(const queue_base& queue);
int descriptor_of(const event_watcher& watcher) noexcept;
void rearm(event_watcher& watcher) noexcept;

}  // namespace promisqs::detail
