// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "system/processes.hpp"

#include <promisqs/inspection.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// How a participant is.
enum class condition {
    alive,
    stopped,   ///< by a signal, or a debugger
    dead,      ///< the next recovery removes it
    elsewhere  ///< alive, and not to be seen from here: in another pid namespace, or hidden
};
[[nodiscard]] std::string_view to_string(condition value) noexcept;

/// A participant, with what the system says of it.
struct participant_view {
    promisqs::participant_look look;
    condition state;
    std::string process_name;  ///< empty: unknown. Printable, as is the next one
    std::string thread_name;
};

/// \param inode  of the queue's file
[[nodiscard]] std::vector<participant_view> view_participants(const std::vector<promisqs::participant_look>& all,
                                                              std::uint64_t inode, process_lookup& lookup);

/// "producer", "consumer", "producer, consumer", or "neither yet".
[[nodiscard]] std::string_view role_of(const participant_view& one) noexcept;

/// "process 4711 (feed), thread 4712, stopped". The thread is left out if it is the process's first.
[[nodiscard]] std::string described(const participant_view& one);

/// "message 7", "messages 7 to 9".
[[nodiscard]] std::string described(const promisqs::held_messages& held);

/// Whether a participant has pushed, or popped; or has taken that role alone in a queue that lets only one have it.
[[nodiscard]] bool is_producer(const promisqs::participant_look& one) noexcept;
[[nodiscard]] bool is_consumer(const promisqs::participant_look& one) noexcept;

/// How many participants push, or pop.
struct head_count {
    std::uint64_t alive = 0;
    std::uint64_t dead = 0;
};
[[nodiscard]] head_count count_producers(const std::vector<promisqs::participant_look>& all) noexcept;
[[nodiscard]] head_count count_consumers(const std::vector<promisqs::participant_look>& all) noexcept;

/// How long ago that was. The time comes from shared memory: if it is none that can be, nothing overflows.
[[nodiscard]] std::chrono::nanoseconds age_of(std::chrono::system_clock::time_point since) noexcept;

}  // namespace promisqs_tool
