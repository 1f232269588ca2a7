// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/plan.hpp"

#include <promisqs/untyped_queue.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// A queue in which the program takes part.
///
/// The last user of a queue removes it, if it is not to be kept, messages and all. The program must not do that to a
/// queue that nobody uses: its users may come back. So it leaves such a queue as it was.
///
/// A poison message that is dropped here is shown on standard error.
class joined_queue {
public:
    /// \throws promisqs::queue_error  as `untyped_queue::open`
    explicit joined_queue(const std::string& name);
    joined_queue(const joined_queue&) = delete;
    joined_queue& operator=(const joined_queue&) = delete;
    ~joined_queue();

    [[nodiscard]] promisqs::untyped_queue& operator*() noexcept { return *queue_; }
    [[nodiscard]] promisqs::untyped_queue* operator->() noexcept { return queue_.get(); }

    /// How its messages look.
    [[nodiscard]] const plan_found& messages() const noexcept { return messages_; }

private:
    bool was_used_;
    std::unique_ptr<promisqs::untyped_queue> queue_;
    plan_found messages_;
};

/// A number of seconds from the command line, as a time to wait; more than a year counts as one.
[[nodiscard]] std::chrono::nanoseconds seconds(double number);

}  // namespace promisqs_tool
