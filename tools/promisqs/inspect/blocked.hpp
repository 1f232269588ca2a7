// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/queue_watch.hpp"

#include <chrono>
#include <string>

namespace promisqs_tool {

/// A stall that is shorter is no news: one lasts for an instant whenever a message is being copied.
inline constexpr std::chrono::milliseconds shortest_stall{100};
/// A message that is held for so long is worth a word, though nobody waits for it yet.
inline constexpr std::chrono::seconds long_held{1};

/// Whether participants have been waiting for another one.
[[nodiscard]] bool is_stalled(const watched_queue& of);

/// Who holds whom up, and for how long, in a short sentence. Empty: nobody does.
///
/// \param queue  its name
[[nodiscard]] std::string who_blocks(const std::string& queue, const watched_queue& of);

}  // namespace promisqs_tool
