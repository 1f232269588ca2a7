// SPDX-License-Identifier: Apache-2.0

// Waiting for any of several queues.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/sleepers.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

using promisqs::status;
using promisqs::wait_any;
using promisqs_test::await_sleeper;
using promisqs_test::busy_process;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;
using characters = promisqs::shmem_queue<char>;
using which = std::optional<std::size_t>;
using namespace std::chrono_literals;

TEST_CASE("the first queue that has a message, or is closed and drained, is ready") {
    const scoped_name first("any-1"), second("any-2");
    auto a = queue::create(first, 2);
    auto b = characters::create(second, 2, {.single_producer = true, .single_consumer = true});
    CHECK(wait_any(a, b, 0s) == std::nullopt);
    REQUIRE(b.push('x'));
    CHECK(wait_any(a, b) == which(1));
    REQUIRE(a.push(1));
    CHECK(wait_any(a, b, 1h) == which(0));
    CHECK(wait_any(b, a, std::chrono::steady_clock::time_point::max()) == which(0));
    CHECK(a.size() == 1);  // nothing was popped
    REQUIRE(a.pop() == 1U);
    REQUIRE(b.pop() == 'x');
    b.close();
    CHECK(wait_any(a, b) == which(1));
    CHECK(b.pop() == std::nullopt);
}

TEST_CASE("waiting for any of several queues is over when the time is, and not before") {
    const scoped_name first("any-time-1"), second("any-time-2");
    auto a = queue::create(first, 2);
    auto b = queue::create(second, 2);
    const auto begun = std::chrono::steady_clock::now();
    CHECK(wait_any(a, b, 3ms) == std::nullopt);
    CHECK(wait_any(a, b, begun + 6ms) == std::nullopt);
    CHECK(std::chrono::steady_clock::now() >= begun + 6ms);
}

TEST_CASE("a thread that sleeps on several queues is woken by a push into any of them, or by its closing") {
    const scoped_name first("any-sleep-1"), second("any-sleep-2");
    auto a = queue::create(first, 2);
    const bool single = GENERATE(false, true);
    auto b = queue::create(second, 2, {.single_producer = single});
    const bool closes = GENERATE(false, true);
    const auto sleeper = forked([&] { return wait_any(a, b) == which(1) ? 0 : 1; });
    await_sleeper(b);
    if (closes) b.close();
    if (!closes) REQUIRE(b.push(1));
    CHECK(wait_for(sleeper) == 0);
}

TEST_CASE("a message is not kept from a consumer by a thread that only looks for it") {
    const scoped_name name("any-baton");
    auto q = queue::create(name, 2);
    promisqs_test::signal_pipe end;
    const auto looker = forked([&] {
        const bool seen = wait_any(q) == which(0);
        end.wait();
        return seen ? 0 : 1;
    });
    await_sleeper(q);
    const auto popper = forked([&] {
        auto mine = queue::open(name);
        mine.set_wait_policy({0, 0ns, 0ns});
        return mine.pop_wait() == 1U ? 0 : 1;
    });
    while (q.stats().participants.empty()) std::this_thread::yield();
    REQUIRE(q.push(1));
    CHECK(wait_for(popper) == 0);
    REQUIRE(q.push(2));  // it may have been too late to see the first
    end.send();
    CHECK(wait_for(looker) == 0);
}

TEST_CASE("a message whose consumer died makes its queue ready") {
    const scoped_name name("any-death");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));
    promisqs_test::dies_popping(q);
    CHECK(wait_any(q) == which(0));
    CHECK(q.pop() == 1U);
}

TEST_CASE("a thread that sleeps on several queues finds the message of a consumer that dies during its sleep") {
    const scoped_name first("any-dies-1"), second("any-dies-2");
    auto a = queue::create(first, 2);
    auto b = queue::create(second, 2);
    REQUIRE(b.push(1));
    busy_process victim([&](auto stay) { b.pop_with([&](const std::uint64_t&) { stay(); }); });
    which ready;
    std::thread waiting([&] { ready = wait_any(a, b); });
    await_sleeper(b);

    victim.kill();
    waiting.join();

    CHECK(ready == which(1));
    CHECK(b.pop() == 1U);
}

TEST_CASE("a thread that waits for several queues finds the message behind a producer that died in its push") {
    const scoped_name first("any-behind-1"), second("any-behind-2");
    auto a = queue::create(first, 2);
    auto b = queue::create(second, 2);
    busy_process victim([&](auto stay) { static_cast<void>(b.push_with([&](std::uint64_t&) { stay(); })); });
    REQUIRE(b.push(2));
    CHECK(wait_any(a, b, 1ms) == std::nullopt);
    which ready;
    std::thread waiting([&] { ready = wait_any(a, b); });

    victim.kill();
    waiting.join();

    CHECK(ready == which(1));
    CHECK(b.pop() == 2U);
}

