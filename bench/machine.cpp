// SPDX-License-Identifier: Apache-2.0

#include "bench_commit.hpp"
#include "cpus.hpp"
#include "suite.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/version.hpp>

#include <boost/version.hpp>
#include <nlohmann/json.hpp>

#include <sys/utsname.h>

#include <chrono>
#include <cstddef>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace bench {
namespace {

using json = nlohmann::ordered_json;

std::string cpu_model() {
    std::ifstream information("/proc/cpuinfo");
    for (std::string line; std::getline(information, line);) {
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    }
    return "unknown";
}

std::string first_line(const std::string& path) {
    std::string line;
    std::ifstream file(path);
    return std::getline(file, line) ? line : "unknown";
}

std::string compiler() {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "g++ " __VERSION__;
#endif
}

std::string date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::string text(64, '\0');
    text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts));
    return text;
}

}  // namespace

const char* commit() noexcept { return BENCH_COMMIT; }

json describe_run(const effort& how_much) {
    ::utsname system{};
    ::uname(&system);
    json result;
    result["promisqs"] = std::to_string(promisqs::version_major) + "." + std::to_string(promisqs::version_minor) + "." +
                         std::to_string(promisqs::version_patch);
    result["commit"] = commit();
    result["date"] = date();
    result["cpu"] = cpu_model();
    result["processors"] = std::thread::hardware_concurrency();
    if (const auto cpus = first_cpus()) {
        result["pinned_to"] = {cpus->first, cpus->second};
    } else {
        result["pinned_to"] = nullptr;
    }
    result["line_ns"] = nullptr;
    if (const auto line = measure_line_crossing()) result["line_ns"] = *line;
    result["kernel"] = std::string(system.sysname) + " " + system.release + " " + system.machine;
    result["frequency_governor"] = first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    result["compiler"] = compiler();
    result["flags"] = BENCH_FLAGS;
    result["boost"] = BOOST_LIB_VERSION;
    result["repetitions"] = how_much.repetitions;
    result["duration_ms"] = how_much.duration.count();
    for (const std::size_t size : {8U, 64U, 256U, 1024U, 8192U}) {
        result["bytes_for_a_message"][std::to_string(size)] = promisqs::detail::layout::slot_stride(size, 8);
    }
    result["missing"] = json::array();
    std::istringstream names(BENCH_MISSING);
    for (std::string name; names >> name;) result["missing"].push_back(name);
    return result;
}

}  // namespace bench
