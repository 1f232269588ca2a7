// SPDX-License-Identifier: Apache-2.0

// Consumers that sleep until a message comes: how soon they have it, and what they use meanwhile.

#include "contenders/all.hpp"
#include "contenders/bare_futex.hpp"
#include "suite.hpp"
#include "workload.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace bench {
namespace {

using message = element<8>;
using clock = std::chrono::steady_clock;

// Longer than anybody looks before it sleeps.
constexpr std::chrono::microseconds until_asleep{500};

std::uint64_t now() {
    return static_cast<std::uint64_t>(std::chrono::nanoseconds(clock::now().time_since_epoch()).count());
}

struct wake_ups {
    std::atomic<unsigned> seen;
};

template <class Queue>
void wake(worker& me, Queue& queue, const wake_ups& so_far, unsigned count) {
    me.start();
    for (unsigned i = 0; i < count; ++i) {
        // By the kernel's clock, so that the other one can use this processor.
        while (so_far.seen < i) std::this_thread::sleep_for(std::chrono::microseconds(50));
        std::this_thread::sleep_for(until_asleep);
        queue.push_wait({{now()}});
    }
    me.finish(0);
}

template <class Queue>
void be_woken(worker& me, Queue& queue, wake_ups& so_far, shared_array<std::uint32_t>& times) {
    me.start();
    for (unsigned i = 0; i < times.size(); ++i) {
        message room{};
        queue.pop_wait(room);
        times[i] = static_cast<std::uint32_t>(now() - room.words[0]);
        so_far.seen = i + 1;
    }
    me.finish(0);
}

template <class Queue>
sample measure_wake_ups(placement on, const effort& how_much) {
    const segment_name segment;
    const auto queue = Queue::create(segment.get(), 1024);
    shared_array<wake_ups> so_far(1);
    shared_array<std::uint32_t> times(how_much.sleeps);
    const auto wakes = [&](worker& me) {
        auto own = Queue::open(segment.get(), side::producers);
        wake(me, own, so_far[0], how_much.sleeps);
    };
    const auto sleeps = [&](worker& me) {
        auto own = Queue::open(segment.get(), side::consumers);
        be_woken(me, own, so_far[0], times);
    };
    run_team({place::processes,
              on,
              std::chrono::milliseconds(1),
              {{side::consumers, 0, sleeps}, {side::producers, 0, wakes}}});
    return {{}, {times.data(), times.data() + times.size()}};
}

// How much of a processor a consumer uses that waits for a message which does not come.
template <class Queue>
sample measure_idleness(const effort& how_much) {
    const segment_name segment;
    const auto queue = Queue::create(segment.get(), 1024);
    const auto sends_at_last = [&](worker& me) {
        auto own = Queue::open(segment.get(), side::producers);
        me.start();
        while (!me.over()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        own.push_wait(make_last_message<message>());
        me.finish(0);
    };
    const auto waits = [&](worker& me) {
        auto own = Queue::open(segment.get(), side::consumers);
        message room{};
        me.start();
        own.pop_wait(room);
        me.finish(0);
    };
    const auto found = run_team({place::processes,
                                 placement::apart,
                                 how_much.duration,
                                 {{side::consumers, 0, waits}, {side::producers, 0, sends_at_last}}});
    return {{{"cpu_percent", 100 * found.consumers_cpu}}, {}};
}

constexpr promisqs::wait_policy at_once_asleep() noexcept {
    using std::chrono::nanoseconds;
    return {0, nanoseconds(0), nanoseconds(0)};
}

/// What a consumer does that looks again and again, in place of sleeping.
class spinner : public spin_lock<message> {
public:
    static spinner open(const std::string& segment, side of) { return spinner(spin_lock<message>::open(segment, of)); }

    void push_wait(const message& sent) {
        while (!push(sent)) promisqs::detail::os::pause();
    }
    void pop_wait(message& out) {
        while (!pop(out)) promisqs::detail::os::pause();
    }

private:
    explicit spinner(spin_lock<message> opened) : spin_lock<message>(std::move(opened)) {}
};

}  // namespace

void add_sleepers(std::vector<group>& groups) {
    for (const placement on : {placement::one_processor, placement::apart}) {
        const bool apart = on == placement::apart;
        group sleepers{"wake_up", {{"processors", apart ? "two" : "one"}}, "p50_ns", apart, {}};
        const auto add = [&]<class Queue, how How>(const char* name) {
            sleepers.contenders.push_back(
                {name, [on](const effort& how_much) { return measure_wake_ups<Queue>(on, how_much); }});
        };
        for_each_waiting<message>(add);
        add.template operator()<promisqs_queue<message, at_once_asleep>, how::waiting>("promisqs_at_once_asleep");
        add.template operator()<bare_futex<message>, how::waiting>("bare_futex");
        add.template operator()<bare_futex<message, 70>, how::waiting>("bare_futex_after_looking");
        groups.push_back(std::move(sleepers));
    }
    group idle{"idle_consumer", nlohmann::ordered_json::object(), "cpu_percent", false, {}};
    const auto add = [&]<class Queue, how How>(const char* name) {
        idle.contenders.push_back({name, measure_idleness<Queue>});
    };
    for_each_waiting<message>(add);
    add.template operator()<spinner, how::waiting>("spin_lock");
    groups.push_back(std::move(idle));
}

}  // namespace bench
