// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace bench {

enum class side { producers, consumers };

/// On which processors workers are.
enum class placement {
    apart,         // producers on one half of them, consumers on the other
    one_processor  // all on a single one
};

/// Decides whether workers are pinned to processors; they are, unless there is only one.
void allow_pinning(bool allowed);

/// Pins the calling thread.
///
/// \param index  which of the workers on that side
void pin_worker(placement where, side of, unsigned index);

/// The processors that the first worker of each side is pinned to; nothing when workers are not pinned.
std::optional<std::pair<int, int>> first_cpus();

/// How long a cache line takes from the producers' first processor to the consumers', in nanoseconds; nothing when
/// workers are not pinned. On virtual machines it changes from minute to minute, and every result with it.
std::optional<double> measure_line_crossing();

/// How far apart two processors are: "near" (hyper-threads of one core), "middle" (they share a cache), "far";
/// "unpinned" without a measurement.
std::string distance_class(std::optional<double> line_crossing);

}  // namespace bench
