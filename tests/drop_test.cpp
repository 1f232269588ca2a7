// SPDX-License-Identifier: Apache-2.0

// Poison messages, which kill consumer after consumer: when they are dropped, and what the callable for them gets.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"

#include <promisqs/queue.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <optional>
#include <vector>

using promisqs::errc;
using promisqs_test::dies_popping;
using promisqs_test::expect_error;
using promisqs_test::has_full_capacity;
using promisqs_test::recovers;
using promisqs_test::refusal;
using promisqs_test::scoped_name;
using queue = promisqs_test::number_queue;

namespace {
thread_local bool out_of_memory = false;
}

// What copies of dropped messages are allocated by.
void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto unit = static_cast<std::size_t>(alignment);
    void* memory = out_of_memory ? nullptr : std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept { std::free(memory); }

TEST_CASE("by default the third death drops a message; two do not") {
    const scoped_name name("death-default");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(13));
    dies_popping(q);
    recovers(q, {.removed = 1, .to_redeliver = 1});
    dies_popping(q);
    recovers(q, {.removed = 1, .to_redeliver = 1});
    CHECK(q.size() == 1);

    dies_popping(q);

    recovers(q, {.removed = 1, .dropped = 1});
    CHECK(q.empty());
    CHECK(q.stats().dropped == 1);
    CHECK(q.stats().redelivered == 2);
    CHECK(q.stats().popped == 0);
    has_full_capacity(q);
}

TEST_CASE("after two deaths a message is still delivered") {
    const scoped_name name("death-twice");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(13));
    for (int i = 0; i < 2; ++i) {
        dies_popping(q);
        static_cast<void>(q.recover());
    }
    CHECK(q.pop() == 13U);
    has_full_capacity(q);
}

TEST_CASE("a message is never dropped where max_deaths is 0, however many consumers it costs") {
    const scoped_name name("death-never");
    auto q = queue::create(name, GENERATE(1U, 3U), {.max_deaths = 0});
    REQUIRE(q.push(13));

    for (int i = 0; i < 40; ++i) {
        dies_popping(q);
        recovers(q, {.removed = 1, .to_redeliver = 1});
    }

    CHECK(q.stats().dropped == 0);
    CHECK(q.stats().redelivered == 40);
    CHECK(q.pop() == 13U);
    has_full_capacity(q);
}

TEST_CASE("a callable that throws counts as no death, and does not reset the count of deaths") {
    const scoped_name name("death-and-throws");
    auto q = queue::create(name, 1, {.max_deaths = 2});
    const auto throw_often = [&] {
        for (int i = 0; i < 40; ++i) {
            CHECK_THROWS_AS(q.pop_with([](const std::uint64_t&) { throw refusal("not now"); }), refusal);
        }
    };
    REQUIRE(q.push(13));
    throw_often();
    dies_popping(q);
    recovers(q, {.removed = 1, .to_redeliver = 1});
    throw_often();
    CHECK(q.size() == 1);

    dies_popping(q);

    recovers(q, {.removed = 1, .dropped = 1});
    has_full_capacity(q);
}

TEST_CASE("a message that has killed too many consumers is dropped, counted, and handed to the callable") {
    const scoped_name name("poison");
    const std::uint32_t deaths = GENERATE(1U, 3U, 7U);
    auto q = queue::create(name, 2, {.max_deaths = deaths});
    std::vector<std::uint64_t> dropped;
    q.on_dropped([&](const std::uint64_t& message) { dropped.push_back(message); });
    REQUIRE(q.push(13));

    for (std::uint32_t i = 0; i < deaths; ++i) {
        CHECK(dropped.empty());
        dies_popping(q);
        static_cast<void>(q.recover());
    }

    CHECK(dropped == std::vector<std::uint64_t>{13});
    CHECK(q.stats().dropped == 1);
    has_full_capacity(q);
}

