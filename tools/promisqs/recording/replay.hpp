// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace promisqs_tool {

/// What `promisqs replay` was asked for.
struct replay_request {
    std::string file;
    std::string queue;
    std::optional<double> speed = 1;  ///< nothing: as fast as the queue takes them
    std::uint64_t passes = 1;
    bool loops = false;                     ///< without end
    std::uint64_t from = 0;                 ///< leave out messages with lower numbers
    std::optional<std::uint64_t> most;      ///< messages, in all passes together
    bool create = false;                    ///< the queue, if there is none
    std::optional<std::uint64_t> capacity;  ///< nothing: that of the queue that was recorded
    bool strict = false;                    ///< replay whole recordings alone
};

/// Pushes the messages of a recording.
void replay(const replay_request& request);

}  // namespace promisqs_tool
