// SPDX-License-Identifier: Apache-2.0

#include "blocked.hpp"

#include "text.hpp"

#include <fmt/format.h>

#include <optional>

namespace promisqs_tool {

namespace {

bool lasts(const std::optional<promisqs::stall>& one) { return one && one->at_least >= shortest_stall; }

std::string named(const promisqs::participant_stats& who) {
    const std::string thread = who.thread == who.process ? "" : fmt::format(" (thread {})", who.thread);
    return fmt::format("{}process {}{}", who.alive ? "" : "dead ", who.process, thread);
}

std::string sentence(const promisqs::stall& one, std::string_view waiting, std::string_view doing) {
    const std::string who = one.by ? named(*one.by) : "a participant that is not known";
    return fmt::format("{} wait {}: {} is {} message {}", waiting, short_time(one.at_least), who, doing, one.message);
}

// Of what is held for long, what has been held for longest.
std::string longest_held(const watched_queue& of) {
    std::chrono::nanoseconds longest = long_held;
    std::string result;
    for (const promisqs::participant_look& one : of.participants) {
        for (const bool is_push : {true, false}) {
            const auto& held = is_push ? one.push : one.pop;
            if (!held || held->at_least < longest) continue;
            longest = held->at_least;
            result = fmt::format("{} has been {} message {} for {}", named(one.who), is_push ? "pushing" : "popping",
                                 held->first, short_time(held->at_least));
        }
    }
    return result;
}

}  // namespace

bool is_stalled(const watched_queue& of) {
    return of.has_figures() && (lasts(of.figures.head) || lasts(of.figures.tail));
}

std::string who_blocks(const watched_queue& of) {
    if (!of.has_figures()) return {};
    if (lasts(of.figures.head)) return sentence(*of.figures.head, "consumers", "pushing");
    if (lasts(of.figures.tail)) return sentence(*of.figures.tail, "producers", "popping");
    return longest_held(of);
}

}  // namespace promisqs_tool
