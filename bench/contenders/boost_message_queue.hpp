// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"

#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstdint>
#include <string>

namespace bench {

/// Boost.Interprocess' queue, which copies messages of varying size under a lock.
template <class T>
class boost_message_queue {
public:
    using value_type = T;
    static constexpr const char* name = "boost_message_queue";
    static constexpr bool crosses_processes = true;

    static boost_message_queue create(const std::string& segment, std::uint64_t capacity) {
        return boost_message_queue(segment, capacity);
    }
    static boost_message_queue open(const std::string& segment, side /*either*/) {
        return boost_message_queue(segment);
    }

    bool push(const T& message) { return queue_.try_send(&message, sizeof message, 0); }
    void push_wait(const T& message) { queue_.send(&message, sizeof message, 0); }

    bool pop(T& out) {
        boost::interprocess::message_queue::size_type size = 0;
        unsigned priority = 0;
        return queue_.try_receive(&out, sizeof out, size, priority);
    }
    void pop_wait(T& out) {
        boost::interprocess::message_queue::size_type size = 0;
        unsigned priority = 0;
        queue_.receive(&out, sizeof out, size, priority);
    }

private:
    boost_message_queue(const std::string& segment, std::uint64_t capacity)
        : queue_(boost::interprocess::create_only, segment.c_str(), capacity, sizeof(T)) {}
    explicit boost_message_queue(const std::string& segment)
        : queue_(boost::interprocess::open_only, segment.c_str()) {}

    boost::interprocess::message_queue queue_;
};

}  // namespace bench
