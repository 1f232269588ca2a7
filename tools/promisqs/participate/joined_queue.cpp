// SPDX-License-Identifier: Apache-2.0

#include "participate/joined_queue.hpp"

#include "codec/json_writer.hpp"
#include "system/exit_code.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace promisqs_tool {

namespace {

// Opens what the lock holds. A name never leads to an object again that it has led away from.
promisqs::untyped_queue open_locked(const std::string& name, users_lock& stays) {
    constexpr int tries = 100;
    std::optional<promisqs::untyped_queue> queue;
    for (int i = 0; i < tries; ++i) {
        auto opened = promisqs::untyped_queue::open(name);
        if (stays.holds_named()) return opened;
        queue = std::move(opened);  // of another one, which is closed once that is locked
        stays = users_lock(name);
    }
    throw failure(exit_code::broken,
                  fmt::format("queue \"{}\" is removed and created again and again; try it later", printable(name)));
}

}  // namespace

joined_queue::joined_queue(const std::string& name)
    : stays_(name), queue_(open_locked(name, stays_)), messages_(plan_for(queue_.type().text, queue_.element_size())) {
    queue_.on_dropped([name = printable(name), writer = json_writer(messages_.plan)](auto message) {
        fmt::memory_buffer line;
        writer.append(line, message);
        say("promisqs: queue \"{}\": dropped a message, as too many consumers have died with it: {}\n", name,
            std::string_view(line.data(), line.size()));
    });
}

std::chrono::nanoseconds seconds(double number) {
    constexpr double most = 366 * 86400.0;
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(std::clamp(number, 0.0, most)));
}

}  // namespace promisqs_tool
