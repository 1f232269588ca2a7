// SPDX-License-Identifier: Apache-2.0

#include "inspect/stalls.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace promisqs_tool {

namespace {

constexpr std::chrono::milliseconds noticeable(100);

struct side {
    bool is_pop;
    std::optional<promisqs::held_messages> promisqs::participant_look::*held;
    std::string_view verb;     // what the one who holds it does
    std::string_view past;     // did
    std::string_view others;   // who waits
    std::string_view ends_it;  // what a recovery makes of the message
};
constexpr side pushing{false,       &promisqs::participant_look::push,
                       "pushing",   "pushed",
                       "consumers", "gives its place up: the message was never complete"};
constexpr side popping{true,        &promisqs::participant_look::pop,
                       "popping",   "popped",
                       "producers", "has it delivered again, to another consumer"};

std::string capitalised(std::string text) {
    if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
    return text;
}

bool holds(const participant_view& one, const side& where, std::uint64_t message) {
    const auto& held = one.look.*where.held;
    return held && message >= held->first && message - held->first < held->count;
}

// "process 4711 (feed), stopped, has been pushing it for 3.2 s"
std::string what_it_does(const participant_view& one, const side& where, std::string_view what,
                         std::chrono::nanoseconds at_least) {
    std::string who = described(one);
    if (who.find(", ") != who.npos) who += ',';  // it ends with what is said of the process
    if (one.state == condition::dead) return fmt::format("{} died while it {} {}", who, where.past, what);
    if (at_least < std::chrono::milliseconds(1)) return fmt::format("{} is {} {}", who, where.verb, what);
    return fmt::format("{} has been {} {} for {} at least", who, where.verb, what, short_time(at_least));
}

std::string recovery_hint(const side& where) {
    return fmt::format(" The next recovery {}. A participant that waits makes one, and so does promisqs doctor --fix.",
                       where.ends_it);
}

// Others wait for the message of a stall.
std::optional<hold_up> waited_for(const promisqs::stall& stalled, const side& where,
                                  const std::vector<participant_view>& participants) {
    const participant_view* by = nullptr;
    for (const auto& one : participants) {
        if (!holds(one, where, stalled.message)) continue;
        if (by == nullptr || one.state != condition::dead) by = &one;
    }
    auto at_least = stalled.at_least;
    if (by != nullptr) at_least = std::max(at_least, (by->look.*where.held)->at_least);
    const bool runs = by == nullptr || by->state == condition::alive || by->state == condition::elsewhere;
    if (runs && at_least < noticeable) return std::nullopt;
    const std::string begin = capitalised(fmt::format("{} wait for message {}", where.others, stalled.message));
    if (by == nullptr)
        return hold_up{true,
                       {},
                       condition::elsewhere,
                       at_least,
                       fmt::format("{}, for {} at least: no participant is seen that is {} it. If this stays so, "
                                   "the next recovery {}.",
                                   begin, short_time(at_least), where.verb, where.ends_it)};
    std::string text = fmt::format("{}: {}.", begin, what_it_does(*by, where, "it", at_least));
    if (by->state == condition::dead) text += recovery_hint(where);
    return hold_up{true, by->look.who.process, by->state, at_least, text};
}

// Nobody waits yet.
std::optional<hold_up> to_be_waited_for(const participant_view& one, const side& where,
                                        const std::optional<promisqs::stall>& stalled,
                                        const promisqs::queue_stats& stats) {
    const auto& held = one.look.*where.held;
    if (!held || (stalled && holds(one, where, stalled->message))) return std::nullopt;
    const bool runs = one.state == condition::alive || one.state == condition::elsewhere;
    if (runs && held->at_least < noticeable) return std::nullopt;
    std::string text = capitalised(fmt::format("{}.", what_it_does(one, where, described(*held), held->at_least)));
    if (one.state == condition::dead)
        return hold_up{false, one.look.who.process, one.state, held->at_least, text + recovery_hint(where)};
    const std::uint64_t pushed = stats.pushed + stats.tombstones;
    const std::uint64_t limit = held->first + stats.capacity;
    if (where.is_pop) {
        text += limit > pushed ? fmt::format(" Producers will wait for it after {} more messages.", limit - pushed)
                               : std::string(" Producers wait for it if they push.");
    } else {
        text += " Consumers will wait for it once they have popped what was pushed before it.";
    }
    return hold_up{false, one.look.who.process, one.state, held->at_least, text};
}

}  // namespace

std::vector<hold_up> hold_ups(const promisqs::queue_stats& stats, const std::vector<participant_view>& participants) {
    std::vector<hold_up> found;
    const auto add = [&](const std::optional<hold_up>& one) {
        if (one) found.push_back(*one);
    };
    if (stats.head) add(waited_for(*stats.head, pushing, participants));
    if (stats.tail) add(waited_for(*stats.tail, popping, participants));
    for (const auto& one : participants) {
        add(to_be_waited_for(one, pushing, stats.head, stats));
        add(to_be_waited_for(one, popping, stats.tail, stats));
    }
    return found;
}

}  // namespace promisqs_tool
