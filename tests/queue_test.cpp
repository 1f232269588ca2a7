// SPDX-License-Identifier: Apache-2.0

// The queue as one program sees it.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/patterned.hpp"

#include <promisqs/queue.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

using promisqs::shmem_queue;
using promisqs::status;
using promisqs_test::patterned;
using promisqs_test::scoped_name;

namespace {

struct message {
    std::uint64_t id;
    std::array<char, 24> address;
    std::array<std::uint8_t, 32> payload;
    friend bool operator==(const message&, const message&) = default;
};

struct megabytes {
    std::array<unsigned char, (std::size_t{3} << 20) + 5> data;
    friend bool operator==(const megabytes&, const megabytes&) = default;
};

struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
};

struct constant_member {
    const int value;
};

static_assert(std::ranges::input_range<shmem_queue<message>>);
static_assert(std::input_iterator<shmem_queue<message>::iterator>);
static_assert(!std::copyable<shmem_queue<message>::iterator>);
static_assert(std::is_copy_constructible_v<shmem_queue<int>> && std::is_nothrow_move_constructible_v<shmem_queue<int>>);
static_assert(!promisqs::queue_element<int*> && !promisqs::queue_element<int[3]> &&
              !promisqs::queue_element<const int>);
static_assert(!promisqs::queue_element<std::vector<int>> && !promisqs::queue_element<int&>);

}  // namespace

TEST_CASE("messages come out in the order in which they went in") {
    const scoped_name name("order");
    auto q = shmem_queue<message>::create(name, 1000);

    for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(q.push(patterned<message>(i)));
    for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(q.pop() == patterned<message>(i));

    CHECK(q.pop() == std::nullopt);
}

TEST_CASE("a queue of capacity 1 takes one message, says full, and takes the next one after a pop") {
    const scoped_name name("one");
    auto q = shmem_queue<message>::create(name, 1);

    for (std::uint64_t lap = 0; lap < 300; ++lap) {
        CHECK(q.empty());
        REQUIRE(q.push(patterned<message>(lap)));
        CHECK(q.full());
        CHECK_FALSE(q.push(patterned<message>(lap + 1)));
        CHECK(q.try_push(patterned<message>(lap + 1)) == status::full);
        REQUIRE(q.pop() == patterned<message>(lap));
        CHECK_FALSE(q.pop().has_value());
    }
}

TEST_CASE("the try_ calls say full and empty, and leave the output alone when there is nothing") {
    const scoped_name name("try");
    auto q = shmem_queue<int>::create(name, 2);
    int out = -1;

    CHECK(q.try_pop(out) == status::empty);
    CHECK(q.try_peek(out) == status::empty);
    CHECK(out == -1);
    CHECK(q.try_push(1) == status::ok);
    CHECK(q.try_push(2) == status::ok);
    CHECK(q.try_push(3) == status::full);
    CHECK(q.try_peek(out) == status::ok);
    CHECK(out == 1);
    CHECK(q.try_pop(out) == status::ok);
    CHECK(out == 1);
    CHECK(q.try_pop(out) == status::ok);
    CHECK(out == 2);
}

TEST_CASE("peek copies the oldest message and leaves it where it is") {
    const scoped_name name("peek");
    auto q = shmem_queue<message>::create(name, 3);
    REQUIRE(q.push(patterned<message>(1)));
    REQUIRE(q.push(patterned<message>(2)));

    CHECK(q.peek() == patterned<message>(1));
    CHECK(q.peek() == patterned<message>(1));
    CHECK(q.size() == 2);
    CHECK(q.pop() == patterned<message>(1));
    CHECK(q.peek() == patterned<message>(2));
    CHECK(q.pop() == patterned<message>(2));
    CHECK(q.peek() == std::nullopt);
}

TEST_CASE("size, capacity, empty and full are exact while nobody else works") {
    const scoped_name name("size");
    const std::uint64_t capacity = GENERATE(1U, 2U, 3U, 5U, 8U, 1000U);
    auto q = shmem_queue<std::uint16_t>::create(name, capacity);

    CHECK(q.capacity() == capacity);
    CHECK(q.name() == name.str());
    for (std::uint64_t i = 0; i < capacity; ++i) {
        CHECK(q.size() == i);
        CHECK(q.empty() == (i == 0));
        CHECK_FALSE(q.full());
        REQUIRE(q.push(static_cast<std::uint16_t>(i)));
    }
    CHECK(q.size() == capacity);
    CHECK(q.full());
    CHECK_FALSE(q.push(0));
}

