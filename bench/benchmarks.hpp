// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "contenders/boost_message_queue.hpp"
#include "contenders/mutex_deque.hpp"
#include "contenders/promisqs.hpp"
#include "contenders/vyukov.hpp"
#include "element.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace bench {

inline constexpr std::uint64_t capacity = 1024;

void register_uncontended();
void register_streams();
void register_round_trips();

/// Calls `add.operator()<T>()` for the elements of all sizes.
template <class Add>
void for_each_size(Add add) {
    add.template operator()<element<8>>();
    add.template operator()<element<64>>();
    add.template operator()<element<256>>();
    add.template operator()<element<1024>>();
    add.template operator()<element<8192>>();
}

/// Pops a message, by whichever call the contender has, and shows it to `use`.
///
/// \param room  for a contender that wants to be given some
template <class Queue, class Use>
bool take(Queue& queue, typename Queue::value_type& room, Use use) {
    if constexpr (requires { queue.pop(room); }) {
        if (!queue.pop(room)) return false;
        use(room);
    } else {
        const auto message = queue.pop();
        if (!message) return false;
        use(*message);
    }
    return true;
}

/// `topology/where/size/contender`.
template <class Queue>
std::string benchmark_name(const std::string& topology, const std::string& where) {
    return topology + "/" + where + "/" + std::to_string(sizeof(typename Queue::value_type)) + "B/" + Queue::name;
}

}  // namespace bench
