// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace promisqs {

/// What one attempt came to. Only `ok` moved a message.
// clang-format off
enum class [[nodiscard]] status {
    // clang-format on
    ok,           ///< done
    full,         ///< a push found `capacity` messages waiting
    empty,        ///< a pop or peek found none
    would_block,  ///< somebody else is in the middle of an operation on this position: try again
    closed,       ///< the queue was closed (for later versions)
    timed_out     ///< the given time is over (for later versions)
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
    }
    return "unknown";
}

}  // namespace promisqs
