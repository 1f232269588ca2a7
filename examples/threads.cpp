// SPDX-License-Identifier: Apache-2.0

// One handle, used by several producer and consumer threads at once, without a lock. Counts that every message comes
// out exactly once, and those of each producer in the order in which it pushed them.

#include <promisqs/queue.hpp>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

struct numbered {
    std::uint32_t producer;
    std::uint32_t number;
};
using item_queue = promisqs::shmem_queue<numbered>;

struct settings {
    std::uint32_t producers = 3;
    std::uint32_t consumers = 3;
    std::uint32_t count = 300'000;
    std::uint64_t capacity = 1000;
};

/// How often each message was seen, and how many came before an older one of the same producer.
struct tally {
    explicit tally(const settings& wanted) : seen(std::size_t{wanted.producers} * wanted.count) {}

    std::vector<std::atomic<std::uint32_t>> seen;
    std::atomic<std::uint64_t> out_of_order{0};
};

void produce(item_queue& queue, std::uint32_t producer, std::uint32_t count) {
    for (std::uint32_t number = 0; number < count; ++number) {
        if (queue.push_wait({producer, number}) != promisqs::status::ok) return;  // closed
    }
}

void consume(item_queue& queue, const settings& wanted, tally& counted) {
    std::vector<std::uint32_t> next(wanted.producers);
    while (const auto item = queue.pop_wait()) {  // until the queue is closed and drained
        ++counted.seen[std::size_t{item->producer} * wanted.count + item->number];
        if (item->number < next[item->producer]) ++counted.out_of_order;
        next[item->producer] = item->number + 1;
    }
}

void run(item_queue& queue, const settings& wanted, tally& counted) {
    std::vector<std::jthread> consumers;
    for (std::uint32_t i = 0; i < wanted.consumers; ++i) {
        consumers.emplace_back([&] { consume(queue, wanted, counted); });
    }
    std::vector<std::jthread> producers;
    for (std::uint32_t i = 0; i < wanted.producers; ++i) {
        producers.emplace_back([&, i] { produce(queue, i, wanted.count); });
    }
    producers.clear();  // joins them
    queue.close();
}

bool report(const tally& counted) {
    std::size_t lost = 0;
    std::size_t doubled = 0;
    for (const auto& times : counted.seen) {
        if (times == 0) ++lost;
        if (times > 1) ++doubled;
    }
    std::printf("%zu messages sent: %zu lost, %zu doubled, %ju out of order\n", counted.seen.size(), lost, doubled,
                std::uintmax_t{counted.out_of_order.load()});
    return lost + doubled + counted.out_of_order == 0;
}

}  // namespace

int main(int argc, char** argv) {
    settings wanted;
    CLI::App app("Several producer and consumer threads on one handle.", "threads");
    app.add_option("--producers", wanted.producers)->check(CLI::Range(1, 100))->capture_default_str();
    app.add_option("--consumers", wanted.consumers)->check(CLI::Range(1, 100))->capture_default_str();
    app.add_option("--count", wanted.count, "How many messages each producer sends")
        ->check(CLI::Range(1, 100'000'000))
        ->capture_default_str();
    app.add_option("--capacity", wanted.capacity)->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    try {
        auto queue = item_queue::create("promisqs-threads-" + std::to_string(::getpid()), wanted.capacity);
        tally counted(wanted);
        run(queue, wanted, counted);
        return report(counted) ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "threads: %s\n", error.what());
        return 1;
    }
}
