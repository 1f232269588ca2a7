// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/untyped_queue.hpp>

#include <chrono>

namespace promisqs_tool {

/// Looks now and then whether a queue that is in use was removed. What is pushed into it then, nobody can open any more.
class removal_watch {
public:
    using clock = std::chrono::steady_clock;

    /// Looks once in half a second at most.
    [[nodiscard]] bool is_removed(const promisqs::untyped_queue& queue, clock::time_point now) noexcept {
        constexpr std::chrono::milliseconds pause(500);
        if (!is_removed_ && now >= looked_at_ + pause) {
            looked_at_ = now;
            is_removed_ = !queue.is_named();
        }
        return is_removed_;
    }

private:
    clock::time_point looked_at_{};
    bool is_removed_ = false;
};

}  // namespace promisqs_tool