TEST_CASE("a loop over a queue takes messages out until it is empty") {
    const scoped_name name("loop");
    auto q = shmem_queue<int>::create(name, 10);
    for (int i = 0; i < 7; ++i) REQUIRE(q.push(i));
    std::vector<int> seen;

    for (const int& m : q) seen.push_back(m);

    CHECK(seen == std::vector<int>{0, 1, 2, 3, 4, 5, 6});
    CHECK(q.empty());
}

TEST_CASE("a queue can be used with ranges") {
    const scoped_name name("ranges");
    auto q = shmem_queue<int>::create(name, 10);
    for (int i = 0; i < 7; ++i) REQUIRE(q.push(i));
    std::vector<int> seen;

    std::ranges::copy(q | std::views::filter([](int m) { return m % 2 == 1; }), std::back_inserter(seen));

    CHECK(seen == std::vector<int>{1, 3, 5});
}

TEST_CASE("what a loop did not look at stays in the queue") {
    const scoped_name name("take");
    auto q = shmem_queue<int>::create(name, 10);
    for (int i = 0; i < 7; ++i) REQUIRE(q.push(i));
    std::vector<int> seen;

    for (const int m : q | std::views::take(3)) seen.push_back(m);
    for (const int m : q) {
        seen.push_back(m);
        if (m == 4) break;
    }

    CHECK(seen == std::vector<int>{0, 1, 2, 3, 4});
    CHECK(q.size() == 2);
}

TEST_CASE("a copy of a handle is a handle on the same queue, and outlives the original") {
    const scoped_name name("copy");
    std::optional<shmem_queue<int>> first = shmem_queue<int>::create(name, 4);

    shmem_queue<int> second = *first;
    REQUIRE(first->push(1));
    first.reset();
    CHECK(name.exists());
    CHECK(second.pop() == 1);
    REQUIRE(second.push(2));
    CHECK(second.pop() == 2);
}

TEST_CASE("a handle can be moved and assigned") {
    const scoped_name one("move-one");
    const scoped_name two("move-two");
    auto a = shmem_queue<int>::create(one, 4);
    auto b = shmem_queue<int>::create(two, 4);
    REQUIRE(a.push(1));
    REQUIRE(b.push(2));

    shmem_queue<int> c = std::move(a);
    CHECK(c.pop() == 1);
    c = b;
    CHECK_FALSE(one.exists());  // its last handle is gone
    CHECK(c.pop() == 2);
    c = std::move(b);
    CHECK(c.name() == two.str());
}

TEST_CASE("two handles opened by one process are two users of one queue") {
    const scoped_name name("twice");
    auto a = shmem_queue<int>::create(name, 4);
    auto b = shmem_queue<int>::open(name);

    REQUIRE(a.push(1));
    REQUIRE(b.push(2));
    CHECK(b.pop() == 1);
    CHECK(a.pop() == 2);
}

TEST_CASE("one thread can use many queues in turn") {
    constexpr int count = 20;  // more than the thread's cache of entries
    std::vector<std::unique_ptr<scoped_name>> names;
    std::vector<shmem_queue<int>> queues;
    for (int i = 0; i < count; ++i) {
        names.push_back(std::make_unique<scoped_name>("many-" + std::to_string(i)));
        queues.push_back(shmem_queue<int>::create(names.back()->str(), 3, {.participants = 1}));
    }

    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < count; ++i) REQUIRE(queues[static_cast<std::size_t>(i)].push(i));
        for (int i = 0; i < count; ++i) REQUIRE(queues[static_cast<std::size_t>(i)].pop() == i);
    }
}

TEST_CASE("an element may be megabytes large") {
    const scoped_name name("megabytes");
    auto q = shmem_queue<megabytes>::create(name, 2);
    const auto in = std::make_unique<megabytes>();
    const auto out = std::make_unique<megabytes>();
    for (std::size_t i = 0; i < in->data.size(); ++i) in->data[i] = static_cast<unsigned char>(i * 11 + i / 999);

    REQUIRE(q.push(*in));
    REQUIRE(q.try_peek(*out) == status::ok);
    CHECK((*in == *out));
    *out = megabytes{};
    REQUIRE(q.try_pop(*out) == status::ok);
    CHECK((*in == *out));
}

TEST_CASE("an element needs neither a default constructor nor assignment") {
    const scoped_name name("plain");
    auto q = shmem_queue<no_default>::create(name, 2);
    REQUIRE(q.push(no_default(5)));
    CHECK(q.peek()->value == 5);
    CHECK(q.pop()->value == 5);

    const scoped_name constant("constant");
    auto c = shmem_queue<constant_member>::create(constant, 2);
    REQUIRE(c.push({6}));
    for (const constant_member& m : c) CHECK(m.value == 6);
}
