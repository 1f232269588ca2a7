// SPDX-License-Identifier: Apache-2.0

#include "cpus.hpp"

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

namespace bench {
namespace {

bool pinning_allowed = true;

const std::vector<int>& available() {
    static const std::vector<int> found = [] {
        std::vector<int> cpus;
        ::cpu_set_t set;
        CPU_ZERO(&set);
        if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
        }
        return cpus;
    }();
    return found;
}

bool pinning() { return pinning_allowed && available().size() >= 2; }

using line = std::atomic<std::uint32_t>;

void await(const line& word, std::uint32_t value) {
    for (unsigned looks = 0; word.load(std::memory_order_acquire) != value; ++looks) {
        if (looks > 10'000) std::this_thread::yield();
    }
}

constexpr std::uint32_t crossings_per_probe = 200;
constexpr std::size_t probes = 21;

void answer(line& word) {
    pin_worker(placement::apart, side::consumers, 0);
    for (std::uint32_t value = 1; value < probes * crossings_per_probe; value += 2) {
        await(word, value);
        word.store(value + 1, std::memory_order_release);
    }
}

void ask(line& word, std::array<double, probes>& times) {
    pin_worker(placement::apart, side::producers, 0);
    std::uint32_t value = 0;
    for (double& time : times) {
        const auto start = std::chrono::steady_clock::now();
        for (std::uint32_t i = 0; i < crossings_per_probe; i += 2, value += 2) {
            word.store(value + 1, std::memory_order_release);
            await(word, value + 2);
        }
        const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - start;
        time = passed.count() / crossings_per_probe;
    }
}

}  // namespace

void allow_pinning(bool allowed) { pinning_allowed = allowed; }

void pin_worker(placement where, side of, unsigned index) {
    if (!pinning()) return;
    const auto& cpus = available();
    const std::size_t half = cpus.size() / 2;
    int cpu = cpus[0];
    if (where == placement::apart) {
        cpu = of == side::producers ? cpus[index % half] : cpus[half + index % (cpus.size() - half)];
    }
    ::cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

std::optional<std::pair<int, int>> first_cpus() {
    if (!pinning()) return std::nullopt;
    return std::pair(available()[0], available()[available().size() / 2]);
}

std::optional<double> measure_line_crossing() {
    if (!pinning()) return std::nullopt;
    alignas(128) line word{0};
    std::array<double, probes> times{};
    {
        const std::jthread answering([&] { answer(word); });
        const std::jthread asking([&] { ask(word, times); });
    }
    // The median: a probe during which something else ran says nothing.
    std::nth_element(times.begin(), times.begin() + probes / 2, times.end());
    return times[probes / 2];
}

std::string distance_class(std::optional<double> line_crossing) {
    if (!line_crossing) return "unpinned";
    // Between the three kinds lie gaps, 42 to 43 and 89 to 115 ns on the machines that this was tried on.
    return *line_crossing < 42.5 ? "near" : *line_crossing < 100 ? "middle" : "far";
}

}  // namespace bench
