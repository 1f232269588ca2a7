// SPDX-License-Identifier: Apache-2.0

// Separate programs, which have nothing in common but a name.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

using promisqs_test::arguments;
using promisqs_test::child;
using promisqs_test::role;
using promisqs_test::scoped_name;

namespace {

struct message {
    std::uint64_t producer;
    std::uint64_t number;
    std::array<std::uint64_t, 4> check;

    [[nodiscard]] bool whole() const {
        for (std::size_t i = 0; i < check.size(); ++i) {
            if (check[i] != (number + i) * 0x9E37'79B9'7F4A'7C15U + producer) return false;
        }
        return true;
    }
    static message make(std::uint64_t producer, std::uint64_t number) {
        message result{producer, number, {}};
        for (std::size_t i = 0; i < result.check.size(); ++i) {
            result.check[i] = (number + i) * 0x9E37'79B9'7F4A'7C15U + producer;
        }
        return result;
    }
};
using queue = promisqs::shmem_queue<message>;

// What a consumer tells the parent: how many, and the sum of their numbers.
struct result {
    std::uint64_t count;
    std::uint64_t sum;
};

constexpr std::uint64_t last = ~std::uint64_t{0};  // a producer number that tells a consumer to stop

// Arguments: queue, number of this producer, how many messages.
const role producer("processes-producer", [](const arguments& args) {
    auto q = queue::open(args.at(0));
    const std::uint64_t me = std::stoull(args.at(1));
    const std::uint64_t count = std::stoull(args.at(2));
    for (std::uint64_t i = 0; i < count; ++i) {
        while (!q.push(message::make(me, i))) std::this_thread::yield();
    }
    return 0;
});

// Arguments: queue, queue for the result, number of producers.
const role consumer("processes-consumer", [](const arguments& args) {
    auto q = queue::open(args.at(0));
    auto results = promisqs::shmem_queue<result>::open(args.at(1));
    std::vector<std::uint64_t> next(std::stoull(args.at(2)), 0);
    result mine{0, 0};
    for (;;) {
        const auto m = q.pop();
        if (!m) {
            std::this_thread::yield();
            continue;
        }
        if (m->producer == last) break;
        if (!m->whole() || m->number < next.at(m->producer)) return 1;
        next[m->producer] = m->number + 1;
        ++mine.count;
        mine.sum += m->number;
    }
    return results.push(mine) ? 0 : 2;
});

void exchange(std::uint64_t capacity, unsigned producers, unsigned consumers, std::uint64_t each) {
    const scoped_name name("exchange");
    const scoped_name results_name("results");
    auto q = queue::create(name, capacity);
    auto results = promisqs::shmem_queue<result>::create(results_name, consumers);
    std::vector<child> pushing;
    std::vector<child> popping;
    for (unsigned i = 0; i < consumers; ++i) {
        popping.emplace_back("processes-consumer",
                             arguments{name.str(), results_name.str(), std::to_string(producers)});
    }
    for (unsigned i = 0; i < producers; ++i) {
        pushing.emplace_back("processes-producer", arguments{name.str(), std::to_string(i), std::to_string(each)});
    }

    for (auto& one : pushing) CHECK(one.wait() == 0);
    for (unsigned i = 0; i < consumers; ++i) {
        while (!q.push({last, 0, {}})) std::this_thread::yield();
    }
    for (auto& one : popping) CHECK(one.wait() == 0);

    result all{0, 0};
    for (const result& one : results) {
        all.count += one.count;
        all.sum += one.sum;
    }
    CHECK(all.count == producers * each);
    CHECK(all.sum == producers * (each * (each - 1) / 2));
    CHECK(q.empty());
}

}  // namespace

TEST_CASE("one producer and one consumer process exchange ten million messages and lose none") {
    exchange(1024, 1, 1, 10'000'000);
}

TEST_CASE("producer and consumer processes exchange messages through any capacity and lose none") {
    const std::uint64_t capacity = GENERATE(1U, 2U, 3U, 5U, 8U, 1000U);
    exchange(capacity, 1, 1, 20'000);
    exchange(capacity, 3, 2, 20'000);
}

TEST_CASE("four producers and four consumers on fewer processors lose nothing") { exchange(100, 4, 4, 200'000); }
