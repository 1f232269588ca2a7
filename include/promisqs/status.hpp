// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

#include <string_view>

namespace promisqs {

/// What one attempt came to. Only `ok` moved a message.
// clang-format off
enum class [[nodiscard]] status {
    // clang-format on
    ok,           ///< done
    full,         ///< a push found `capacity` messages waiting; or, in its place, one that is to be delivered again
    empty,        ///< a pop or peek found none
    would_block,  ///< another participant is in the middle of an operation on this position: try again
    closed,       ///< the queue was closed: nothing can be pushed, or nothing is left to be popped
    timed_out,    ///< the given time is over
    stopped       ///< a stop was requested by the given token
};

/// The name of a status, as written above.
constexpr std::string_view to_string(status value) noexcept {
    switch (value) {
        case status::ok: return "ok";
        case status::full: return "full";
        case status::empty: return "empty";
        case status::would_block: return "would_block";
        case status::closed: return "closed";
        case status::timed_out: return "timed_out";
        case status::stopped: return "stopped";
    }
    return "unknown";
}

}  // namespace promisqs
