// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>

namespace promisqs_tool {

/// To be called once, by the main thread, before there is another one.
///
/// From now on SIGINT, SIGTERM and SIGHUP request a stop, and end the program when they come a second time; but those
/// that are ignored stay ignored. After the first one, calls of the system that wait in the main thread end with EINTR,
/// again and again: code that tries again on EINTR asks `is_interrupted` first.
/// SIGPIPE and SIGXFSZ are ignored: writing then fails. Standard descriptors that are closed are taken, so that no file
/// gets their numbers; reading and writing them still fails.
void prepare_process();

/// For waiting calls.
[[nodiscard]] std::stop_token interruption();
[[nodiscard]] inline bool is_interrupted() { return interruption().stop_requested(); }

/// Readable from the first such signal on; for `poll`.
[[nodiscard]] int interruption_descriptor();

/// In a child, after `fork`: signals work there as they do in any program.
void forget_interruptions();

}  // namespace promisqs_tool
