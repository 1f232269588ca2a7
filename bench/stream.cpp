// SPDX-License-Identifier: Apache-2.0

// Producers push as fast as they can, and consumers pop.

#include "contenders/all.hpp"
#include "suite.hpp"
#include "workload.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bench {
namespace {

struct topology {
    place where = place::processes;
    placement on = placement::apart;
    unsigned producers = 1;
    unsigned consumers = 1;
};

template <how How, class Queue>
void produce(worker& me, Queue& queue, unsigned index, const topology& shape) {
    using element_type = typename Queue::value_type;
    constexpr unsigned between_looks = 16;  // at whether it is over
    outgoing<element_type> messages(std::uint64_t{index} << 48);
    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    me.start();
    for (; !me.over(); count += between_looks) {
        for (unsigned i = 0; i < between_looks; ++i) {
            const element_type& message = messages.next();
            sum += message.words[0];
            if (!send<How>(me, queue, message)) return;
        }
    }
    flush(queue);
    me.finish(sum);
    me.stop(count);
    if (!me.wait_until_drained(shape.producers) || index != 0) return;
    for (unsigned i = 0; i < shape.consumers; ++i) {
        if (!send<How>(me, queue, make_last_message<element_type>())) return;
    }
    flush(queue);
}

template <how How, class Queue>
void consume(worker& me, Queue& queue) {
    typename Queue::value_type room{};
    std::uint64_t sum = 0;
    me.start();
    for (std::uint64_t count = 1;; ++count) {
        std::uint64_t number = 0;
        const auto use = [&](const auto& message) {
            use_whole(message);
            number = message.words[0];
        };
        if (!receive<How>(me, queue, room, use)) return;
        if (number == last_message) break;
        sum += number;
        me.has_done(count);
    }
    me.finish(0 - sum);
}

sample to_sample(team_result found) {
    sample result;
    result.figures["messages_per_s"] = found.rate;
    std::sort(found.rates.begin(), found.rates.end());
    const double median = found.rates.empty() ? 0 : found.rates[found.rates.size() / 2];
    result.figures["slowest_window_of_median"] = median > 0 ? found.rates.front() / median : 0;
    return result;
}

template <how How, class Queue>
sample measure(const topology& shape, const effort& how_much) {
    const segment_name segment;
    auto queue = Queue::create(segment.get(), capacity);
    team_plan plan{shape.where, shape.on, how_much.duration, {}};
    const auto add = [&](side of, unsigned index, auto work) {
        plan.assignments.push_back({of, index, [&, of, work](worker& me) {
                                        with_own(segment.get(), queue, shape.where, of,
                                                 [&](Queue& own) { work(me, own); });
                                    }});
    };
    for (unsigned i = 0; i < shape.consumers; ++i) {
        add(side::consumers, i, [](worker& me, Queue& own) { consume<How>(me, own); });
    }
    for (unsigned i = 0; i < shape.producers; ++i) {
        add(side::producers, i, [&shape, i](worker& me, Queue& own) { produce<How>(me, own, i, shape); });
    }
    return to_sample(run_team(plan));
}

group make_group(const char* workload, std::size_t size, const topology& shape) {
    nlohmann::ordered_json parameters{{"size", size}};
    if (shape.producers + shape.consumers > 2) {
        parameters["producers"] = shape.producers;
        parameters["consumers"] = shape.consumers;
    }
    return {workload, parameters, "messages_per_s", shape.on == placement::apart, {}};
}

/// Adds contenders to a group, those that can do that.
auto adds_to(group& streams, const topology& shape, const char* suffix = "") {
    return [&streams, shape, suffix]<class Queue, how How>(const char* name) {
        if constexpr (!requires { Queue::round_trips_only; }) {
            if (shape.where == place::processes && !Queue::crosses_processes) return;
            if (shape.where == place::threads && requires { Queue::processes_only; }) return;
            if (!connects<Queue>(shape.producers, shape.consumers)) return;
            streams.contenders.push_back({std::string(name) + suffix, [shape](const effort& how_much) {
                                              return measure<How, Queue>(shape, how_much);
                                          }});
        }
    };
}

group make_mixed_group(const char* workload, const topology& shape) {
    using message = element<8>;
    group streams = make_group(workload, sizeof(message), shape);
    for_each_yielding<message>(adds_to(streams, shape));
    for_each_waiting<message>(adds_to(streams, shape, "_waiting"));
    return streams;
}

}  // namespace

void add_streams(std::vector<group>& groups) {
    for_each_size([&]<class T>() {
        group streams = make_group("one_to_one", sizeof(T), {});
        for_each_on_two_processors<T>(adds_to(streams, {}));
        groups.push_back(std::move(streams));
    });
    for (const auto& [producers, consumers] : {std::pair{2U, 2U}, {4U, 4U}, {1U, 4U}, {4U, 1U}}) {
        groups.push_back(make_mixed_group("topologies", {place::processes, placement::apart, producers, consumers}));
    }
    groups.push_back(make_mixed_group("on_one_processor", {place::processes, placement::one_processor, 1, 1}));
    for (const unsigned pairs : {1U, 4U}) {
        const topology shape{place::threads, placement::apart, pairs, pairs};
        group streams = make_group("threads", sizeof(element<8>), shape);
        for_each_yielding<element<8>>(adds_to(streams, shape));
        groups.push_back(std::move(streams));
    }
}

}  // namespace bench
