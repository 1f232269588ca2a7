// SPDX-License-Identifier: Apache-2.0

// A message is made right before it is sent, and read as a whole by the consumer: what most programs do. To make it
// where it will lie in the queue, and to use it there, saves two copies.

#include "contenders/all.hpp"
#include "suite.hpp"
#include "workload.hpp"

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace bench {
namespace {

/// Writes the whole message: consecutive numbers.
template <class T>
void write(T& message, std::uint64_t first_number) {
    std::iota(message.words.begin(), message.words.end(), first_number);
    use_whole(message);
}

template <how How, class Queue>
void produce(worker& me, Queue& queue) {
    typename Queue::value_type room{};
    constexpr std::uint64_t words = room.words.size();
    std::uint64_t number = 0;
    std::uint64_t sum = 0;
    const auto send_one = [&](std::uint64_t first_number) {
        return send_made<How>(me, queue, room, [=](auto& message) { write(message, first_number); });
    };
    me.start();
    for (; !me.over(); ++number) {
        if (!send_one(number)) return;
        sum += words * number + words * (words - 1) / 2;
    }
    me.finish(sum);
    static_cast<void>(send_one(last_message));
}

template <how How, class Queue>
void consume(worker& me, Queue& queue) {
    typename Queue::value_type room{};
    std::uint64_t sum = 0;
    bool goes_on = true;
    const auto use = [&](const auto& message) {
        goes_on = message.words[0] != last_message;
        if (goes_on) sum = std::accumulate(message.words.begin(), message.words.end(), sum);
    };
    me.start();
    for (std::uint64_t count = 0; goes_on; me.has_done(++count)) {
        if (!receive<How>(me, queue, room, use)) return;
    }
    me.finish(0 - sum);
}

template <how How, class Queue>
sample measure(const effort& how_much) {
    const auto found = run_one_to_one<Queue>(how_much.duration, produce<How, Queue>, consume<How, Queue>);
    return {{{"messages_per_s", found.rate}}, {}};
}

}  // namespace

void add_fresh(std::vector<group>& groups) {
    for_each_size([&]<class T>() {
        group fresh{"fresh", {{"size", sizeof(T)}}, "messages_per_s", true, {}};
        fresh.contenders = {{"promisqs", measure<how::waiting, promisqs_queue<T>>},
                            {"promisqs_in_place", measure<how::waiting, promisqs_in_place<T>>},
                            {"bare_ring", measure<how::polling, bare_ring<T>>},
                            {"vyukov_padded", measure<how::polling, vyukov<T, slots::padded>>}};
        groups.push_back(std::move(fresh));
    });
}

}  // namespace bench
