// SPDX-License-Identifier: Apache-2.0

#include "inspect/blocked.hpp"

#include "inspect/participants.hpp"
#include "inspect/queue_look.hpp"
#include "system/processes.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <optional>

namespace promisqs_tool {

namespace {

bool lasts(const std::optional<promisqs::stall>& one) { return one && one->at_least >= shortest_stall; }

// Looks a participant up in /proc. That takes a while, so only those are looked up that hold others up.
std::string named(const std::string& queue, const promisqs::participant_look& who) {
    const auto file = file_status_of(queue);
    process_lookup lookup;
    const auto views = view_participants({who}, file ? file->inode : 0, lookup);
    return (who.who.alive ? "" : "dead ") + described(views.front());
}

std::string named(const std::string& queue, const watched_queue& of, const promisqs::participant_stats& who) {
    for (const promisqs::participant_look& one : of.participants) {
        const bool is_same = one.who.process == who.process && one.who.thread == who.thread;
        if (is_same && one.who.since == who.since) return named(queue, one);
    }
    return fmt::format("process {}", who.process);
}

// Short: it should fit into 80 columns.
std::string sentence(const std::string& queue, const watched_queue& of, const promisqs::stall& one,
                     bool waits_for_push) {
    return fmt::format("{} wait {} for {} {}: {}", waits_for_push ? "consumers" : "producers", short_time(one.at_least),
                       waits_for_push ? "push" : "pop", one.message,
                       one.by ? named(queue, of, *one.by) : "nobody is seen in it");
}

// Of what is held for long, what has been held for longest.
std::string longest_held(const std::string& queue, const watched_queue& of) {
    const promisqs::participant_look* holder = nullptr;
    const promisqs::held_messages* longest = nullptr;
    for (const promisqs::participant_look& one : of.participants) {
        for (const auto* held : {&one.push, &one.pop}) {
            if (!*held || (*held)->at_least < (longest != nullptr ? longest->at_least : long_held)) continue;
            holder = &one;
            longest = &**held;
        }
    }
    if (holder == nullptr) return {};
    const bool is_push = holder->push && longest == &*holder->push;
    return fmt::format("in {} {} for {}: {}", is_push ? "push" : "pop", longest->first, short_time(longest->at_least),
                       named(queue, *holder));
}

}  // namespace

bool is_stalled(const watched_queue& of) {
    return of.has_figures() && (lasts(of.figures.head) || lasts(of.figures.tail));
}

std::string who_blocks(const std::string& queue, const watched_queue& of) {
    if (!of.has_figures()) return {};
    if (lasts(of.figures.head)) return sentence(queue, of, *of.figures.head, true);
    if (lasts(of.figures.tail)) return sentence(queue, of, *of.figures.tail, false);
    return longest_held(queue, of);
}

}  // namespace promisqs_tool
