// SPDX-License-Identifier: Apache-2.0
#pragma once

// Why a participant can't join: in sentences.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/participants.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/stats.hpp>

#include <atomic>
#include <cstdint>
#include <string>

namespace promisqs::detail {

[[noreturn, gnu::__cold__]] inline void raise_role_taken(const std::string& queue, const participant_table& table,
                                                         role which) {
    const char* what = which == role::producer ? "producer" : "consumer";
    std::string found = "another participant";
    if (const std::uint32_t holder = table.holder_of(which).load(std::memory_order_relaxed);
        holder != 0 && holder <= table.count()) {
        const auto& entry = table[holder - 1];
        found = concat({"thread ", digits(entry.tid.load(std::memory_order_relaxed)), " of process ",
                        digits(entry.pid.load(std::memory_order_relaxed))});
    }
    raise(errc::role_taken, queue,
          {"expected a single ", what, ", as the queue was created with options::single_", what, ", found ", found,
           " to be it, alive; let it end or close its handle first, or create the queue without that option"});
}

/// \param report  of a recovery that has found no free entry
[[noreturn, gnu::__cold__]] inline void raise_too_many(const std::string& queue, const participant_table& table,
                                                       const recovery_report& report) {
    std::string found = "all entries taken by participants that are alive";
    if (report.postponed != 0) {
        found = concat({found, ", but for ", digits(report.postponed),
                        " of dead ones, at whose messages live participants are at work or stopped"});
    }
    if (report.in_progress_elsewhere)
        found = "all entries taken, and another process (stopped?) recovering those of the dead";
    raise(errc::too_many_participants, queue,
          {"expected at most ", digits(table.count()),
           " participants (threads that use the queue at once, and rows of messages that are held), found ", found,
           "; end some, or create it with a larger options::participants"});
}

}  // namespace promisqs::detail
