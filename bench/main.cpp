// SPDX-License-Identifier: Apache-2.0

#include "benchmarks.hpp"
#include "cpus.hpp"
#include "segment_name.hpp"
#include "summary.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// How contenders are compared unless the user says otherwise: they alternate, because the machine changes meanwhile.
constexpr std::array defaults{"--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=9",
                              "--benchmark_min_time=0.05"};

bool is_given(const std::vector<std::string>& arguments, std::string_view flag) {
    const auto name = flag.substr(0, flag.find('='));
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](std::string_view argument) { return argument.substr(0, argument.find('=')) == name; });
}

/// Google Benchmark writes other formats itself; the tables are for people.
bool wants_other_format(const std::vector<std::string>& arguments) {
    return std::any_of(arguments.begin(), arguments.end(), [](std::string_view argument) {
        return argument.starts_with("--benchmark_format=") && argument != "--benchmark_format=console";
    });
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv, argv + argc);
    const bool tables = !wants_other_format(arguments);
    if (std::erase(arguments, "--no_pinning") > 0) bench::allow_pinning(false);
    for (const char* flag : defaults) {
        if (!is_given(arguments, flag)) arguments.emplace_back(flag);
    }
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);

    bench::remove_segments_on_signals();
    benchmark::Initialize(&count, pointers.data());
    if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
    bench::register_uncontended();
    bench::register_streams();
    bench::register_round_trips();
    bench::summary summary;
    benchmark::RunSpecifiedBenchmarks(tables ? &summary : nullptr);
    benchmark::Shutdown();
    return summary.failed() ? 1 : 0;
}
