// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace promisqs_tool {

enum class contender { promisqs, pipe, bare_line };
inline constexpr contender all_contenders[] = {contender::promisqs, contender::pipe, contender::bare_line};
[[nodiscard]] std::string_view to_string(contender one) noexcept;

/// How large a message is.
inline constexpr std::size_t bench_message_bytes = 64;

/// What a turn has measured.
struct bench_turn {
    double round_trip_p50 = 0;  ///< nanoseconds
    double round_trip_p99 = 0;
    double messages_per_second = 0;
};

/// The processors that the two processes are pinned to: two, or the only one. None: this can't be told.
[[nodiscard]] std::vector<int> bench_processors();

/// Sends messages between two processes, for half of the time there and back, for the other half in one direction.
/// Leaves nothing behind, however the program ends.
///
/// \return  nothing: interrupted
/// \throws failure  a process has died, or could not be started
[[nodiscard]] std::optional<bench_turn> take_turn(contender who, const std::vector<int>& processors,
                                                  std::chrono::nanoseconds duration);

}  // namespace promisqs_tool
