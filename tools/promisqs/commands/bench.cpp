// SPDX-License-Identifier: Apache-2.0

#include "bench/bench_turns.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace promisqs_tool {

namespace {

struct bench_options {
    double seconds = 5;
    bool json = false;
};

constexpr const char* details =
    "Two processes send each other messages of 64 bytes: there and back, one at a time, and as fast as they can in one "
    "direction. promisqs takes turns with a pipe and with a bare cache line, which holds one message and does nothing "
    "else: no round trip can be faster. The figures are medians of the turns.\n"
    "Run nothing else meanwhile. The processes are pinned to two processors, if there are two. On virtual machines, "
    "how "
    "far apart these are can change from minute to minute, and with it all but the pipe's figures.\n"
    "Makes queues of its own and changes no other. Nothing is left, also when it is killed.";

struct results {
    std::array<std::vector<bench_turn>, std::size(all_contenders)> turns;  // of each contender
    std::vector<int> processors;
    bool interrupted = false;
};

double median(const std::vector<bench_turn>& turns, double bench_turn::*figure) {
    if (turns.empty()) return 0;
    std::vector<double> all;
    all.reserve(turns.size());
    for (const bench_turn& one : turns) all.push_back(one.*figure);
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end());
    return *middle;
}

void show_progress(bool shows, std::size_t done, std::size_t all) {
    if (!shows) return;
    say("\r{}", done == all ? std::string(40, ' ') + '\r' : fmt::format("turn {} of {}", done + 1, all));
}

results run_turns(const bench_options& wanted) {
    constexpr std::size_t count = std::size(all_contenders);
    constexpr double usual_turn = 0.24;  // seconds
    const auto rounds = static_cast<std::size_t>(std::clamp(std::round(wanted.seconds / usual_turn / count), 3.0, 1e6));
    const std::chrono::duration<double> turn(wanted.seconds / static_cast<double>(rounds * count));
    const bool shows = ::isatty(STDERR_FILENO) == 1 && wanted.seconds > 0.5;

    results found;
    found.processors = bench_processors();
    for (std::size_t i = 0; i < rounds * count && !found.interrupted; ++i) {
        show_progress(shows, i, rounds * count);
        const auto figures = take_turn(all_contenders[i % count], found.processors,
                                       std::chrono::duration_cast<std::chrono::nanoseconds>(turn));
        if (figures) found.turns[i % count].push_back(*figures);
        found.interrupted = !figures || is_interrupted();
    }
    show_progress(shows, 1, 1);
    return found;
}

std::string where(const std::vector<int>& processors) {
    if (processors.empty()) return "on any processors";
    if (processors.size() == 1) {
        return fmt::format("on processor {}, the only one that they may use: they take turns on it", processors[0]);
    }
    return fmt::format("on processors {} and {}", processors[0], processors[1]);
}

std::string time_text(double nanoseconds) { return short_time(std::chrono::nanoseconds(std::llround(nanoseconds))); }

void print_table(const results& found) {
    output& out = standard_output();
    out.print("{} bytes a message, between two processes {}; medians of {} turns each\n\n", bench_message_bytes,
              where(found.processors), found.turns.back().size());
    out.print("{:<16} {:>14} {:>14} {:>14}\n", "", "round trip p50", "p99", "messages/s");
    for (std::size_t i = 0; i < std::size(all_contenders); ++i) {
        const auto& turns = found.turns[i];
        if (turns.empty()) {
            out.print("{:<16} {:>14} {:>14} {:>14}\n", to_string(all_contenders[i]), "-", "-", "-");
            continue;
        }
        const auto rate = std::llround(median(turns, &bench_turn::messages_per_second));
        out.print("{:<16} {:>14} {:>14} {:>14}\n", to_string(all_contenders[i]),
                  time_text(median(turns, &bench_turn::round_trip_p50)),
                  time_text(median(turns, &bench_turn::round_trip_p99)), short_count(static_cast<std::uint64_t>(rate)));
    }
    if (found.interrupted) out.print("\nInterrupted: not all turns were taken.\n");
}

void print_json(const results& found) {
    nlohmann::ordered_json all{{"message_bytes", bench_message_bytes},
                               {"processors", found.processors},
                               {"interrupted", found.interrupted},
                               {"contenders", nlohmann::ordered_json::array()}};
    for (std::size_t i = 0; i < std::size(all_contenders); ++i) {
        const auto& turns = found.turns[i];
        nlohmann::ordered_json one{{"name", to_string(all_contenders[i])}, {"turns", turns.size()}};
        if (!turns.empty()) {
            one["round_trip_ns"] = {{"p50", median(turns, &bench_turn::round_trip_p50)},
                                    {"p99", median(turns, &bench_turn::round_trip_p99)}};
            one["messages_per_second"] = std::round(median(turns, &bench_turn::messages_per_second));
        }
        all["contenders"].push_back(std::move(one));
    }
    standard_output().print("{}\n", all.dump());
}

exit_code compare(const bench_options& wanted) {
    const results found = run_turns(wanted);
    if (wanted.json) {
        print_json(found);
    } else {
        print_table(found);
    }
    return exit_code::done;
}

}  // namespace

void add_bench(program& all) {
    auto wanted = std::make_shared<bench_options>();
    CLI::App& app = all.add({.name = "bench",
                             .summary = "Measure round trips and throughput on this machine",
                             .details = details,
                             .examples = {{"promisqs bench", "Five seconds, and a table"},
                                          {"promisqs bench --seconds 60 --json", "Longer, for a program"},
                                          {"taskset -c 2,3 promisqs bench", "On these two processors"}},
                             .run = [wanted] { return compare(*wanted); }});
    app.add_option("--seconds", wanted->seconds, "How long to measure, 0.1 to 3600")
        ->type_name("SECONDS")
        ->transform(seconds_between(0.1, 3600))
        ->capture_default_str();
    app.add_flag("--json", wanted->json, "One JSON object, on one line");
}

}  // namespace promisqs_tool
