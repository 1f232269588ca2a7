// SPDX-License-Identifier: Apache-2.0

#include "inspect/participants.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace promisqs_tool {

namespace {

// It takes part for its process (claim_some).
bool is_holder(const promisqs::participant_look& one) noexcept { return one.who.thread == 0; }

participant_view view_of(const promisqs::participant_look& one, std::uint64_t inode, process_lookup& lookup) {
    participant_view result{one, condition::dead, {}, {}};
    if (!one.who.alive) return result;
    result.state = condition::elsewhere;
    // What a process holds is no thread's.
    const auto found = process_lookup::look(one.who.process, is_holder(one) ? one.who.process : one.who.thread);
    // A process of another pid namespace writes down a number that may be another process's here.
    if (!found || !lookup.has_mapped(one.who.process, inode).value_or(true)) return result;
    result.state = found->state == 'T' || found->state == 't' ? condition::stopped : condition::alive;
    result.process_name = printable(found->process_name);
    result.thread_name = printable(found->thread_name);
    return result;
}

head_count count(const std::vector<promisqs::participant_look>& all,
                 bool (*has_role)(const promisqs::participant_look&)) noexcept {
    head_count result;
    for (const auto& one : all) {
        if (has_role(one)) ++(one.who.alive ? result.alive : result.dead);
    }
    return result;
}

}  // namespace

std::string_view to_string(condition value) noexcept {
    switch (value) {
        case condition::alive: return "alive";
        case condition::stopped: return "stopped";
        case condition::dead: return "dead";
        case condition::elsewhere: return "elsewhere";
    }
    return "unknown";
}

std::vector<participant_view> view_participants(const std::vector<promisqs::participant_look>& all, std::uint64_t inode,
                                                process_lookup& lookup) {
    std::vector<participant_view> views;
    views.reserve(all.size());
    for (const auto& one : all) views.push_back(view_of(one, inode, lookup));
    return views;
}

std::string_view role_of(const participant_view& one) noexcept {
    if (is_producer(one.look)) return is_consumer(one.look) ? "producer, consumer" : "producer";
    return is_consumer(one.look) ? "consumer" : "neither yet";
}

std::string described(const participant_view& one) {
    const auto& who = one.look.who;
    std::string text = fmt::format("process {}", who.process);
    if (!one.process_name.empty()) text += fmt::format(" ({})", one.process_name);
    if (is_holder(one.look)) {
        text += ", which holds messages until it is done with them";
    } else if (who.thread != who.process) {
        text += fmt::format(", thread {}", who.thread);
    }
    if (!is_holder(one.look) && who.thread != who.process && !one.thread_name.empty() &&
        one.thread_name != one.process_name)
        text += fmt::format(" ({})", one.thread_name);
    if (one.state == condition::stopped) text += ", stopped";
    if (one.state == condition::elsewhere) text += ", of another pid namespace or hidden";
    return text;
}

std::string described(const promisqs::held_messages& held) {
    if (held.count == 1) return fmt::format("message {}", held.first);
    return fmt::format("messages {} to {}", held.first, held.first + held.count - 1);
}

bool is_producer(const promisqs::participant_look& one) noexcept { return one.last_push || one.sole_producer; }
bool is_consumer(const promisqs::participant_look& one) noexcept { return one.last_pop || one.sole_consumer; }

head_count count_producers(const std::vector<promisqs::participant_look>& all) noexcept {
    return count(all, &is_producer);
}
head_count count_consumers(const std::vector<promisqs::participant_look>& all) noexcept {
    return count(all, &is_consumer);
}

std::chrono::nanoseconds age_of(std::chrono::system_clock::time_point since) noexcept {
    const auto then = std::max(since, std::chrono::system_clock::time_point{});  // not before 1970
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now() - then);
}

}  // namespace promisqs_tool
