// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpus.hpp"
#include "team.hpp"

#include <cstdint>
#include <limits>

namespace bench {

/// How a worker waits until a message can be pushed or popped.
enum class how {
    polling,   // attempts, and one pause after each
    yielding,  // attempts; after a few of them it lets others run each time
    waiting    // the contender's own way
};

/// \return  false: the run was given up
template <how How, class Attempt>
[[nodiscard]] bool repeat(worker& me, Attempt attempt) {
    return me.keep_trying(How == how::polling ? std::numeric_limits<std::uint64_t>::max() : 20, attempt);
}

template <how How, class Queue>
[[nodiscard]] bool send(worker& me, Queue& queue, const typename Queue::value_type& message) {
    if constexpr (How == how::waiting) {
        queue.push_wait(message);
        return true;
    } else {
        return repeat<How>(me, [&] { return queue.push(message); });
    }
}

/// Sends a message that `make` writes: into `room`, or where it will lie in the queue.
template <how How, class Queue, class Make>
[[nodiscard]] bool send_made(worker& me, Queue& queue, typename Queue::value_type& room, Make make) {
    if constexpr (requires { queue.push_made(make); }) {
        static_assert(How == how::waiting);
        queue.push_made(make);
        return true;
    } else {
        make(room);
        return send<How>(me, queue, room);
    }
}

/// Calls `use` with the next message, wherever the contender has it then: in `room`, or where its own call leaves it.
template <how How, class Queue, class Use>
[[nodiscard]] bool receive(worker& me, Queue& queue, typename Queue::value_type& room, Use use) {
    if constexpr (requires { queue.pop_value(); }) {
        static_assert(How != how::waiting);
        return repeat<How>(me, [&] {
            const auto message = queue.pop_value();
            if (message) use(*message);
            return message.has_value();
        });
    } else if constexpr (requires { queue.pop_used(use); }) {
        static_assert(How == how::waiting);
        queue.pop_used(use);
        return true;
    } else if constexpr (How == how::waiting) {
        queue.pop_wait(room);
        use(room);
        return true;
    } else {
        if (!repeat<How>(me, [&] { return queue.pop(room); })) return false;
        use(room);
        return true;
    }
}

/// To be called before a pause.
template <class Queue>
void flush(Queue& queue) {
    if constexpr (requires { queue.flush(); }) queue.flush();
}

/// Calls `work` with the queue: threads share one handle, a process opens one of its own.
template <class Queue, class Work>
void with_own(const std::string& segment, Queue& shared, place where, side of, Work work) {
    if constexpr (Queue::crosses_processes) {
        if (where == place::processes) {
            auto own = Queue::open(segment, of);
            work(own);
            return;
        }
    }
    work(shared);
}

template <class Queue>
constexpr bool connects(unsigned producers, unsigned consumers) {
    if constexpr (requires { Queue::one_to_one_only; }) {
        if (Queue::one_to_one_only) return producers == 1 && consumers == 1;
    }
    if constexpr (requires { Queue::many_to_one_only; }) return consumers == 1;
    return true;
}

}  // namespace bench
