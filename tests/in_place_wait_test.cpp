// SPDX-License-Identifier: Apache-2.0

// push_wait_with and pop_wait_with: what they wait for, when they hand a message over, and what is left by a callable
// that throws, or whose process is killed.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/sleepers.hpp"
#include "support/status_text.hpp"

#include <promisqs/queue.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using promisqs::errc;
using promisqs::status;
using promisqs_test::at_once_asleep;
using promisqs_test::await_participants;
using promisqs_test::await_sleeper;
using promisqs_test::child;
using promisqs_test::expect_error;
using promisqs_test::has_full_capacity;
using promisqs_test::refusal;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using queue = promisqs_test::number_queue;
using promisqs::detail::role;
using namespace std::chrono_literals;

namespace {

queue sleepy(const std::string& name) {
    auto q = queue::open(name);
    q.set_wait_policy(at_once_asleep);
    return q;
}

// Arguments: the queue, and the number that is expected. 0: that number came.
const promisqs_test::role pops_in_place("pops in place", [](const promisqs_test::arguments& args) {
    auto q = sleepy(args.at(0));
    std::uint64_t got = 0;
    const auto answer = q.pop_wait_with([&](const std::uint64_t& slot) { got = slot; });
    return answer == status::ok && got == std::stoull(args.at(1)) ? 0 : 1;
});

// Arguments: the queue, and the number to push.
const promisqs_test::role pushes_in_place("pushes in place", [](const promisqs_test::arguments& args) {
    auto q = sleepy(args.at(0));
    const std::uint64_t number = std::stoull(args.at(1));
    return q.push_wait_with([&](std::uint64_t& slot) { slot = number; }) == status::ok ? 0 : 1;
});

// Arguments: the queue, what to do, and the pipe on which it says that it is inside its callable, where it stays.
const promisqs_test::role stays_inside("stays inside", [](const promisqs_test::arguments& args) {
    auto q = sleepy(args.at(0));
    const auto stay = [&] {
        signal_pipe::send(std::stoi(args.at(2)));
        for (;;) ::pause();
    };
    if (args.at(1) == "pushing") {
        static_cast<void>(q.push_wait_with([&](std::uint64_t& slot) {
            slot = 666;
            stay();
        }));
    } else {
        static_cast<void>(q.pop_wait_with([&](const std::uint64_t&) { stay(); }));
    }
    return 1;
});

void must_not_be_called(const std::uint64_t&) { throw std::logic_error("the callable must not be called"); }

}  // namespace

TEST_CASE("a consumer that waits in place is woken by a push in place of another process") {
    const scoped_name name("place-push");
    auto q = queue::create(name, 1);
    child consumer("pops in place", {name.str(), "5"});
    await_sleeper(q);

    child producer("pushes in place", {name.str(), "5"});

    CHECK(producer.wait() == 0);
    CHECK(consumer.wait() == 0);
    CHECK(q.empty());
}

TEST_CASE("a producer that waits in place is woken by a pop in place of another process") {
    const scoped_name name("place-pop");
    auto q = queue::create(name, 1);
    REQUIRE(q.push(1));
    child producer("pushes in place", {name.str(), "2"});
    await_sleeper(q, role::producer);

    child consumer("pops in place", {name.str(), "1"});

    CHECK(consumer.wait() == 0);
    CHECK(producer.wait() == 0);
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == std::nullopt);
}

TEST_CASE("a waiting call in place takes at once what is there, whatever its limit") {
    const scoped_name name("place-ready");
    auto q = queue::create(name, 2);
    std::uint64_t seen = 0;
    const auto put = [](std::uint64_t number) { return [number](std::uint64_t& slot) { slot = number; }; };
    const auto take = [&](const std::uint64_t& slot) { seen = slot; };

    CHECK(q.push_wait_with(put(1)) == status::ok);
    CHECK(q.push_wait_with_for(put(2), 0s) == status::ok);
    CHECK(q.pop_wait_with(take) == status::ok);
    CHECK(seen == 1);
    CHECK(q.pop_wait_with_for(take, -1s) == status::ok);
    CHECK(seen == 2);
    CHECK(q.push_wait_with_until(put(3), std::chrono::steady_clock::time_point::min()) == status::ok);
    CHECK(q.pop_wait_with_until(take, std::chrono::steady_clock::time_point::max()) == status::ok);
    CHECK(seen == 3);
}

TEST_CASE("a message is handed over only once the callable of push_wait_with has returned") {
    const scoped_name name("place-publish");
    auto q = queue::create(name, 2);
    auto other = queue::open(name);
    std::uint64_t out = 0;

    CHECK(q.push_wait_with([&](std::uint64_t& slot) {
        slot = 5;
        CHECK(other.try_pop(out) == status::would_block);
        CHECK(other.pop_wait_for(out, 0s) == status::timed_out);
    }) == status::ok);

    CHECK(other.try_pop(out) == status::ok);
    CHECK(out == 5);
}

