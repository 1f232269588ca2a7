// SPDX-License-Identifier: Apache-2.0

// A message goes to another process through one queue and comes back through a second one.

#include "benchmarks.hpp"
#include "cross_run.hpp"
#include "segment_name.hpp"
#include "team.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

namespace bench {
namespace {

using times = shared_array<std::uint32_t>;  // nanoseconds, one for each round trip

template <class Queue>
void ask(worker& me, Queue& there, Queue& back, times& taken, std::uint64_t count) {
    using clock = std::chrono::steady_clock;
    outgoing<typename Queue::value_type> messages(0);
    typename Queue::value_type room{};
    std::uint64_t sum = 0;
    me.start();
    auto start = clock::now();
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto& message = messages.next();
        if (!me.keep_trying([&] { return there.push(message); })) return;
        if (!me.keep_trying([&] { return back.pop(room); })) return;
        sum += room.words[0] - i;
        const auto end = clock::now();
        taken[i] = static_cast<std::uint32_t>(std::min<std::int64_t>(std::chrono::nanoseconds(end - start).count(),
                                                                     std::numeric_limits<std::uint32_t>::max()));
        start = end;
    }
    me.finish(sum);
}

template <class Queue>
void reply(worker& me, Queue& there, Queue& back, std::uint64_t count) {
    typename Queue::value_type room{};
    me.start();
    for (std::uint64_t i = 0; i < count; ++i) {
        if (!me.keep_trying([&] { return there.pop(room); })) return;
        if (!me.keep_trying([&] { return back.push(room); })) return;
    }
    me.finish(0);
}

template <class Queue>
double run_round_trips(times& taken, std::uint64_t count) {
    const segment_name there;
    const segment_name back;
    auto created_there = Queue::create(there.get(), capacity);
    auto created_back = Queue::create(back.get(), capacity);
    const auto work = [&](auto use) {
        return [&, use](worker& me) {
            auto mine_there = Queue::open(there.get());
            auto mine_back = Queue::open(back.get());
            use(me, mine_there, mine_back);
        };
    };
    return run_team(
        place::processes,
        {{side::producers, 0, work([&](worker& me, Queue& to, Queue& from) { ask(me, to, from, taken, count); })},
         {side::consumers, 0, work([&](worker& me, Queue& from, Queue& to) { reply(me, from, to, count); })}});
}

template <class Queue>
void measure(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.max_iterations);
    times taken(count);
    run_across(state, [&](std::uint64_t trips) { return run_round_trips<Queue>(taken, trips); });
    std::vector<std::uint32_t> sorted(taken.data(), taken.data() + count);
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](double part) {
        return static_cast<double>(sorted[static_cast<std::size_t>(part * static_cast<double>(count - 1))]);
    };
    state.counters["p50_ns"] = at(0.5);
    state.counters["p99_ns"] = at(0.99);
    state.counters["p99.9_ns"] = at(0.999);
    state.counters["max_ns"] = at(1);
}

template <class Queue>
void add() {
    benchmark::RegisterBenchmark(benchmark_name<Queue>("round_trip", name_of(place::processes)).c_str(), measure<Queue>)
        ->UseManualTime();
}

}  // namespace

void register_round_trips() {
    for_each_size([]<class T>() {
        add<promisqs_queue<T>>();
        add<vyukov<T>>();
        add<boost_message_queue<T>>();
    });
}

}  // namespace bench
