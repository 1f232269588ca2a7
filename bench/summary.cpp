// SPDX-License-Identifier: Apache-2.0

#include "summary.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <sstream>

namespace bench {
namespace {

constexpr std::array contenders{"promisqs", "promisqs_pop", "vyukov", "mutex_deque", "boost_message_queue"};

/// Whether a run was ended by an error; the field's name depends on the version of Google Benchmark.
template <class Run>
bool has_failed(const Run& run) {
    if constexpr (requires { run.error_occurred; }) {
        return run.error_occurred;
    } else {
        return run.skipped != decltype(run.skipped){};
    }
}
template <class Run>
std::string error_of(const Run& run) {
    if constexpr (requires { run.error_message; }) {
        return run.error_message;
    } else {
        return run.skip_message;
    }
}

struct name_parts {
    std::string table;  // topology/place
    std::size_t size = 0;
    std::string contender;
};

name_parts split(const std::string& name) {
    std::istringstream in(name);
    std::string topology, where, size, contender;
    std::getline(in, topology, '/');
    std::getline(in, where, '/');
    std::getline(in, size, '/');
    std::getline(in, contender, '/');
    return {topology + "/" + where, std::stoul(size), contender};
}

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

std::vector<double> values_of(const benchmark::BenchmarkReporter::Run& run, const std::string& table) {
    if (starts_with(table, "uncontended")) return {run.GetAdjustedCPUTime()};
    const auto counter = [&](const char* name) {
        const auto found = run.counters.find(name);
        return found == run.counters.end() ? 0 : found->second.value;
    };
    if (starts_with(table, "round_trip")) return {counter("p50_ns"), counter("p99_ns"), counter("p99.9_ns")};
    return {counter("items_per_second") / 1e6};
}

const char* unit_of(const std::string& table) {
    if (starts_with(table, "uncontended")) return "ns for push and pop, median [least, most] (repetitions)";
    if (starts_with(table, "round_trip")) return "ns there and back, medians of p50 / p99 / p99.9 (repetitions)";
    return "million messages/s, median [least, most] (repetitions)";
}

/// The values at one place of several samples, sorted.
std::vector<double> column(const std::vector<sample>& samples, std::size_t i) {
    std::vector<double> result;
    for (const sample& one : samples) result.push_back(one.values[i]);
    std::sort(result.begin(), result.end());
    return result;
}

double median(const std::vector<double>& sorted) {
    const std::size_t half = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

std::string format(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), value < 100 ? "%.3g" : "%.0f", value);
    return text.data();
}

std::string describe(const std::vector<sample>& samples) {
    if (samples.empty()) return "-";
    const std::string count = " (" + std::to_string(samples.size()) + ")";
    if (samples[0].values.size() == 1) {
        const auto sorted = column(samples, 0);
        return format(median(sorted)) + " [" + format(sorted.front()) + ", " + format(sorted.back()) + "]" + count;
    }
    std::string text;
    for (std::size_t i = 0; i < samples[0].values.size(); ++i) {
        text += (i > 0 ? " / " : "") + format(median(column(samples, i)));
    }
    return text + count;
}

/// The distance at which most samples of a row were taken, without those during which it changed.
template <class Row>
std::string usual_distance(const Row& row) {
    std::map<std::string, std::size_t> counts;
    for (const auto& [contender, samples] : row) {
        for (const sample& one : samples) {
            if (one.distance != "moved") ++counts[one.distance];
        }
    }
    const auto most = std::max_element(counts.begin(), counts.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == counts.end() ? "moved" : most->first;
}

template <class Row>
std::vector<sample> taken_at(const Row& row, const std::string& contender, const std::string& distance) {
    std::vector<sample> result;
    const auto found = row.find(contender);
    if (found == row.end()) return result;
    std::copy_if(found->second.begin(), found->second.end(), std::back_inserter(result),
                 [&](const sample& one) { return one.distance == distance; });
    return result;
}

/// Nothing where one of the two is missing.
template <class Row>
std::string ratio_to_vyukov(const Row& row, const std::string& distance) {
    const auto ours = taken_at(row, "promisqs", distance);
    const auto theirs = taken_at(row, "vyukov", distance);
    if (ours.empty() || theirs.empty()) return "-";
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2f", median(column(ours, 0)) / median(column(theirs, 0)));
    return text.data();
}

template <class Table>
void print_table(const std::string& title, const Table& sizes) {
    std::vector<std::string> shown;
    for (const char* contender : contenders) {
        const auto has = [&](const auto& size_and_row) { return size_and_row.second.contains(contender); };
        if (std::any_of(sizes.begin(), sizes.end(), has)) shown.emplace_back(contender);
    }
    std::cout << "\n" << title << ": " << unit_of(title) << "\n\n| size |";
    for (const auto& contender : shown) std::cout << " " << contender << " |";
    std::cout << " promisqs / vyukov | processors |\n|---|";
    for (std::size_t i = 0; i < shown.size(); ++i) std::cout << "---|";
    std::cout << "---|---|\n";
    for (const auto& [size, row] : sizes) {
        const std::string distance = usual_distance(row);
        std::cout << "| " << size << " B |";
        for (const auto& contender : shown) std::cout << " " << describe(taken_at(row, contender, distance)) << " |";
        std::cout << " " << ratio_to_vyukov(row, distance) << " | " << (distance.empty() ? "one" : distance) << " |\n";
    }
}

}  // namespace

bool summary::ReportContext(const Context& context) {
    PrintBasicContext(&GetErrorStream(), context);
    std::cerr << "With random interleaving, results come together at the end.\n";
    return true;
}

void summary::ReportRuns(const std::vector<Run>& runs) {
    std::string name;
    std::vector<sample> samples;
    for (const Run& run : runs) {
        if (run.run_type != Run::RT_Iteration) continue;
        name = run.benchmark_name();
        if (has_failed(run)) {
            failed_ = true;
            std::cout << name << ": FAILED: " << error_of(run) << std::endl;
            continue;
        }
        const name_parts parts = split(name);
        samples.push_back({run.report_label, values_of(run, parts.table)});
        tables_[parts.table][parts.size][parts.contender].push_back(samples.back());
    }
    if (!samples.empty()) std::cout << name << ": " << describe(samples) << std::endl;
}

void summary::Finalize() {
    for (const auto& [title, sizes] : tables_) print_table(title, sizes);
    const auto found = tables_.find("uncontended/one_thread");
    if (found == tables_.end() || !found->second.contains(8)) return;
    std::cout << "\nuncontended push and pop of 8 bytes, promisqs / vyukov: "
              << ratio_to_vyukov(found->second.at(8), "") << "; the goal is at most 1.25\n";
}

}  // namespace bench