TEST_CASE("a message is gone, and its place free, only once the callable of pop_wait_with has returned") {
    const scoped_name name("place-release");
    auto q = queue::create(name, 1);
    auto other = queue::open(name);
    REQUIRE(q.push(5));

    CHECK(q.pop_wait_with([&](const std::uint64_t& slot) {
        CHECK(slot == 5);
        CHECK(other.try_push(6) == status::would_block);
        CHECK(other.push_wait_for(6, 0s) == status::timed_out);
        other.close();
        std::uint64_t out = 0;
        CHECK(other.try_pop(out) != status::closed);  // this one may still come back
    }) == status::ok);

    std::uint64_t out = 0;
    CHECK(other.try_pop(out) == status::closed);
}

TEST_CASE("a callable of pop_wait_with that throws leaves the message to the next consumer, which it wakes") {
    const scoped_name name("place-throws");
    auto q = queue::create(name, 1);
    REQUIRE(q.push(5));
    std::optional<child> sleeper;

    CHECK_THROWS_AS(q.pop_wait_with([&](const std::uint64_t&) {
        sleeper.emplace("pops in place", promisqs_test::arguments{name.str(), "5"});
        await_sleeper(q);
        throw refusal("not now");
    }),
                    refusal);

    CHECK(sleeper->wait() == 0);
    CHECK(q.stats().dropped == 0);
    static_cast<void>(q.recover());
    has_full_capacity(q);
}

TEST_CASE("a callable of push_wait_with that throws leaves no message, and its place to others") {
    const scoped_name name("fill-wait-throws");
    auto q = queue::create(name, 1);
    REQUIRE(q.push(1));
    child producer("pushes in place", {name.str(), "2"});
    await_sleeper(q, role::producer);
    REQUIRE(q.pop() == 1U);
    CHECK(producer.wait() == 0);
    REQUIRE(q.pop() == 2U);

    CHECK_THROWS_AS(q.push_wait_with([](std::uint64_t&) { throw refusal("no"); }), refusal);

    CHECK(q.stats().tombstones == 1);
    CHECK(q.stats().pushed == 2);
    CHECK(q.pop() == std::nullopt);
    static_cast<void>(q.recover());
    has_full_capacity(q);
}

TEST_CASE("a waiting call in place says timed_out when its time is over and not before, and calls nothing") {
    const scoped_name name("place-time");
    auto q = queue::create(name, 1);
    q.set_wait_policy(GENERATE(promisqs::wait_policy::balanced(), at_once_asleep));

    const auto begun = std::chrono::steady_clock::now();
    CHECK(q.pop_wait_with_for(must_not_be_called, 2ms) == status::timed_out);
    CHECK(q.pop_wait_with_until(must_not_be_called, begun + 4ms) == status::timed_out);
    CHECK(std::chrono::steady_clock::now() >= begun + 4ms);

    REQUIRE(q.push(1));
    const auto full = std::chrono::steady_clock::now();
    CHECK(q.push_wait_with_for(must_not_be_called, 2ms) == status::timed_out);
    CHECK(q.push_wait_with_until(must_not_be_called, full + 4ms) == status::timed_out);
    CHECK(std::chrono::steady_clock::now() >= full + 4ms);
    CHECK(q.pop() == 1U);
}

TEST_CASE("a waiting call in place with a limit of zero, or below, looks once") {
    const scoped_name name("place-zero");
    auto q = queue::create(name, 1);

    CHECK(q.pop_wait_with_for(must_not_be_called, 0s) == status::timed_out);
    CHECK(q.pop_wait_with_for(must_not_be_called, -1h) == status::timed_out);
    CHECK(q.pop_wait_with_until(must_not_be_called, std::chrono::steady_clock::time_point::min()) == status::timed_out);
    REQUIRE(q.push(1));
    CHECK(q.push_wait_with_for(must_not_be_called, 0s) == status::timed_out);
    CHECK(q.push_wait_with_until(must_not_be_called, std::chrono::steady_clock::time_point::min()) ==
          status::timed_out);
}

TEST_CASE("a closed queue ends waiting calls in place once it is drained, and calls nothing") {
    const scoped_name name("place-closed");
    auto q = queue::create(name, 2, {.single_producer = GENERATE(false, true)});
    REQUIRE(q.push(1));
    REQUIRE(q.push(2));
    q.close();
    std::uint64_t seen = 0;
    const auto take = [&](const std::uint64_t& slot) { seen = slot; };

    CHECK(q.push_wait_with(must_not_be_called) == status::closed);
    CHECK(q.pop_wait_with(take) == status::ok);
    CHECK(seen == 1);
    CHECK(q.pop_wait_with_for(take, 0s) == status::ok);
    CHECK(seen == 2);
    CHECK(q.pop_wait_with(must_not_be_called) == status::closed);
    CHECK(q.pop_wait_with_for(must_not_be_called, 0s) == status::closed);
}

