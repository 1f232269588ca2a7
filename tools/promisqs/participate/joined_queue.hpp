// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/plan.hpp"
#include "participate/opening.hpp"

#include <promisqs/untyped_queue.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace promisqs_tool {

/// A queue in which the program takes part.
///
/// The last user of a queue ends it, if it is not to be kept, messages and all. The program is a passer-by: it never
/// does that, whoever came or left in the meantime. Where it was the last one, the queue stays with its messages, as
/// if its users had been killed.
///
/// A poison message that is dropped here is shown on standard error.
class joined_queue {
public:
    /// \throws promisqs::queue_error  as `untyped_queue::open`
    /// \throws failure                as `wait_until_unlocked`
    explicit joined_queue(const std::string& name);
    joined_queue(const joined_queue&) = delete;
    joined_queue& operator=(const joined_queue&) = delete;
    ~joined_queue() = default;

    [[nodiscard]] promisqs::untyped_queue& operator*() noexcept { return queue_; }
    [[nodiscard]] promisqs::untyped_queue* operator->() noexcept { return &queue_; }
    [[nodiscard]] const promisqs::untyped_queue* operator->() const noexcept { return &queue_; }

    /// How its messages look.
    [[nodiscard]] const plan_found& messages() const noexcept { return messages_; }

private:
    users_lock stays_;  // until the queue has been closed
    promisqs::untyped_queue queue_;
    plan_found messages_;
};

/// A number of seconds from the command line, as a time to wait; more than a year counts as one.
[[nodiscard]] std::chrono::nanoseconds seconds(double number);

}  // namespace promisqs_tool
