// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace bench {

enum class side { producers, consumers };

/// Decides whether workers are pinned to processors; they are, unless there is only one.
void allow_pinning(bool allowed);

/// Pins the calling thread, so that the two sides run on different processors.
///
/// \param index  which of the workers on that side
void pin_worker(side where, unsigned index);

/// How long a cache line takes from the producers' first processor to the consumers', in nanoseconds; nothing when workers
/// are not pinned. On virtual machines it changes from minute to minute, and every result with it.
std::optional<double> measure_line_crossing();

/// Says how far apart two processors are, from measurements before and after a run: "near" (hyper-threads of one core),
/// "middle" (they share a cache), "far", or "moved" if the two don't agree; "unpinned" without measurements.
std::string distance_class(std::optional<double> before, std::optional<double> after);

}  // namespace bench
