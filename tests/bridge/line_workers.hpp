// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is at both ends of a line: a producer and a consumer, which keep a ledger. Each can be killed and started again.

#include "support/ledger.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace promisqs_test {

/// A message of 64 bytes that shows whether it is whole.
struct line_message {
    std::uint64_t number;
    std::array<std::uint64_t, 7> check;

    static line_message make(std::uint64_t number) {
        line_message result{number, {}};
        for (std::size_t i = 0; i < result.check.size(); ++i) result.check[i] = sealed_message::seal(number, i);
        return result;
    }
    friend bool operator==(const line_message&, const line_message&) = default;
};

class line_workers {
public:
    line_workers(std::string from, std::string to, std::uint64_t most_messages)
        : from_(std::move(from)), to_(std::move(to)), book_(most_messages), shared_(1) {}
    line_workers(const line_workers&) = delete;
    line_workers& operator=(const line_workers&) = delete;
    ~line_workers() {
        if (producer_ > 0) end(producer_);
        if (consumer_ > 0) end(consumer_);
    }

    void start_producer() {
        producer_ = forked([&] { return produce(); });
    }
    void start_consumer() {
        consumer_ = forked([&] { return consume(); });
    }
    /// As it is; enters in the ledger what may have come of that.
    void kill_producer() {
        end(producer_);
        book_.excuse_cut_short(1);
    }
    void kill_consumer() {
        end(consumer_);
        if (const auto number = shared_[0].in_hand.exchange(0); number != 0) book_.excuse_second(number - 1);
    }
    void stop_producer() {
        shared_[0].producer_stops = true;
        await_end(producer_, "producer");
    }
    /// Once its queue is empty.
    void stop_consumer() {
        shared_[0].consumer_stops = true;
        await_end(consumer_, "consumer");
    }
    /// Throws if one that was started has ended of its own accord.
    void require_alive() {
        require_alive(producer_);
        require_alive(consumer_);
    }

    [[nodiscard]] std::uint64_t pushed() const { return shared_[0].pushed; }
    [[nodiscard]] std::uint64_t arrived() const { return shared_[0].arrived; }
    [[nodiscard]] std::uint64_t late() const { return shared_[0].late; }
    [[nodiscard]] balance judge() const { return book_.judge(); }

private:
    using queue = promisqs::shmem_queue<line_message>;

    /// How far the producer runs ahead of the consumer. A stream has room for any number of messages, the ledger has not.
    static constexpr std::uint64_t longest_lead = std::uint64_t{1} << 18;

    struct shared_part {
        std::atomic<bool> producer_stops;
        std::atomic<bool> consumer_stops;
        std::atomic<std::uint64_t> pushed;
        std::atomic<std::uint64_t> arrived;
        std::atomic<std::uint64_t> late;
        std::atomic<std::uint64_t> latest;   // the greatest number that has arrived
        std::atomic<std::uint64_t> in_hand;  // 0, or the number that the consumer may have written down, plus 1
    };

    static void end(::pid_t& worker) {
        ::kill(worker, SIGKILL);
        wait_for(std::exchange(worker, 0));
    }
    static void await_end(::pid_t& worker, const char* what) {
        const int status = wait_for(std::exchange(worker, 0));
        if (status != 0)
            throw std::runtime_error(std::string("the ") + what + " has failed: " + std::to_string(status));
    }
    static void require_alive(::pid_t& worker) {
        int how = 0;
        if (worker > 0 && ::waitpid(worker, &how, WNOHANG) == worker) {
            worker = 0;
            throw std::runtime_error("a worker has ended: " + std::to_string(how));
        }
    }

    int produce() {
        ::alarm(0);
        queue q = queue::open(from_);
        shared_part& shared = shared_[0];
        for (std::uint64_t n = book_.number_after(ledger::no_number); n != ledger::no_number;
             n = book_.number_after(n)) {
            while (shared.pushed >= shared.arrived + longest_lead && !shared.producer_stops) ::poll(nullptr, 0, 1);
            book_.about_to_push(n);
            promisqs::status answer = promisqs::status::timed_out;
            while (answer != promisqs::status::ok && !shared.producer_stops) {
                answer = q.push_wait_for(line_message::make(n), std::chrono::milliseconds(50));
            }
            if (answer != promisqs::status::ok) {
                book_.not_pushed(n);
                return 0;
            }
            book_.pushed(n);
            ++shared.pushed;
        }
        return 1;  // the ledger is full
    }

    int consume() {
        ::alarm(0);
        queue q = queue::open(to_);
        shared_part& shared = shared_[0];
        while (!shared.consumer_stops || !q.empty()) {
            const auto answer = q.pop_wait_with_for([&](const line_message& message) { write_down(message); },
                                                    std::chrono::milliseconds(50));
            shared.in_hand = 0;
            if (answer != promisqs::status::ok && answer != promisqs::status::timed_out) return 1;
        }
        return 0;
    }
    void write_down(const line_message& message) {
        shared_part& shared = shared_[0];
        shared.in_hand = message.number + 1;
        sealed_message sealed = sealed_message::make(message.number);
        if (message != line_message::make(message.number)) sealed.check[0] ^= 1;  // torn
        book_.popped(sealed);
        if (message.number < shared.latest) ++shared.late;
        shared.latest = std::max(shared.latest.load(), message.number);
        ++shared.arrived;
    }

    std::string from_;
    std::string to_;
    ledger book_;
    shared_array<shared_part> shared_;
    ::pid_t producer_ = 0;
    ::pid_t consumer_ = 0;
};

}  // namespace promisqs_test
