// SPDX-License-Identifier: Apache-2.0

// Producers push as fast as they can, and consumers pop.

#include "benchmarks.hpp"
#include "cross_run.hpp"
#include "segment_name.hpp"
#include "team.hpp"

#include <vector>

namespace bench {
namespace {

template <class Queue>
void produce(worker& me, Queue& queue, std::uint64_t first, std::uint64_t count) {
    outgoing<typename Queue::value_type> messages(first);
    std::uint64_t sum = 0;
    me.start();
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto& message = messages.next();
        sum += message.words[0];
        if (!me.keep_trying([&] { return queue.push(message); })) return;
    }
    me.finish(sum);
}

template <class Queue>
void consume(worker& me, Queue& queue, std::uint64_t count) {
    using element_type = typename Queue::value_type;
    element_type room{};
    std::uint64_t sum = 0;
    me.start();
    const auto use = [&](const element_type& message) {
        // A message in memory must be there as a whole. (The call for a const reference is deprecated in newer versions.)
        auto* whole = &message;
        benchmark::DoNotOptimize(whole);
        benchmark::ClobberMemory();
        sum += message.words[0];
    };
    for (std::uint64_t i = 0; i < count; ++i) {
        if (!me.keep_trying([&] { return take(queue, room, use); })) return;
    }
    me.finish(0 - sum);
}

/// Sends `count` messages from so many producers to as many consumers.
template <class Queue>
double run_stream(place where, unsigned pairs, std::uint64_t count) {
    const segment_name segment;
    auto queue = Queue::create(segment.get(), capacity);
    std::vector<assignment> assignments;
    const auto add = [&](side side_of, unsigned index, auto work) {
        assignments.push_back(
            {side_of, index, [&, where, work](worker& me) { with_own(segment, queue, where, me, work); }});
    };
    for (unsigned i = 0; i < pairs; ++i) {
        const std::uint64_t share = count / pairs + (i < count % pairs ? 1 : 0);
        add(side::producers, i, [=](worker& me, Queue& mine) { produce(me, mine, std::uint64_t{i} << 48, share); });
        add(side::consumers, i, [=](worker& me, Queue& mine) { consume(me, mine, share); });
    }
    return run_team(where, assignments);
}

template <class Queue>
void add(const std::string& topology, place where, unsigned pairs) {
    const auto run = [=](benchmark::State& state) {
        run_across(state, [=](std::uint64_t count) { return run_stream<Queue>(where, pairs, count); });
    };
    benchmark::RegisterBenchmark(benchmark_name<Queue>(topology, name_of(where)).c_str(), run)->UseManualTime();
}

template <class T>
void add_contenders(const std::string& topology, unsigned pairs) {
    for (const place where : {place::threads, place::processes}) {
        add<promisqs_queue<T>>(topology, where, pairs);
        if (pairs == 1) add<promisqs_queue_pop<T>>(topology, where, pairs);
        add<vyukov<T>>(topology, where, pairs);
        if (where == place::threads) add<mutex_deque<T>>(topology, where, pairs);
        add<boost_message_queue<T>>(topology, where, pairs);
    }
}

}  // namespace

void register_streams() {
    for_each_size([]<class T>() { add_contenders<T>("one_to_one", 1); });
    for_each_size([]<class T>() { add_contenders<T>("many_to_many_2x2", 2); });
    for_each_size([]<class T>() { add_contenders<T>("many_to_many_4x4", 4); });
}

}  // namespace bench
