// SPDX-License-Identifier: Apache-2.0

// Queues that are declared to have a single producer, or consumer, at a time: which one that is, and which are refused.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/queue.hpp>

#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <thread>

using promisqs::errc;
using promisqs::status;
using promisqs_test::busy_process;
using promisqs_test::dies_popping;
using promisqs_test::dies_pushing;
using promisqs_test::expect_error;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;

namespace {

constexpr promisqs::options one_producer{.single_producer = true};
constexpr promisqs::options one_consumer{.single_consumer = true};
constexpr promisqs::options one_to_one{.single_producer = true, .single_consumer = true};

template <class Use>
void is_refused(const scoped_name& name, const std::string& what, Use use) {
    std::jthread([&] {
        expect_error(errc::role_taken, {name, "expected a single " + what, "of process " + std::to_string(::getpid())},
                     use);
    }).join();
}

}  // namespace

TEST_CASE("a second producer is refused while the first is there") {
    const scoped_name name("single-producer");
    auto q = queue::create(name, 4, one_producer);
    REQUIRE(q.push(1));

    is_refused(name, "producer", [&] { static_cast<void>(q.push(2)); });
    is_refused(name, "producer", [&] { static_cast<void>(q.try_push(2)); });
    is_refused(name, "producer", [&] { static_cast<void>(q.push_wait(2)); });
    is_refused(name, "producer", [&] { static_cast<void>(q.push_with([](std::uint64_t&) {})); });
    is_refused(name, "producer", [&] { static_cast<void>(q.push_some({})), static_cast<void>(q.push(2)); });
    expect_error(errc::role_taken, {name, "a single producer"}, [&] {
        static_cast<void>(queue::open(name).push(2));  // another handle of this thread is another participant
    });
    CHECK(q.push(3));
    std::jthread([&] { CHECK(q.pop() == 1U); }).join();  // of consumers there may be many
    CHECK(q.pop() == 3U);
}

TEST_CASE("a second consumer is refused while the first is there") {
    const scoped_name name("single-consumer");
    auto q = queue::create(name, 4, one_consumer);
    REQUIRE(q.push(1));
    REQUIRE(q.pop() == 1U);
    REQUIRE(q.push(2));

    is_refused(name, "consumer", [&] { static_cast<void>(q.pop()); });
    is_refused(name, "consumer", [&] { static_cast<void>(q.pop_wait()); });
    is_refused(name, "consumer", [&] { q.pop_with([](const std::uint64_t&) {}); });
    std::jthread([&] {
        CHECK(q.peek() == 2U);  // which takes no part
        CHECK(q.push(3));
    }).join();
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == 3U);
}

TEST_CASE("the role is free once its thread has ended, or its handle is closed") {
    const scoped_name name("single-gone");
    auto q = queue::create(name, 4, one_to_one);
    std::jthread([&] { CHECK(q.push(1)); }).join();
    std::jthread([&] { CHECK(q.push(2)); }).join();
    {
        auto other = queue::open(name);
        CHECK(other.push(3));
        CHECK(other.pop() == 1U);
        expect_error(errc::role_taken, {name}, [&] { static_cast<void>(q.push(4)); });
        expect_error(errc::role_taken, {name}, [&] { static_cast<void>(q.pop()); });
    }
    CHECK(q.push(4));
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == 3U);
    CHECK(q.pop() == 4U);
}

TEST_CASE("the role of a killed process is taken over, and what it left is recovered") {
    const scoped_name name("single-killed");
    auto q = queue::create(name, 2, one_to_one);
    REQUIRE(dies_pushing(q) == -SIGKILL);

    CHECK(q.push(1));
    CHECK(dies_popping(q) == -SIGKILL);
    CHECK(q.pop() == 1U);
    promisqs_test::has_full_capacity(q);
}

TEST_CASE("a stopped process keeps its role") {
    const scoped_name name("single-stopped");
    auto q = queue::create(name, 2, one_producer);
    busy_process producer([&](auto wait) {
        static_cast<void>(q.push_with([&](std::uint64_t& slot) {
            slot = 8;
            wait();
        }));
    });
    producer.stop();
    expect_error(errc::role_taken, {name, "process " + std::to_string(producer.pid())},
                 [&] { static_cast<void>(q.push(1)); });
    producer.go_on();
    CHECK(producer.finish() == 0);
    CHECK(q.pop() == 8U);
    CHECK(q.push(1));
}

TEST_CASE("a forked child does not have its parent's role") {
    const scoped_name name("single-fork");
    auto q = queue::create(name, 2, one_producer);
    REQUIRE(q.push(1));
    CHECK(wait_for(forked([&] {
              try {
                  static_cast<void>(q.push(2));
              } catch (const promisqs::queue_error& error) {
                  return error.code() == errc::role_taken ? 0 : 1;
              }
              return 2;
          })) == 0);
    CHECK(q.push(2));
}

TEST_CASE("a tombstone is removed by the single consumer only") {
    const scoped_name name("single-tombstone");
    auto q = queue::create(name, 1, one_consumer);
    CHECK_THROWS_AS(q.push_with([](std::uint64_t&) { throw promisqs_test::refusal("no"); }), promisqs_test::refusal);
    CHECK_FALSE(q.push(1));
    CHECK(q.try_push(1) == status::full);
    CHECK(q.pop() == std::nullopt);
    CHECK(q.push(1));
    CHECK(q.pop() == 1U);
}

TEST_CASE("a single producer in the middle of a push when the queue is closed is waited for, unless it dies") {
    const scoped_name name("single-close");
    auto q = queue::create(name, 2, one_producer);
    const bool dies = GENERATE(false, true);
    std::uint64_t out = 0;
    busy_process producer([&](auto wait) {
        static_cast<void>(q.push_with([&](std::uint64_t& slot) {
            slot = 8;
            wait();
        }));
        if (q.push(9)) ::_exit(5);
    });
    q.close();
    CHECK(q.is_closed());
    CHECK(q.try_pop(out) == status::would_block);
    if (dies) {
        producer.kill();
    } else {
        CHECK(producer.finish() == 0);
    }
    CHECK(q.pop_wait() == (dies ? std::nullopt : std::optional<std::uint64_t>(8)));
    CHECK(q.try_pop(out) == status::closed);
    CHECK_FALSE(q.push(1));
}

TEST_CASE("a queue is closed against a single producer that pushes as fast as it can") {
    for (int i = 0; i < 50; ++i) {
        const scoped_name name("single-race");
        auto q = queue::create(name, GENERATE(1U, 8U), one_to_one);
        std::jthread producer([&] {
            std::uint64_t pushed = 0;
            while (q.push_wait(pushed) == status::ok) ++pushed;
            CHECK_FALSE(q.push(1));
        });
        std::jthread closer([&] {
            for (int k = 0; k < i * 100; ++k) promisqs::detail::os::pause();
            q.close();
        });
        std::uint64_t expected = 0;
        while (const auto number = q.pop_wait()) REQUIRE(*number == expected++);
        closer.join();
        producer.join();
        CHECK(q.pop() == std::nullopt);
        CHECK(q.empty());
    }
}
