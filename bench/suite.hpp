// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpus.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// How long things are measured, and how often.
struct effort {
    unsigned repetitions = 9;
    std::chrono::milliseconds duration{200};  // of one measurement
    unsigned sleeps = 100;                    // wake-ups in one measurement
};

/// What one measurement found.
struct sample {
    std::map<std::string, double> figures;  // by name
    std::vector<std::uint32_t> times;       // nanoseconds, of which a histogram is kept; may be empty
};

struct contender {
    std::string name;
    std::function<sample(const effort&)> measure;
};

/// What is compared with each other: the contenders take turns.
struct group {
    std::string workload;
    nlohmann::ordered_json parameters;  // such as the size of a message
    std::string key_figure;             // the one to look at
    bool two_processors = true;         // so that the way between them matters
    std::vector<contender> contenders;

    [[nodiscard]] std::string name() const;
};

void add_round_trips(std::vector<group>& groups);
void add_streams(std::vector<group>& groups);
void add_fresh(std::vector<group>& groups);
void add_batches(std::vector<group>& groups);
void add_sleepers(std::vector<group>& groups);

/// Runs a group: so many repetitions, in each of which every contender has its turn, between two measurements of how
/// far the processors are apart. A repetition during which that has changed counts for nothing and is made again, a few
/// times at most.
///
/// Contenders that can't be measured are left out from then on, and named in the result.
nlohmann::ordered_json run(const group& what, const effort& how_much);

/// What a user asks for, beside the choice of groups. Zero: as usual.
struct wanted_effort {
    unsigned repetitions = 0;
    unsigned duration = 0;  // milliseconds

    [[nodiscard]] effort applied_to(effort usual) const;
};

/// Runs all groups, and writes what was found.
///
/// \param about   what is known of this run
/// \param output  the file to write, as JSON; empty: none
/// \return        whether promisqs itself could be measured everywhere
bool run_all(const std::vector<group>& groups, const nlohmann::ordered_json& about, const effort& how_much,
             const std::string& output);

/// What must be known of the machine, the program and the time to understand the results.
nlohmann::ordered_json describe_run(const effort& how_much);

/// The commit that this was built from.
const char* commit() noexcept;

/// Percentiles of times, sorted meanwhile, as figures: p50, p99, p99.9 and max.
void add_percentiles(sample& to);

}  // namespace bench
