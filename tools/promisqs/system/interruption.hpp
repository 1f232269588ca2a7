// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>

namespace promisqs_tool {

/// From now on SIGINT, SIGTERM and SIGHUP request a stop, and end the program when they come a second time. To be called
/// once, before there is a second thread. SIGPIPE is ignored: writing then fails.
void catch_interruptions();

/// For waiting calls.
[[nodiscard]] std::stop_token interruption();
[[nodiscard]] inline bool is_interrupted() { return interruption().stop_requested(); }

/// Readable from the first such signal on; for `poll`.
[[nodiscard]] int interruption_descriptor();

/// In a child, after `fork`: signals work there as they do in any program.
void forget_interruptions();

}  // namespace promisqs_tool
