// SPDX-License-Identifier: Apache-2.0

// What `doctor` finds out about bridges that do not run, by the records that they have left.

#include "bridge/bridge_look.hpp"
#include "bridge/queue_identity.hpp"
#include "doctor/findings.hpp"
#include "text/shell.hpp"
#include "text/text.hpp"

#include <promisqs/error.hpp>

#include <fmt/format.h>

#include <optional>

namespace promisqs_tool {

namespace {

// Nothing: it can't be told, as this user may not look at the queue, for instance.
std::optional<bool> is_of_queue_now(const bridge_look& bridge) {
    try {
        return identity_of_queue(bridge.queue) == bridge.queue_identity;
    } catch (const promisqs::queue_error& error) {
        return error.code() == promisqs::errc::not_found ? std::optional(false) : std::nullopt;
    }
}

finding left_over(const bridge_look& one) {
    return {true,
            one.queue,
            "bridge_record",
            fmt::format("A bridge {} that is gone has left a record of {}: {}/{}.",
                        one.direction == bridge_direction::out ? "out of a queue" : "into a queue",
                        short_bytes(one.bytes), record_folder, printable(one.record)),
            fmt::format("promisqs doctor --fix removes it, or rm {}",
                        shell_word(fmt::format("{}/{}", record_folder, one.record))),
            cure::remove_record,
            {},
            one.record};
}

finding not_running(const bridge_look& one) {
    const bool is_out = one.direction == bridge_direction::out;
    return {false, one.queue, "bridge_stopped",
            fmt::format("The bridge {} {} stream \"{}\" does not run, and has not ended by itself. What it has written "
                        "down is kept for the next one.",
                        to_string(one.direction), is_out ? "to" : "from", printable(one.stream)),
            fmt::format("Start it again, or rm {}, if there will be none",
                        shell_word(fmt::format("{}/{}", record_folder, one.record)))};
}

}  // namespace

std::vector<finding> check_bridges(const std::string& queue) {
    std::vector<finding> found;
    for (const bridge_look& one : look_at_bridges()) {
        if (one.is_alive || (!queue.empty() && one.queue != queue)) continue;
        const auto is_now = is_of_queue_now(one);
        if (is_now) found.push_back(*is_now ? not_running(one) : left_over(one));
    }
    return found;
}

}  // namespace promisqs_tool
