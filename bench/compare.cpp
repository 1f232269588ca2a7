// SPDX-License-Identifier: Apache-2.0

// Compares promisqs with other ways to send messages from one process to another, and writes what was found as JSON.

#include "cpus.hpp"
#include "segment_name.hpp"
#include "suite.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct wishes {
    std::string output;
    std::string groups;
    std::string contenders;
    bool list = false;
    bool quick = false;
    bool no_pinning = false;
    bench::wanted_effort how_much;
};

/// In the order in which they are run.
std::vector<bench::group> all_groups() {
    std::vector<bench::group> groups;
    bench::add_round_trips(groups);
    bench::add_streams(groups);
    bench::add_fresh(groups);
    bench::add_batches(groups);
    bench::add_sleepers(groups);
    return groups;
}

/// Leaves out what does not match.
std::vector<bench::group> select(std::vector<bench::group> groups, const wishes& wanted) {
    const auto matches = [](const std::string& name, const std::string& pattern) {
        return std::regex_search(name, std::regex(pattern));
    };
    for (auto& group : groups) {
        std::erase_if(group.contenders, [&](const auto& one) { return !matches(one.name, wanted.contenders); });
    }
    std::erase_if(groups,
                  [&](const auto& group) { return group.contenders.empty() || !matches(group.name(), wanted.groups); });
    if (groups.empty()) throw std::runtime_error("nothing matches --groups and --contenders; see --list");
    return groups;
}

/// \return  whether promisqs itself could be measured everywhere
bool run(const wishes& wanted) {
    const auto groups = select(all_groups(), wanted);
    if (wanted.list) {
        for (const auto& group : groups) {
            std::printf("%s:", group.name().c_str());
            for (const auto& one : group.contenders) std::printf(" %s", one.name.c_str());
            std::printf("\n");
        }
        return true;
    }
    const bench::effort usual = wanted.quick ? bench::effort{1, std::chrono::milliseconds(50), 5} : bench::effort{};
    const bench::effort how_much = wanted.how_much.applied_to(usual);
    return bench::run_all(groups, bench::describe_run(how_much), how_much, wanted.output);
}

}  // namespace

int main(int argc, char** argv) {
    wishes wanted;
    CLI::App app(
        "Compares promisqs with other ways to send messages between processes of one machine.\n"
        "Prints medians [least, most] of the repetitions; --output writes everything as JSON.");
    app.add_option("--output", wanted.output, "where to write the results, as JSON");
    app.add_option("--groups", wanted.groups, "only groups whose name this regular expression is found in");
    app.add_option("--contenders", wanted.contenders, "only contenders whose name it is found in");
    app.add_flag("--list", wanted.list, "show the names of groups and contenders, and measure nothing");
    app.add_flag("--quick", wanted.quick, "once and shortly, to see that everything works");
    app.add_option("--repetitions", wanted.how_much.repetitions, "how often each is measured (9)")
        ->check(CLI::Range(1, 1000));
    app.add_option("--duration", wanted.how_much.duration, "of a measurement, in milliseconds (200)")
        ->check(CLI::Range(50, 10000));
    app.add_flag("--no-pinning", wanted.no_pinning, "leave processes to the scheduler");
    CLI11_PARSE(app, argc, argv);
    try {
        bench::allow_pinning(!wanted.no_pinning);
        bench::remove_segments_on_signals();
        return run(wanted) ? 0 : 1;
    } catch (const std::regex_error& error) {
        std::fprintf(stderr, "promisqs_compare: not a regular expression: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "promisqs_compare: %s\n", error.what());
        return 1;
    }
}
