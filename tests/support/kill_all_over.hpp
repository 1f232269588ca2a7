// SPDX-License-Identifier: Apache-2.0
#pragma once

// Kills victims of a long call, one after the other, all over it; and looks at what each has left.

#include "account.hpp"
#include "catch.hpp"
#include "names.hpp"
#include "single_step.hpp"

#include <promisqs/queue.hpp>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <utility>

namespace promisqs_test {

// How it is found out that the victim is dead: by which process, and call, what it has left is recovered.
enum class finder {
    recover,     // a survivor that calls recover()
    stuck_user,  // a survivor that goes on pushing and popping, and knows nothing
    newcomer     // a process that opens the queue
};
inline constexpr const char* names_of_finders[] = {"recover()", "a stuck user", "a newcomer"};

inline std::size_t stride_of(const call_trace& trace) {
    constexpr std::size_t most_places = 250;
    return std::getenv("PROMISQS_EVERY_INSTRUCTION") != nullptr ? 1 : trace.stride_for(most_places);
}

/// Kills victims of `start()` in turn; `check(finder)` looks at what the last one left.
/// `finished()` does after one that was not killed.
template <class Start, class Finished, class Check>
void kill_all_over(const scoped_name& name, const std::string& what, std::size_t phase, Start start, Finished finished,
                   Check check) {
    trials all;
    {
        // What a process sets up with its first queue is set up in this one, so that all victims inherit it.
        const scoped_name first("first");
        auto q = numbered_queue::create(first, 1);
        register_at(q);
        static_cast<void>(numbered_queue::open(first).recover());
    }
    const auto record = [&] {
        call_trace result;
        const bool recorded = all.make(name.path(), what + ", not killed", [&] {
            auto victim = start();
            result = victim->record();
            expect(victim->finish() == 0, "the victim that was not killed failed");
            victim.reset();
            finished();
        });
        REQUIRE(recorded);
        return result;
    };
    call_trace trace = record();
    for (int i = 0; i < 2; ++i) {
        auto another = record();
        if (another.size() < trace.size()) trace = std::move(another);
    }
    std::size_t missed = 0;
    std::size_t in_a_row = 0;
    std::size_t turn = phase;
    for (const std::size_t i : trace.places(stride_of(trace), phase)) {
        const auto by = static_cast<finder>(turn++ % 3);
        const std::string trial = what + ", killed after " + std::to_string(i) + " of " + std::to_string(trace.size()) +
                                  " instructions, found by " + names_of_finders[static_cast<std::size_t>(by)];
        all.make(name.path(), trial, [&] {
            auto victim = start();
            const bool reached = victim->advance(i, trace);  // or it took another path, and is over
            in_a_row = reached ? 0 : in_a_row + 1;
            if (!reached) ++missed;
            victim->kill();
            victim.reset();
            check(by);
        });
        if (in_a_row == 3) {  // that is the path now
            trace = record();
            in_a_row = 0;
        }
    }
    CHECK(missed * 2 <= all.made());
    if (std::getenv("PROMISQS_SHOW_TRIALS") != nullptr) {
        WARN(what << ": " << trace.size() << " instructions, " << trace.system_calls() << " system calls, "
                  << all.made() << " trials, " << missed << " of them missed");
    }
}

/// All participants are alive, `count` of them, and there is nothing left to recover.
inline void expect_only_the_living(numbered_queue& q, std::size_t count) {
    const auto report = q.recover();
    expect(report.tombstones + report.messages_to_redeliver + report.messages_dropped + report.postponed == 0,
           "something was left to be recovered after all was well");
    const auto stats = q.stats();
    expect(stats.participants.size() == count,
           "there are " + std::to_string(stats.participants.size()) + " participants");
    for (const auto& one : stats.participants) expect(one.alive, "a participant is dead, and still there");
}

/// What waits comes out, where `mine` is open; then the queue works, to its full capacity.
inline void expect_intact(const scoped_name& name, numbered_queue& mine, const numbers& waiting, finder by) {
    numbers out;
    if (by == finder::newcomer) {
        auto newcomer = numbered_queue::open(name);
        out = drain(newcomer);
    } else {
        if (by == finder::recover) static_cast<void>(mine.recover());
        out = drain(mine);
    }
    expect(out == waiting, "waiting " + text_of(waiting) + ", found " + text_of(out));
    expect_full_capacity(mine);
    expect_only_the_living(mine, 1);
}

}  // namespace promisqs_test
