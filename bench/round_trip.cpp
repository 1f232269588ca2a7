// SPDX-License-Identifier: Apache-2.0

// A message goes to another process through one queue and comes back through a second one. Half of what that takes is
// the way of one message.

#include "contenders/all.hpp"
#include "suite.hpp"
#include "workload.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

namespace bench {
namespace {

constexpr std::size_t most_times = 1'000'000;  // in one measurement
using times = shared_array<std::uint32_t>;     // nanoseconds, half of each round trip
using counter = shared_array<std::uint64_t>;

template <how How, class Queue>
void ask(worker& me, Queue& there, Queue& back, times& taken, std::uint64_t& count) {
    using clock = std::chrono::steady_clock;
    outgoing<typename Queue::value_type> messages(0);
    typename Queue::value_type room{};
    std::uint64_t sum = 0;
    std::uint64_t i = 0;
    const auto once = [&](const typename Queue::value_type& message) {
        return send<How>(me, there, message) && receive<How>(me, back, room, [&](const auto& answer) {
                   use_whole(answer);
                   sum += answer.words[0] - message.words[0];
               });
    };
    me.start();
    auto start = clock::now();
    for (; i < most_times && (i == 0 || !me.over()); ++i) {
        if (!once(messages.next())) return;
        const auto end = clock::now();
        taken[i] = static_cast<std::uint32_t>(std::min<std::int64_t>(std::chrono::nanoseconds(end - start).count() / 2,
                                                                     std::numeric_limits<std::uint32_t>::max()));
        start = end;
    }
    if (!once(make_last_message<typename Queue::value_type>())) return;
    count = i;
    me.finish(sum);
}

template <how How, class Queue>
void reply(worker& me, Queue& there, Queue& back) {
    typename Queue::value_type room{};
    bool goes_on = true;
    const auto answer = [&](const auto& message) {
        use_whole(message);
        const bool is_last = message.words[0] == last_message;
        goes_on = send<How>(me, back, message) && !is_last;
    };
    me.start();
    while (goes_on) {
        if (!receive<How>(me, there, room, answer)) return;
    }
    me.finish(0);
}

template <how How, class Queue>
sample measure(const effort& how_much) {
    const segment_name there;
    const segment_name back;
    const auto created_there = Queue::create(there.get(), capacity);
    const auto created_back = Queue::create(back.get(), capacity);
    times taken(most_times);
    counter count(1);
    // Who receives opens first: some wait for that when they open the other side.
    const auto asks = [&](worker& me) {
        auto from = Queue::open(back.get(), side::consumers);
        auto to = Queue::open(there.get(), side::producers);
        ask<How>(me, to, from, taken, count[0]);
    };
    const auto replies = [&](worker& me) {
        auto from = Queue::open(there.get(), side::consumers);
        auto to = Queue::open(back.get(), side::producers);
        reply<How>(me, from, to);
    };
    run_team({place::processes,
              placement::apart,
              how_much.duration,
              {{side::producers, 0, asks}, {side::consumers, 0, replies}}});
    sample result;
    result.times.assign(taken.data(), taken.data() + count[0]);
    return result;
}

}  // namespace

void add_round_trips(std::vector<group>& groups) {
    for_each_size([&]<class T>() {
        group trips{"one_way_latency", {{"size", sizeof(T)}}, "p50_ns", true, {}};
        for_each_on_two_processors<T>([&]<class Queue, how How>(const char* name) {
            if constexpr (!requires { Queue::streams_only; }) trips.contenders.push_back({name, measure<How, Queue>});
        });
        groups.push_back(std::move(trips));
    });
}

}  // namespace bench
