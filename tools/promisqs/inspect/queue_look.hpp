// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/participants.hpp"
#include "system/processes.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/schema.hpp>

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// What the system says of a name in /dev/shm.
struct file_status {
    std::uint64_t inode;
    std::uint64_t size;  ///< bytes
    std::uint32_t owner;
    std::uint32_t permissions;  ///< as in `chmod`
    std::time_t changed;        ///< when the system last changed what it knows of it
};

/// All that one look at an object has found. What the object is not, or does not have, is not there.
struct queue_look {
    std::string name;
    promisqs::queue_finding finding;
    std::optional<file_status> file;  ///< what has the name now
    std::optional<promisqs::queue_facts> facts;
    std::optional<promisqs::queue_stats> stats;
    std::vector<participant_view> participants;
};

/// \throws promisqs::queue_error  there is none, or it may not be read
[[nodiscard]] queue_look look_at(promisqs::inspector& from, process_lookup& lookup);

/// Nothing: there is none.
[[nodiscard]] std::optional<file_status> file_status_of(const std::string& name);

/// "in use", "other layout".
[[nodiscard]] std::string words_of(promisqs::queue_state state);

/// The fields of its elements; nothing if the description is no schema, or not of this size.
[[nodiscard]] std::optional<promisqs::element_fields> fields_of(const promisqs::queue_facts& facts);

}  // namespace promisqs_tool
