// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/queue_watch.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// What Prometheus is told that the text is.
inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// Figures of queues in Prometheus' text format. Remembers the totals, so that none ever goes down: a scraper would take
/// that for a restart. (A message that a process has claimed counts as pushed; if that process dies, it no longer does.)
class metrics {
public:
    [[nodiscard]] std::string text(const queue_watch& seen);

private:
    struct totals {
        std::uint64_t object = 0;
        std::uint64_t pushed = 0;
        std::uint64_t popped = 0;
        std::uint64_t tombstones = 0;
        std::uint64_t redelivered = 0;
        std::uint64_t dropped = 0;
    };
    void remember(const queue_watch& seen);

    std::map<std::string, totals> totals_;
};

}  // namespace promisqs_tool
