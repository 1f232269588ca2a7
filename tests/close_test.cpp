// SPDX-License-Identifier: Apache-2.0

// A queue that is closed for good: what its producers and consumers are told, and when it is at its end.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"

#include <promisqs/queue.hpp>

#include <unistd.h>

#include <cstdint>
#include <optional>

using promisqs::status;
using promisqs_test::busy_process;
using promisqs_test::scoped_name;
using queue = promisqs_test::number_queue;

TEST_CASE("a closed queue takes nothing more, and says empty until no message can come back, and then closed") {
    const scoped_name name("close");
    auto q = queue::create(name, 4, {.life = promisqs::lifetime::keep});
    std::uint64_t out = 0;
    REQUIRE(q.push(1));
    REQUIRE(q.push(2));
    CHECK_FALSE(q.is_closed());

    q.close();

    CHECK(q.is_closed());
    CHECK_FALSE(q.push(3));
    CHECK(q.try_push(3) == status::closed);
    CHECK(q.size() == 2);
    CHECK(q.pop() == 1U);
    {
        busy_process other([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
        CHECK(q.try_pop(out) == status::empty);
        other.kill();
    }
    while (q.try_pop(out) == status::empty) {}
    CHECK(out == 2);
    CHECK(q.try_pop(out) == status::closed);
    CHECK(q.pop() == std::nullopt);
    CHECK(q.try_peek(out) == status::closed);
    CHECK(queue::open(name).is_closed());
    CHECK(q.stats().closed);
}

TEST_CASE("a push that is under way when the queue is closed still arrives, unless its producer dies") {
    const scoped_name name("death-close-push");
    auto q = queue::create(name, 2);
    std::uint64_t out = 0;
    const bool dies = GENERATE(false, true);
    busy_process producer([&](auto wait) {
        const bool done = q.push_with([&](std::uint64_t& slot) {
            slot = 8;
            wait();
        });
        if (!done) ::_exit(6);
    });

    q.close();

    CHECK(q.try_push(9) == status::closed);
    CHECK_FALSE(q.push_with([](std::uint64_t&) { FAIL("it is closed"); }));
    CHECK(q.try_push_with([](std::uint64_t&) { FAIL("it is closed"); }) == status::closed);
    CHECK(q.try_pop(out) == status::would_block);
    if (dies) {
        producer.kill();
    } else {
        CHECK(producer.finish() == 0);
        CHECK(q.pop() == 8U);
    }
    CHECK(q.pop() == std::nullopt);
    CHECK(q.try_pop(out) == status::closed);
    CHECK(q.try_pop_with([](const std::uint64_t&) { FAIL("it is closed"); }) == status::closed);
    CHECK(q.is_closed());
}

TEST_CASE("a closed queue is not at its end while a consumer holds a message, and is once the consumer has taken it") {
    const scoped_name name("death-close-pop");
    auto q = queue::create(name, 2);
    std::uint64_t out = 0;
    REQUIRE(q.push(1));
    q.close();
    busy_process consumer([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
    for (int i = 0; i < 100; ++i) REQUIRE(q.try_pop(out) == status::empty);

    SECTION("it is done with it") {
        CHECK(consumer.finish() == 0);
        CHECK(q.try_pop(out) == status::closed);
    }
    SECTION("it dies") {
        consumer.kill();
        while (q.try_pop(out) == status::empty) {}
        CHECK(out == 1);
        CHECK(q.try_pop(out) == status::closed);
    }
}

TEST_CASE("a queue that was closed and kept is closed when it is opened again, and has its messages") {
    const scoped_name name("death-close-keep");
    {
        auto q = queue::create(name, 2, {.life = promisqs::lifetime::keep});
        REQUIRE(q.push(1));
        q.close();
    }
    auto q = queue::open(name);
    std::uint64_t out = 0;
    CHECK(q.is_closed());
    CHECK_FALSE(q.push(2));
    CHECK(q.pop() == 1U);
    CHECK(q.try_pop(out) == status::closed);
}
