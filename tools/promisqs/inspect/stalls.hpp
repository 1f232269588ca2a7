// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/participants.hpp"

#include <promisqs/stats.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace promisqs_tool {

/// Somebody who holds others up, or will.
struct hold_up {
    bool is_waited_for;                 ///< others wait already; false: they will, if it goes on
    std::optional<std::uint32_t> by;    ///< the process; nothing: it is not known
    condition state;                    ///< of the participant
    std::chrono::nanoseconds at_least;  ///< for how long
    std::string sentence;               ///< who, since when, and what it holds. Printable
};

/// Who holds whom up in a queue. Leaves out what goes on in any busy queue: a participant that runs, and has held its
/// message for less than a tenth of a second.
[[nodiscard]] std::vector<hold_up> hold_ups(const promisqs::queue_stats& stats,
                                            const std::vector<participant_view>& participants);

}  // namespace promisqs_tool
