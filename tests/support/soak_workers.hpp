// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the workers of the soak share with the process that kills them; and those workers that only wait.

#include "ledger.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <thread>

namespace promisqs_test {

// Lets others go first, now and then: among them the process that kills.
inline void dawdle(std::uint64_t luck) {
    if (luck / 4 % 4 == 0) std::this_thread::yield();
}

/// What a worker shows of itself; not cleared by its death.
struct alignas(64) worker_state {
    std::atomic<std::uint64_t> in_hand;   // of a consumer: 0, or the message that it may have written down, plus 1
    std::atomic<std::uint64_t> may_lose;  // of a consumer: so many may have been given to it that are not written down
    std::atomic<std::uint64_t> moved;     // messages, of all incarnations

    void has_moved(std::uint64_t count) {
        moved.store(moved.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
    }
};

struct shared_orders {
    std::atomic<bool> producers_stop;
    std::atomic<bool> consumers_stop;  // once the queue is empty
    std::atomic<bool> producers_rest;  // between two pushes
    std::atomic<bool> consumers_rest;  // between two pops
};

/// A producer or consumer that makes only calls that wait without a limit, until the queue is closed.
class waiting_worker {
public:
    using queue = promisqs::shmem_queue<sealed_message>;
    using status = promisqs::status;

    static constexpr std::size_t batch = 3;  // the most messages of one call

    /// \param quiet  another queue, in which nothing moves
    waiting_worker(queue& q, const queue& quiet, const ledger& book, worker_state& me, const shared_orders& orders,
                   std::uint64_t luck)
        : queue_(q), quiet_(quiet), book_(book), me_(me), orders_(orders), random_(luck) {
        constexpr promisqs::wait_policy at_once{0, std::chrono::nanoseconds(0), std::chrono::nanoseconds(0)};
        constexpr std::array policies{at_once, promisqs::wait_policy::balanced(), promisqs::wait_policy::friendly()};
        queue_.set_wait_policy(policies.at(random_() % policies.size()));
    }

    void produce() {
        for (std::uint64_t n = book_.number_after(ledger::no_number); n != ledger::no_number;) {
            rest_while(orders_.producers_rest);
            const std::uint64_t most =
                std::min({std::uint64_t{batch}, queue_.capacity(), ledger::block - n % ledger::block});
            const std::uint64_t count = random_() % 4 == 0 ? most : 1;
            for (std::uint64_t i = 0; i < count; ++i) book_.about_to_push(n + i);
            const std::uint64_t done = push(n, count);
            for (std::uint64_t i = 0; i < count; ++i) i < done ? book_.pushed(n + i) : book_.not_pushed(n + i);
            if (done == 0) return;
            me_.has_moved(done);
            n = book_.number_after(n + done - 1);
        }
    }

    void consume() {
        for (status last = status::ok; last != status::closed;) {
            rest_while(orders_.consumers_rest);
            switch (random_() % 4) {
                case 0: last = pop_one(); break;
                case 1: last = pop_in_place(); break;
                case 2: last = pop_several(); break;
                default: last = pop_any(); break;
            }
        }
    }

private:
    static void rest_while(const std::atomic<bool>& order) {
        while (order.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }

    // How many were pushed; 0: the queue is closed.
    std::uint64_t push(std::uint64_t n, std::uint64_t count) {
        const auto fill = [&](sealed_message& slot) {
            slot.number = n;
            dawdle(random_());  // half-way
            slot.fill(n);
        };
        std::array<sealed_message, batch> all;
        for (std::uint64_t i = 0; i < count; ++i) all.at(i).fill(n + i);
        const std::span<const sealed_message> these(all.data(), count);
        const bool other_way = random_() % 2 == 0;
        if (count > 1 && other_way) return queue_.push_some_wait(these);
        if (count > 1) return queue_.push_all_wait(these) == status::ok ? count : 0;
        const status answer = other_way ? queue_.push_wait(all.front()) : queue_.push_wait_with(fill);
        return answer == status::ok ? 1 : 0;
    }

    void written_down(std::span<const sealed_message> messages) {
        for (const auto& one : messages) book_.popped(one);
        me_.may_lose = 0;
        me_.has_moved(messages.size());
    }

    status pop_one() {
        std::array<sealed_message, 1> message;
        me_.may_lose = 1;
        const status answer = queue_.pop_wait(message.front());
        written_down(std::span<const sealed_message>(message).first(answer == status::ok ? 1 : 0));
        return answer;
    }
    status pop_several() {
        std::array<sealed_message, batch> room;
        me_.may_lose = batch;
        const std::size_t count = queue_.pop_some_wait(room);
        written_down(std::span<const sealed_message>(room).first(count));
        return count > 0 ? status::ok : status::closed;
    }
    status pop_any() {
        static_cast<void>(promisqs::wait_any(quiet_, queue_));
        std::array<sealed_message, 1> message;
        me_.may_lose = 1;
        const status answer = queue_.try_pop(message.front());
        written_down(std::span<const sealed_message>(message).first(answer == status::ok ? 1 : 0));
        return answer;
    }
    status pop_in_place() {
        const status answer = queue_.pop_wait_with([&](const sealed_message& message) {
            dawdle(random_());
            me_.in_hand = message.number + 1;
            book_.popped(message);
            dawdle(random_());
        });
        me_.in_hand = 0;
        if (answer == status::ok) me_.has_moved(1);
        return answer;
    }

    queue& queue_;
    const queue& quiet_;
    const ledger& book_;
    worker_state& me_;
    const shared_orders& orders_;
    std::mt19937_64 random_;
};

}  // namespace promisqs_test
