// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/untyped_queue.hpp>

#include <string>

namespace promisqs_tool {

/// This program's handle on a queue that others use. A queue that no process has open, and that is to go with the last
/// handle, would go with this one. So that handle is never closed: when the program has ended, the queue is as it was,
/// with its messages.
class guest {
public:
    /// \throws failure  a process that builds or ends the queue does not finish, or this program was interrupted
    explicit guest(const std::string& name);
    guest(const guest&) = delete;
    guest& operator=(const guest&) = delete;
    ~guest();

    /// Closes the handle at the end all the same.
    void let_it_go() noexcept { is_alone_ = false; }

    [[nodiscard]] promisqs::untyped_queue& queue() noexcept { return queue_; }

private:
    bool is_alone_;
    promisqs::untyped_queue queue_;
};

/// Opening, creating and removing a queue wait for a process that builds it, or ends it. If that one is stopped, they
/// would wait for ever. So this is called before: it waits for a second at most.
///
/// \throws failure  the process has not finished
void wait_until_unlocked(const std::string& name);

}  // namespace promisqs_tool
