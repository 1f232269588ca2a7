// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/participants.hpp"
#include "system/processes.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/schema.hpp>

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// All that one look at an object has found. What the object is not, or does not have, is not there.
struct queue_look {
    std::string name;
    promisqs::queue_finding finding;
    std::optional<struct ::stat> file;  ///< what has the name now
    std::optional<promisqs::queue_facts> facts;
    std::optional<promisqs::queue_stats> stats;
    std::vector<participant_view> participants;
};

/// \throws promisqs::queue_error  there is none, or it may not be read
[[nodiscard]] queue_look look_at(promisqs::inspector& from, process_lookup& lookup);

/// What `stat` says of a name in /dev/shm.
[[nodiscard]] std::optional<struct ::stat> stat_of(const std::string& name);

/// "in use", "other layout".
[[nodiscard]] std::string words_of(promisqs::queue_state state);

/// The fields of its elements; nothing if the description is no schema, or not of this size.
[[nodiscard]] std::optional<promisqs::element_fields> fields_of(const promisqs::queue_facts& facts);

}  // namespace promisqs_tool
