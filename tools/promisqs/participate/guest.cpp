// SPDX-License-Identifier: Apache-2.0

#include "participate/guest.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <fmt/format.h>

#include <poll.h>

#include <list>
#include <optional>
#include <utility>

namespace promisqs_tool {

namespace {

bool is_used(const std::string& name) {
    wait_until_unlocked(name);
    return promisqs::inspector(name).look().used;
}

// Never destroyed.
std::list<promisqs::untyped_queue>& left_open() {
    static auto& only = *new std::list<promisqs::untyped_queue>;
    return only;
}

}  // namespace

guest::guest(const std::string& name) : is_alone_(!is_used(name)), queue_(promisqs::untyped_queue::open(name)) {}

guest::~guest() {
    if (is_alone_ && queue_.actual_options().life == promisqs::lifetime::remove_on_last_close)
        left_open().push_back(std::move(queue_));
}

void wait_until_unlocked(const std::string& name) {
    std::optional<promisqs::inspector> from;
    try {
        from.emplace(name);
    } catch (const promisqs::queue_error&) {
        return;  // what comes next will say why
    }
    constexpr int looks = 100;
    ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
    for (int i = 0; i < looks && !is_interrupted(); ++i) {
        if (!from->look().locked || !from->is_named()) return;
        static_cast<void>(::poll(&interrupted, 1, 10));
    }
    throw failure(exit_code::broken,
                  fmt::format("queue \"{0}\": a process is building it, or ending it, and has not finished. If it is "
                              "stopped, let it go on, or end it: fuser -v /dev/shm/{0} shows it",
                              printable(name)));
}

}  // namespace promisqs_tool
