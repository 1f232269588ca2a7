// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "placed_queue.hpp"

#include <atomic_queue/atomic_queue.h>

#include <cstdint>
#include <string>
#include <utility>

namespace bench {

/// AtomicQueue2 of github.com/max0x7ba/atomic_queue, as it is by default: any number of producers and consumers,
/// neighbouring elements on different lines. Its own ways to wait never let others run, and are not used; but even an
/// attempt spins while somebody else is in the middle of the slot that it has claimed.
template <class T>
class atomic_queue {
public:
    using value_type = T;
    static constexpr const char* name = "atomic_queue";
    static constexpr bool crosses_processes = true;

    static atomic_queue create(const std::string& segment, std::uint64_t capacity) {
        return atomic_queue(placed::create(segment, capacity));
    }
    static atomic_queue open(const std::string& segment, side /*either*/) {
        return atomic_queue(placed::open(segment));
    }

    bool push(const T& message) { return (*queue_).try_push(message); }
    bool pop(T& out) { return (*queue_).try_pop(out); }

private:
    using placed = placed_queue<::atomic_queue::AtomicQueue2<T, fixed_capacity>>;

    explicit atomic_queue(placed queue) : queue_(std::move(queue)) {}

    placed queue_;
};

}  // namespace bench
