// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/record_file.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace promisqs_tool {

/// What the record of a bridge says. Others have written it: texts may hold anything.
struct bridge_look {
    std::string record;  ///< the file's name
    bool is_alive;       ///< the bridge runs, or is stopped
    bridge_direction direction;
    std::uint64_t queue_identity;
    std::string queue;
    std::string stream;
    std::string target;  ///< the subject, or the consumer
    std::string url;
    std::uint32_t process;
    std::int64_t started_at;  ///< in nanoseconds of Unix time
    std::size_t bytes;        ///< of the file
    std::uint64_t in;         ///< as in `bridge_counters`
    std::uint64_t out;
    std::uint64_t in_flight;
    std::uint64_t reconnects;
    std::uint64_t duplicates;
    std::uint64_t uncertain;
    std::uint64_t errors;
    bool is_connected;
};

/// Reads a record, without changing or mapping it.
///
/// \return  nothing: it is none, has gone, or may not be read
[[nodiscard]] std::optional<bridge_look> look_at_bridge(const std::string& record);

/// Of all bridges whose records this user may read, dead ones too.
[[nodiscard]] std::vector<bridge_look> look_at_bridges();

/// Removes a record if the bridge is dead.
///
/// \return  whether it was removed
bool remove_record(const std::string& record);

}  // namespace promisqs_tool
