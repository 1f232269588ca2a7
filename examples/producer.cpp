// SPDX-License-Identifier: Apache-2.0

// The sending half of the demo: see consumer.cpp. It sends the messages, and after them measures how long a message
// takes to the consumer and back.

#include "demo.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

namespace {

void send(message_queue& queue, const Message& message, std::chrono::seconds patience) {
    wait_patiently([&](auto time) { return queue.push_wait_for(message, time); }, patience,
                   "the consumer has not taken a message");
}

void send_all(queue_pair& queues, const demo_arguments& arguments) {
    for (std::uint64_t id = 0; id < arguments.count; ++id) {
        if (id % 1024 == 0) throw_if_stopped();
        // Until the queue was full for the first time, the consumer may not have been started yet.
        send(queues.messages, make_message(id), id <= queues.messages.capacity() ? start_patience : arguments.patience);
    }
    send(queues.messages, make_message(end_id), arguments.patience);
}

std::chrono::nanoseconds measure_round_trip(queue_pair& queues, std::uint64_t id, std::chrono::seconds patience) {
    const Message sent = make_message(id);
    Message received{};
    const auto start = std::chrono::steady_clock::now();
    send(queues.messages, sent, patience);
    wait_patiently([&](auto time) { return queues.replies.pop_wait_for(received, time); }, patience,
                   "the consumer has not replied");
    const auto end = std::chrono::steady_clock::now();
    if (received != sent) throw std::runtime_error("a reply differs from what was sent");
    return end - start;
}

std::vector<std::chrono::nanoseconds> measure_round_trips(queue_pair& queues, const demo_arguments& arguments) {
    const std::uint64_t warm_up = std::min(std::uint64_t{10'000}, arguments.round_trips);
    std::vector<std::chrono::nanoseconds> times;
    times.reserve(arguments.round_trips);
    for (std::uint64_t id = 0; id < warm_up + arguments.round_trips; ++id) {
        if (id % 1024 == 0) throw_if_stopped();
        const std::chrono::nanoseconds time = measure_round_trip(queues, id, arguments.patience);
        if (id >= warm_up) times.push_back(time);
    }
    send(queues.messages, make_message(end_id), arguments.patience);
    return times;
}

double microseconds_at(const std::vector<std::chrono::nanoseconds>& sorted, double part) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return static_cast<double>(sorted[static_cast<std::size_t>(part * last)].count()) / 1000;
}

void report(std::vector<std::chrono::nanoseconds> times) {
    std::sort(times.begin(), times.end());
    std::printf("round trip, %zu times: p50 %.2f us, p99 %.2f us, p99.9 %.2f us\n", times.size(),
                microseconds_at(times, 0.5), microseconds_at(times, 0.99), microseconds_at(times, 0.999));
}

}  // namespace

int main(int argc, char** argv) {
    demo_arguments arguments;
    CLI::App app("Sends messages to the consumer, then measures round trips.", "producer");
    add_common(app, arguments);
    app.add_option("--round-trips", arguments.round_trips, "How many round trips to measure")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    return run_to_exit_code("producer", [&] {
        queue_pair queues(arguments.queue);
        send_all(queues, arguments);
        report(measure_round_trips(queues, arguments));
        return 0;
    });
}
