// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "placed_queue.hpp"

#include <boost/lockfree/queue.hpp>

#include <cstdint>
#include <string>
#include <utility>

namespace bench {

/// boost::lockfree::queue, for any number of producers and consumers (Boost's spsc_queue is for one of each), with its
/// nodes inside, which it links by numbers.
template <class T>
class boost_lockfree {
public:
    using value_type = T;
    static constexpr const char* name = "boost_lockfree";
    static constexpr bool crosses_processes = true;

    static boost_lockfree create(const std::string& segment, std::uint64_t capacity) {
        return boost_lockfree(placed::create(segment, capacity));
    }
    static boost_lockfree open(const std::string& segment, side /*either*/) {
        return boost_lockfree(placed::open(segment));
    }

    bool push(const T& message) { return (*queue_).bounded_push(message); }
    bool pop(T& out) { return (*queue_).pop(out); }

private:
    using placed = placed_queue<boost::lockfree::queue<T, boost::lockfree::capacity<fixed_capacity>>>;

    explicit boost_lockfree(placed queue) : queue_(std::move(queue)) {}

    placed queue_;
};

}  // namespace bench
