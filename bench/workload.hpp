// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calls.hpp"
#include "element.hpp"
#include "segment_name.hpp"
#include "team.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace bench {

inline constexpr std::uint64_t capacity = 1024;

/// Calls `add.operator()<T>()` for the elements of all sizes.
template <class Add>
void for_each_size(Add add) {
    add.template operator()<element<8>>();
    add.template operator()<element<64>>();
    add.template operator()<element<256>>();
    add.template operator()<element<1024>>();
    add.template operator()<element<8192>>();
}

/// Has a message be in memory as a whole, as for somebody who uses it.
template <class T>
void use_whole(const T& message) {
    asm volatile("" : : "r"(&message) : "memory");
}

/// Runs one producer and one consumer, each in a process that opens the queue for itself.
template <class Queue, class Produce, class Consume>
team_result run_one_to_one(std::chrono::milliseconds duration, Produce produce, Consume consume) {
    const segment_name segment;
    const auto queue = Queue::create(segment.get(), capacity);
    const auto with = [&segment](side of, const auto& work) {
        return [&segment, of, &work](worker& me) {
            auto own = Queue::open(segment.get(), of);
            work(me, own);
        };
    };
    return run_team(
        {place::processes,
         placement::apart,
         duration,
         {{side::consumers, 0, with(side::consumers, consume)}, {side::producers, 0, with(side::producers, produce)}}});
}

/// The number of the message after which nobody has to wait for another one.
inline constexpr std::uint64_t last_message = ~std::uint64_t{0};

template <class T>
T make_last_message() {
    T message{};
    message.words[0] = last_message;
    return message;
}

}  // namespace bench
