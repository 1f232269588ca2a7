// SPDX-License-Identifier: Apache-2.0

// One producer pushes batches, one consumer pops what has come.

#include "contenders/all.hpp"
#include "suite.hpp"
#include "workload.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bench {
namespace {

// A contender without batches moves single messages.
template <class Queue>
concept has_batches = requires(Queue& queue, std::span<typename Queue::value_type> room) {
    queue.push_some(room);
    queue.pop_some(room);
};

template <std::size_t Batch, class Queue>
void produce(worker& me, Queue& queue) {
    using element_type = typename Queue::value_type;
    std::array<element_type, 2 * Batch> messages{};
    std::uint64_t number = 0;
    std::uint64_t sum = 0;
    const auto send_all = [&](std::span<const element_type> left) {
        if constexpr (has_batches<Queue>) {
            while (!left.empty()) left = left.subspan(queue.push_some(left));
        } else {
            for (const element_type& message : left) {
                if (!send<how::polling>(me, queue, message)) return false;
            }
        }
        return true;
    };
    me.start();
    while (!me.over()) {
        // One half is numbered while the other one was sent just now.
        const std::span half = std::span(messages).subspan(number / Batch % 2 * Batch, Batch);
        for (element_type& message : half) {
            message.words[0] = number;
            sum += number++;
        }
        if (!send_all(half)) return;
    }
    me.finish(sum);
    const std::array last{make_last_message<element_type>()};
    static_cast<void>(send_all(last));
}

template <std::size_t Batch, class Queue>
void consume(worker& me, Queue& queue) {
    using element_type = typename Queue::value_type;
    std::array<element_type, Batch> room{};
    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    me.start();
    for (;;) {
        std::size_t size = 1;
        if constexpr (has_batches<Queue>) {
            size = queue.pop_some(room);
        } else {
            if (!receive<how::polling>(me, queue, room[0])) return;
        }
        use_whole(room);
        for (const element_type& message : std::span(room).first(size)) {
            if (message.words[0] == last_message) {
                me.finish(0 - sum);
                return;
            }
            sum += message.words[0];
        }
        me.has_done(count += size);
    }
}

template <std::size_t Batch, class Queue>
sample measure(const effort& how_much) {
    const segment_name segment;
    const auto queue = Queue::create(segment.get(), capacity);
    const auto produces = [&](worker& me) {
        auto own = Queue::open(segment.get(), side::producers);
        produce<Batch>(me, own);
    };
    const auto consumes = [&](worker& me) {
        auto own = Queue::open(segment.get(), side::consumers);
        consume<Batch>(me, own);
    };
    const auto found = run_team({place::processes,
                                 placement::apart,
                                 how_much.duration,
                                 {{side::consumers, 0, consumes}, {side::producers, 0, produces}}});
    sample result;
    result.figures["messages_per_s"] = found.rate;
    return result;
}

template <class T, std::size_t Batch>
void add(std::vector<group>& groups) {
    using promisqs::wait_policy;
    using declared_queue = promisqs_queue<T, wait_policy::balanced, declared::single_sides>;
    groups.push_back({"batches",
                      {{"size", sizeof(T)}, {"batch", Batch}},
                      "messages_per_s",
                      true,
                      {{"promisqs", measure<Batch, promisqs_queue<T>>},
                       {"promisqs_stream", measure<Batch, promisqs_queue<T, wait_policy::stream>>},
                       {"promisqs_declared", measure<Batch, declared_queue>},
                       {"bare_ring", measure<Batch, bare_ring<T>>}}});
}

template <class T>
void add_all(std::vector<group>& groups) {
    add<T, 1>(groups);
    add<T, 8>(groups);
    add<T, 32>(groups);
    add<T, 256>(groups);
}

}  // namespace

void add_batches(std::vector<group>& groups) {
    add_all<element<8>>(groups);
    add_all<element<64>>(groups);
}

}  // namespace bench