TEST_CASE("a thread that waits for several queues finds what a dead one left, however busy the others are") {
    const scoped_name first("any-busy-1"), second("any-busy-2");
    auto busy = queue::create(first, 2);
    auto b = queue::create(second, 2);
    const bool producer_dies = GENERATE(false, true);
    if (!producer_dies) REQUIRE(b.push(2));
    busy_process victim([&](auto stay) {
        if (producer_dies) static_cast<void>(b.push_with([&](std::uint64_t&) { stay(); }));
        if (!producer_dies) b.pop_with([&](const std::uint64_t&) { stay(); });
    });
    if (producer_dies) REQUIRE(b.push(2));
    std::atomic<bool> found = false;
    std::jthread traffic([&] {
        auto mine = queue::open(first);
        while (!found) static_cast<void>(mine.push_wait_for(1, 1ms));
    });
    const auto ready = [&] {  // takes what is in the busy one
        const which one = wait_any(busy, b);
        if (one == which(0)) static_cast<void>(busy.pop());
        return one;
    };
    for (int i = 0; i < 100; ++i) CHECK(ready() == which(0));

    victim.kill();
    while (ready() != which(1)) {}
    found = true;

    CHECK(b.pop() == 2U);
}

TEST_CASE("a closed queue is ready once a pop would say closed, and a look says so no sooner") {
    const scoped_name name("any-closed");
    auto q = queue::create(name, 2, {.single_producer = GENERATE(false, true)});
    REQUIRE(q.push(1));
    busy_process consumer([&](auto stay) { q.pop_with([&](const std::uint64_t&) { stay(); }); });
    q.close();
    std::uint64_t out = 0;
    CHECK(wait_any(q, 1ms) == std::nullopt);
    CHECK(q.try_pop(out) == status::empty);
    CHECK(q.try_peek(out) == status::empty);
    CHECK(q.peek() == std::nullopt);
    which ready;
    std::thread waiting([&] { ready = wait_any(q); });
    await_sleeper(q, promisqs::detail::role::producer);  // there, it is woken by a release

    SECTION("the message is taken") {
        CHECK(consumer.finish() == 0);
        waiting.join();
    }
    SECTION("the message comes back") {
        consumer.kill();
        waiting.join();
        CHECK(q.try_peek(out) == status::ok);
        CHECK(q.pop() == 1U);
    }
    CHECK(ready == which(0));
    CHECK(q.try_peek(out) == status::closed);
    CHECK(q.try_pop(out) == status::closed);
    CHECK(wait_any(q) == which(0));
}

TEST_CASE("as many queues as there are at run time can be waited for, up to what the system can") {
    const scoped_name name("any-many");
    std::vector<queue> all(127, queue::create(name, 2));
    const std::span<const queue> queues(all);
    CHECK(wait_any(queues, 1ms) == std::nullopt);
    REQUIRE(all[5].push(1));
    CHECK(wait_any(queues, 1h) == which(0));  // they are all the same
    all.push_back(all[0]);
    promisqs_test::expect_error(promisqs::errc::invalid_options, {name, "at most 127", "127 others"},
                                [&] { static_cast<void>(wait_any(std::span<const queue>(all), 1ms)); });
}

TEST_CASE("any range of queues can be waited for: a vector, a span, an array, a deque") {
    const scoped_name first("any-range-1"), second("any-range-2");
    std::vector<queue> all{queue::create(first, 2), queue::create(second, 2)};
    REQUIRE(all[1].push(1));
    CHECK(wait_any(all) == which(1));
    CHECK(wait_any(std::as_const(all), 1h) == which(1));
    CHECK(wait_any(std::vector<queue>(all), std::chrono::steady_clock::time_point::max()) == which(1));
    CHECK(wait_any(std::span<queue>(all)) == which(1));
    CHECK(wait_any(std::span<const queue>(all), 1h) == which(1));
    CHECK(wait_any(std::array{all[0], all[1]}) == which(1));
    CHECK(wait_any(std::deque<queue>(all.begin(), all.end())) == which(1));
    const queue plain[]{all[0], all[1]};
    CHECK(wait_any(plain) == which(1));
    REQUIRE(all[1].pop() == 1U);
    CHECK(wait_any(all, 0s) == std::nullopt);
    CHECK(wait_any(std::vector<queue>(), 1ms) == std::nullopt);
#if defined(__cpp_lib_jthread)
    std::stop_source stop;
    stop.request_stop();
    CHECK(wait_any(all, stop.get_token()) == std::nullopt);
    CHECK(wait_any(all, 1h, stop.get_token()) == std::nullopt);
#endif
}