TEST_CASE("closing a queue wakes those that wait in place") {
    const scoped_name name("place-close-wakes");
    auto q = queue::create(name, 1);
    const bool producing = GENERATE(false, true);
    if (producing) REQUIRE(q.push(1));
    status answer{};
    std::thread sleeper([&] {
        auto mine = sleepy(name.str());
        answer = producing ? mine.push_wait_with(must_not_be_called) : mine.pop_wait_with(must_not_be_called);
    });
    await_sleeper(q, producing ? role::producer : role::consumer);

    q.close();
    sleeper.join();

    CHECK(answer == status::closed);
}

TEST_CASE("the message of a consumer killed in pop_wait_with is delivered to another consumer that waits in place") {
    const scoped_name name("place-killed");
    auto q = queue::create(name, 2);
    const signal_pipe inside;
    child victim("stays inside", {name.str(), "popping", inside.writer()});
    if (GENERATE(false, true)) await_sleeper(q);  // it has waited for the message
    REQUIRE(q.push(5));
    inside.wait();
    child other("pops in place", {name.str(), "5"});
    await_sleeper(q);

    victim.kill();

    CHECK(other.wait() == 0);
    CHECK(q.stats().redelivered == 1);
    CHECK(q.empty());
    static_cast<void>(q.recover());
    has_full_capacity(q);
}

TEST_CASE("a producer killed in push_wait_with leaves no message, and does not keep the next from one that waits") {
    const scoped_name name("place-killed-push");
    auto q = queue::create(name, 2);
    const signal_pipe inside;
    child victim("stays inside", {name.str(), "pushing", inside.writer()});
    inside.wait();
    child consumer("pops in place", {name.str(), "7"});
    await_participants(q, 2);
    REQUIRE(q.push(7));  // behind the one that is not finished

    victim.kill();

    CHECK(consumer.wait() == 0);
    CHECK(q.stats().tombstones == 1);
    CHECK(q.empty());
    static_cast<void>(q.recover());
    has_full_capacity(q);
}

TEST_CASE("a message that has killed max_deaths consumers in pop_wait_with is dropped") {
    const scoped_name name("place-poison");
    auto q = queue::create(name, 2, {.max_deaths = 2});
    std::vector<std::uint64_t> dropped;
    q.on_dropped([&](const std::uint64_t& message) { dropped.push_back(message); });
    REQUIRE(q.push(5));
    for (int death = 0; death < 2; ++death) {
        const signal_pipe inside;
        child victim("stays inside", {name.str(), "popping", inside.writer()});
        inside.wait();
        victim.kill();
    }

    CHECK(q.pop_wait_with_for(must_not_be_called, 1ms) == status::timed_out);
    static_cast<void>(q.recover());

    CHECK(dropped == std::vector<std::uint64_t>{5});
    has_full_capacity(q);
}

TEST_CASE("inside a callable, waiting calls in place of the same queue are refused, and nothing is lost") {
    const scoped_name name("place-nested");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));

    expect_error(errc::in_callable, {name}, [&] {
        static_cast<void>(q.pop_wait_with(
            [&](const std::uint64_t&) { static_cast<void>(q.pop_wait_with_for(must_not_be_called, 1ms)); }));
    });
    expect_error(errc::in_callable, {name}, [&] {
        static_cast<void>(
            q.push_wait_with([&](std::uint64_t&) { static_cast<void>(q.push_wait_with(must_not_be_called)); }));
    });

    CHECK(q.pop() == 1U);
    has_full_capacity(q);
}

TEST_CASE("producers and consumers that wait in place move each message exactly once") {
    const scoped_name name("place-many");
    const std::uint64_t capacity = GENERATE(1U, 3U);
    auto q = queue::create(name, capacity);
    constexpr std::uint64_t each = 2000;
    constexpr std::uint64_t producers = 2;
    std::vector<std::atomic<int>> seen(producers * each);
    {
        std::vector<std::jthread> consumers;
        for (int i = 0; i < 2; ++i) {
            consumers.emplace_back([&] {
                auto mine = sleepy(name.str());
                while (mine.pop_wait_with([&](const std::uint64_t& slot) { ++seen.at(slot); }) == status::ok) {}
            });
        }
        {
            std::vector<std::jthread> pushing;
            for (std::uint64_t p = 0; p < producers; ++p) {
                pushing.emplace_back([&, p] {
                    auto mine = sleepy(name.str());
                    for (std::uint64_t n = p * each; n < (p + 1) * each; ++n) {
                        if (mine.push_wait_with([&](std::uint64_t& slot) { slot = n; }) != status::ok) return;
                    }
                });
            }
        }
        q.close();
    }
    CHECK(std::ranges::all_of(seen, [](const auto& count) { return count == 1; }));
}