TEST_CASE(
    "a dropped message is handed over whole, also by a push that is stuck behind it, and may be pushed elsewhere") {
    const scoped_name name("death-dropped");
    const scoped_name other_name("death-dead-letters");
    auto q = queue::create(name, 1, {.max_deaths = 1});
    auto letters = queue::create(other_name, 4);
    q.on_dropped([&](const std::uint64_t& message) {
        CHECK(letters.push(message));
        CHECK(q.push(message + 1));
    });
    REQUIRE(q.push(13));
    dies_popping(q);

    CHECK_FALSE(q.push(20));  // stuck: recovers, and finds what the callable has pushed

    CHECK(q.pop() == 14U);
    CHECK(letters.pop() == 13U);
    CHECK(letters.pop() == std::nullopt);
    CHECK(q.stats().dropped == 1);
}

TEST_CASE("an exception of the callable for dropped messages comes out of recover, and the queue is in order") {
    const scoped_name name("death-handler-throws");
    auto q = queue::create(name, 2, {.max_deaths = 1});
    q.on_dropped([](const std::uint64_t&) { throw refusal("no room for that"); });
    REQUIRE(q.push(13));
    dies_popping(q);

    CHECK_THROWS_AS(q.recover(), refusal);

    CHECK(q.stats().dropped == 1);
    recovers(q, {});
    has_full_capacity(q);
}

TEST_CASE("a message that is to be dropped stays in the queue as long as there is no memory for its copy") {
    const scoped_name name("poison-memory");
    auto q = queue::create(name, 1, {.max_deaths = 1});
    std::vector<std::uint64_t> dropped;
    q.on_dropped([&](const std::uint64_t& message) { dropped.push_back(message); });
    REQUIRE(q.push(13));
    dies_popping(q);

    out_of_memory = true;
    recovers(q, {.left = 1});
    CHECK(q.try_push(14) == promisqs::status::would_block);
    out_of_memory = false;

    SECTION("and is handed over once there is") {
        recovers(q, {.removed = 1, .dropped = 1});
        CHECK(dropped == std::vector<std::uint64_t>{13});
    }
    SECTION("and keeps no other process from dropping it") {
        auto other = queue::open(name);
        recovers(other, {.removed = 1, .dropped = 1});
        CHECK(dropped.empty());
    }
    has_full_capacity(q);
}

TEST_CASE("messages are handed over in the order in which they were dropped, and may be larger than a stack") {
    struct large {
        std::uint64_t number;
        std::array<std::uint8_t, 16U << 20> bytes;
    };
    const scoped_name name("poison-large");
    auto q = promisqs::shmem_queue<large>::create(name, 2, {.max_deaths = 1});
    std::vector<std::uint64_t> dropped;
    q.on_dropped([&](const large& message) { dropped.push_back(message.number + message.bytes.back()); });
    for (std::uint64_t number : {100U, 200U}) {
        REQUIRE(q.push_with([&](large& message) { message.number = number, message.bytes.back() = 7; }));
    }
    for (int deaths = 0; deaths < 2; ++deaths) {
        promisqs_test::wait_for(promisqs_test::forked([&] {
            q.pop_with([](const large&) { promisqs_test::kill_itself(); });
            return 77;
        }));
    }

    CHECK(q.recover().messages_dropped == 2);

    CHECK(dropped == std::vector<std::uint64_t>{107, 207});
}

TEST_CASE("opening a queue drops nothing: there has been no time to set a callable") {
    const scoped_name name("poison-open");
    auto q = queue::create(name, 1, {.max_deaths = 1});
    REQUIRE(q.push(13));
    dies_popping(q);

    auto other = queue::open(name);
    std::uint64_t dropped = 0;
    other.on_dropped([&](const std::uint64_t& message) { dropped = message; });
    CHECK(other.stats().dropped == 0);
    CHECK(other.recover().messages_dropped == 1);

    CHECK(dropped == 13);
}

TEST_CASE("a number of deaths that a stamp can't count is refused") {
    const scoped_name name("deaths");
    expect_error(errc::invalid_options, {name, "max_deaths", "found 8"},
                 [&] { static_cast<void>(queue::create(name, 1, {.max_deaths = 8})); });
}
