// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpus.hpp"
#include "segment_name.hpp"
#include "team.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <exception>

namespace bench {

constexpr const char* name_of(place where) { return where == place::threads ? "cross_thread" : "cross_process"; }

/// Calls `work` with the queue: threads share one handle, a process opens one of its own.
template <class Queue, class Work>
void with_own(const segment_name& segment, Queue& shared, place where, worker& me, Work work) {
    if constexpr (Queue::crosses_processes) {
        if (where == place::processes) {
            auto mine = Queue::open(segment.get());
            work(me, mine);
            return;
        }
    }
    work(me, shared);
}

/// A benchmark whose iterations are all done by one run of a team, between two measurements of how far the processors are
/// apart: the distance is the result's label.
///
/// \param run  does so many iterations, and returns the seconds that they took
template <class Run>
void run_across(benchmark::State& state, Run run) {
    try {
        while (state.KeepRunningBatch(state.max_iterations)) {
            const auto before = measure_line_crossing();
            state.SetIterationTime(run(static_cast<std::uint64_t>(state.max_iterations)));
            const auto after = measure_line_crossing();
            state.SetLabel(distance_class(before, after));
            if (after) state.counters["line_ns"] = *after;
        }
        state.SetItemsProcessed(state.iterations());
    } catch (const std::exception& error) {
        state.SkipWithError(error.what());
    }
}

}  // namespace bench
