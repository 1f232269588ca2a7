// SPDX-License-Identifier: Apache-2.0

// Waiting for messages and for room: what is returned, when, and that no sleeper is left asleep.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/sleepers.hpp"
#include "support/status_text.hpp"

#include <promisqs/detail/queue/wait_clock.hpp>
#include <promisqs/detail/queue/waiter.hpp>
#include <promisqs/queue.hpp>

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using promisqs::status;
using promisqs::wait_policy;
using promisqs_test::always_spins;
using promisqs_test::always_yields;
using promisqs_test::at_once_asleep;
using promisqs_test::await_participants;
using promisqs_test::await_sleeper;
using promisqs_test::busy_process;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::somebody_sleeps;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;
using promisqs::detail::role;
using namespace std::chrono_literals;

TEST_CASE("between two looks at the clock, a wait looks at the queue as often as its policy has time for") {
    const auto looks = [](const wait_policy& policy) {
        unsigned count = 0;
        CHECK_FALSE(promisqs::detail::wait_clock(policy).probe([&] { return ++count, false; }));
        return count;
    };

    CHECK(looks(wait_policy::lowest_latency()) == 128);
    CHECK(looks(wait_policy::stream()) == 2);
    CHECK(looks({1, 500ns, 0ns}) == 20);
    CHECK(looks({1000, 500ns, 0ns}) == 1);
    CHECK(looks({0, 1us, 0ns}) == 1024);
    // A policy without spinning looks once, and then lets others run.
    CHECK(looks(wait_policy::friendly()) == 1);
    CHECK(looks({0, 0ns, 1us}) == 1);
}

TEST_CASE("single messages are waited for without the pauses of a stream") {
    constexpr std::uint32_t for_ever = std::numeric_limits<std::uint32_t>::max();  // a minute or more
    const scoped_name name("wait-single");
    auto there = queue::create(name, 4);
    auto q = queue::open(name);
    q.set_wait_policy({1, 1us, 1us, for_ever});

    for (std::uint64_t i = 0; i < 10; ++i) {
        CHECK(q.pop_wait_for(100us) == std::nullopt);
        CHECK(there.push(i));
        CHECK(q.pop_wait() == i);
    }
    // Nor are messages that are there by now, however many they are.
    for (std::uint64_t i = 0; i < 4; ++i) CHECK(there.push(i));
    for (std::uint64_t i = 0; i < 4; ++i) CHECK(q.pop_wait() == i);
}

TEST_CASE("a wait keeps its limit, and gets its message, by a policy of any values") {
    using std::chrono::nanoseconds;
    constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
    const scoped_name name("wait-any-policy");
    const bool adaptive = GENERATE(false, true);
    auto q = queue::create(name, 4);
    for (const std::uint32_t pauses : {0U, 1U, most}) {
        for (const nanoseconds spin : {nanoseconds::min(), -1ns, 0ns, nanoseconds::max()}) {
            for (const nanoseconds yield : {nanoseconds::min(), -1ns, 0ns, nanoseconds::max()}) {
                q.set_wait_policy({pauses, spin, yield, most, adaptive});
                CHECK(q.pop_wait_for(10us) == std::nullopt);
                for (std::uint64_t i = 0; i < 4; ++i) CHECK(q.push(i));
                CHECK(q.push_wait_for(4, 10us) == status::timed_out);
                for (std::uint64_t i = 0; i < 4; ++i) CHECK(q.pop_wait_for(1h) == i);
                CHECK(q.pop_wait_for(10us) == std::nullopt);  // after a stream
            }
        }
    }
}

namespace {

// Lets the calling thread find its messages after a yield, so that it leaves out the spinning.
void learn_to_yield(queue& q) {
    constexpr std::uint64_t count = 500;
    q.set_wait_policy({1, 1ns, 24h, 0, true});
    std::jthread other([mine = queue::open(q.name())]() mutable {
        for (std::uint64_t i = 0; i < count; ++i) {
            static_cast<void>(mine.push_wait(i));
            while (!mine.empty()) std::this_thread::yield();
        }
    });
    for (std::uint64_t i = 0; i < count; ++i) CHECK(q.pop_wait() == i);
}

}  // namespace

TEST_CASE("a wait that leaves out the spinning yields for that time instead") {
    using promisqs::detail::wait_clock;
    using std::chrono::nanoseconds;
    using stage = wait_clock::stage;
    const auto stages = [](const wait_policy& policy, std::uint64_t waited) {
        wait_clock clock(policy, false);
        const stage first = clock.first(true);
        CHECK(clock.at(1) == first);
        return std::pair(first, clock.at(1 + waited));
    };
    constexpr nanoseconds most = nanoseconds::max();
    constexpr nanoseconds least = nanoseconds::min();

    CHECK((stages({1, 5us, 10us}, 14'999) == std::pair(stage::yield, stage::yield)));
    CHECK((stages({1, 5us, 10us}, 15'000) == std::pair(stage::yield, stage::sleep)));
    CHECK((stages({1, 5us, 0us}, 5'000) == std::pair(stage::yield, stage::sleep)));
    CHECK((stages({1, most, most}, 1U << 30U) == std::pair(stage::yield, stage::yield)));
    CHECK((stages({1, most, 1ns}, 1U << 30U) == std::pair(stage::yield, stage::yield)));
    // Negative times are none.
    CHECK((stages({1, least, 10us}, 9'999) == std::pair(stage::yield, stage::yield)));
    CHECK((stages({1, 10us, least}, 9'999) == std::pair(stage::yield, stage::yield)));
    CHECK((stages({1, least, least}, 0) == std::pair(stage::sleep, stage::sleep)));
}

TEST_CASE("a thread that has learnt to yield keeps limits, gets what comes, and can be stopped") {
    const scoped_name name("wait-learnt");
    auto q = queue::create(name, 4);
    learn_to_yield(q);
    q.set_wait_policy({1, 24h, 0ns, 1, true});  // what is left out now lasts as long as the test
    std::stop_source source;

    CHECK(q.pop_wait_for(10us) == std::nullopt);
    std::jthread other([mine = queue::open(name), &source]() mutable {
        for (std::uint64_t i = 0; i < 100; ++i) static_cast<void>(mine.push_wait(i));
        while (!mine.empty()) std::this_thread::yield();
        source.request_stop();
    });
    for (std::uint64_t i = 0; i < 100; ++i) CHECK(q.pop_wait() == i);
    std::uint64_t out = 0;
    CHECK(q.pop_wait(out, source.get_token()) == status::stopped);
}

TEST_CASE("a thread that has learnt to yield is woken from its sleep") {
    const scoped_name name("wait-learnt-asleep");
    auto q = queue::create(name, 1);
    std::atomic<bool> ready = false;
    bool in_order = true;
    std::jthread consumer([&, mine = queue::open(name)]() mutable {
        learn_to_yield(mine);
        mine.set_wait_policy({1, 1ns, 0ns, 0, true});
        ready = true;
        for (std::uint64_t i = 0; i < 10; ++i) in_order = mine.pop_wait() == i && in_order;
    });
    while (!ready) std::this_thread::yield();
    for (std::uint64_t i = 0; i < 10; ++i) {
        await_sleeper(q);
        CHECK(q.push_wait(i) == status::ok);
    }
    consumer.join();
    CHECK(in_order);
}

TEST_CASE("a wait takes at once what is there") {
    const scoped_name name("wait-ready");
    auto q = queue::create(name, 2);
    std::uint64_t out = 0;

    CHECK(q.push_wait(1) == status::ok);
    CHECK(q.push_wait_for(2, 0s) == status::ok);
    CHECK(q.pop_wait() == 1U);
    CHECK(q.pop_wait_for(out, -1s) == status::ok);
    CHECK(out == 2);
    CHECK(q.push_wait_until(3, std::chrono::steady_clock::time_point::min()) == status::ok);
    CHECK(q.pop_wait_until(std::chrono::steady_clock::time_point::max()) == 3U);
}

TEST_CASE("a wait is over when its time is, and not before") {
    const scoped_name name("wait-time");
    auto q = queue::create(name, 1);
    q.set_wait_policy(GENERATE(wait_policy::balanced(), wait_policy::lowest_latency(), wait_policy::stream(),
                               wait_policy::friendly(), at_once_asleep));
    std::uint64_t out = 7;
    const auto begun = std::chrono::steady_clock::now();

    CHECK(q.pop_wait_for(2ms) == std::nullopt);
    CHECK(q.pop_wait_for(out, 2ms) == status::timed_out);
    CHECK(q.pop_wait_until(out, begun + 6ms) == status::timed_out);
    CHECK(std::chrono::steady_clock::now() >= begun + 6ms);
    CHECK(out == 7);

    REQUIRE(q.push(1));
    const auto full = std::chrono::steady_clock::now();
    CHECK(q.push_wait_for(2, 2ms) == status::timed_out);
    CHECK(q.push_wait_until(2, full + 4ms) == status::timed_out);
    CHECK(std::chrono::steady_clock::now() >= full + 4ms);
    CHECK(q.pop() == 1U);
}

TEST_CASE("a wait of no time, or of a negative one, looks once") {
    const scoped_name name("wait-zero");
    auto q = queue::create(name, 1);

    CHECK(q.pop_wait_for(0s) == std::nullopt);
    CHECK(q.pop_wait_for(-1h) == std::nullopt);
    CHECK(q.pop_wait_until(std::chrono::steady_clock::time_point::min()) == std::nullopt);
    REQUIRE(q.push(1));
    CHECK(q.push_wait_for(2, 0s) == status::timed_out);
}

TEST_CASE("a time beyond all clocks is no time limit") {
    const scoped_name name("wait-for-ever");
    auto q = queue::create(name, 1);
    q.set_wait_policy(at_once_asleep);
    std::jthread consumer([&] {
        CHECK(q.pop_wait_for(std::chrono::hours::max()) == 1U);
        CHECK(q.pop_wait_for(std::chrono::duration<double>(std::numeric_limits<double>::max())) == 2U);
        CHECK(q.pop_wait_until(std::chrono::steady_clock::time_point::max()) == 3U);
    });
    for (const std::uint64_t number : {1U, 2U, 3U}) {
        await_sleeper(q, role::consumer);
        REQUIRE(q.push_wait(number) == status::ok);
    }
}

TEST_CASE("a consumer that sleeps in another process is woken by a push") {
    const scoped_name name("wait-push");
    auto q = queue::create(name, 1);
    const auto consumer = forked([&] {
        q.set_wait_policy(at_once_asleep);
        return q.pop_wait() == 5U ? 0 : 1;
    });
    await_sleeper(q, role::consumer);

    REQUIRE(q.push(5));

    CHECK(wait_for(consumer) == 0);
}

TEST_CASE("a producer that sleeps in another process is woken by a pop") {
    const scoped_name name("wait-pop");
    auto q = queue::create(name, 1);
    REQUIRE(q.push(1));
    const auto producer = forked([&] {
        q.set_wait_policy(at_once_asleep);
        return q.push_wait(2) == status::ok ? 0 : 1;
    });
    await_sleeper(q, role::producer);

    SECTION("that copies") { CHECK(q.pop() == 1U); }
    SECTION("in place") {
        CHECK(q.pop_with([](const std::uint64_t& number) { CHECK(number == 1); }));
    }
    CHECK(wait_for(producer) == 0);
    CHECK(q.pop() == 2U);
}

TEST_CASE("closing a queue wakes all sleepers") {
    const scoped_name name("wait-close");
    auto q = queue::create(name, 1);
    const bool producers = GENERATE(false, true);
    if (producers) REQUIRE(q.push(1));
    std::vector<::pid_t> sleepers;
    for (int i = 0; i < 4; ++i) {
        sleepers.push_back(forked([&] {
            q.set_wait_policy(at_once_asleep);
            std::uint64_t out = 0;
            return (producers ? q.push_wait(2) : q.pop_wait(out)) == status::closed ? 0 : 1;
        }));
    }
    await_sleeper(q, producers ? role::producer : role::consumer);

    q.close();

    for (const auto pid : sleepers) CHECK(wait_for(pid) == 0);
}

TEST_CASE("a requeued message wakes a consumer") {
    const scoped_name name("wait-back");
    auto q = queue::create(name, 1);
    REQUIRE(q.push(1));
    ::pid_t sleeper = 0;
    const auto throws_later = [&](const std::uint64_t&) {
        sleeper = forked([&] {
            auto mine = queue::open(name);
            mine.set_wait_policy(at_once_asleep);
            return mine.pop_wait() == 1U ? 0 : 1;
        });
        await_sleeper(q, role::consumer);
        throw promisqs_test::refusal("not now");
    };
    CHECK_THROWS_AS(q.pop_with(throws_later), promisqs_test::refusal);
    CHECK(wait_for(sleeper) == 0);
}

namespace {

/// Each stage of a wait, for ever; and all of them, one after the other.
wait_policy any_stage() {
    return GENERATE(wait_policy(always_spins), always_yields, at_once_asleep, wait_policy::balanced());
}

/// A process that holds a message of the queue, in the middle of a pop in place.
template <class Queue>
busy_process consumer_inside(Queue& q) {
    return busy_process([&](auto stay) { q.pop_with([&](const std::uint64_t&) { stay(); }); });
}

}  // namespace

TEST_CASE("a consumer that waits in any stage gets the message of a consumer that dies during the wait") {
    const scoped_name name("wait-death");
    auto q = queue::create(name, 2);
    q.set_wait_policy(any_stage());
    REQUIRE(q.push(9));
    auto victim = consumer_inside(q);
    std::optional<std::uint64_t> got;
    std::thread waiting([&] { got = q.pop_wait(); });
    await_participants(q, 3);

    victim.kill();
    waiting.join();

    CHECK(got == 9U);
}

TEST_CASE("a producer that waits in any stage gets the place of a consumer that dies with a poison message") {
    const scoped_name name("wait-death-push");
    auto q = queue::create(name, 1, {.max_deaths = 1});
    q.set_wait_policy(any_stage());
    REQUIRE(q.push(9));
    auto victim = consumer_inside(q);
    status answer{};
    std::thread waiting([&] { answer = q.push_wait(1); });
    await_participants(q, 3);

    victim.kill();
    waiting.join();

    CHECK(answer == status::ok);
    CHECK(q.pop() == 1U);
}

TEST_CASE("a consumer that waits in any stage gets past a producer that dies in the middle of its push") {
    const scoped_name name("wait-death-behind");
    auto q = queue::create(name, 3);
    q.set_wait_policy(any_stage());
    busy_process victim([&](auto stay) { static_cast<void>(q.push_with([&](std::uint64_t&) { stay(); })); });
    REQUIRE(q.push(2));
    std::optional<std::uint64_t> got;
    std::thread waiting([&] { got = q.pop_wait(); });
    await_participants(q, 3);

    victim.kill();
    waiting.join();

    CHECK(got == 2U);
}

TEST_CASE("a consumer that waits at a closed queue gets the message of a consumer that dies, and then the end") {
    const scoped_name name("wait-death-closed");
    auto q = queue::create(name, 2, {.single_producer = GENERATE(false, true)});
    q.set_wait_policy(any_stage());
    REQUIRE(q.push(9));
    auto victim = consumer_inside(q);
    q.close();
    std::optional<std::uint64_t> got;
    std::optional<std::uint64_t> more;
    std::thread waiting([&] { got = q.pop_wait(), more = q.pop_wait(); });
    await_participants(q, 3);

    SECTION("it dies") {
        victim.kill();
        waiting.join();
        CHECK(got == 9U);
        CHECK(more == std::nullopt);
    }
    SECTION("it has taken it") {
        CHECK(victim.finish() == 0);
        waiting.join();
        CHECK(got == std::nullopt);
    }
}

TEST_CASE("a producer that waits is told that the queue is closed, whoever has died in it") {
    const scoped_name name("wait-death-closed-push");
    auto q = queue::create(name, 1);
    q.set_wait_policy(any_stage());
    REQUIRE(q.push(9));
    auto victim = consumer_inside(q);
    status answer{};
    std::thread waiting([&] { answer = q.push_wait(1); });
    await_participants(q, 3);
    victim.kill();

    q.close();
    waiting.join();

    CHECK(answer == status::closed);
    CHECK(q.pop_wait() == 9U);
    CHECK(q.pop_wait() == std::nullopt);
}

TEST_CASE("a consumer that other messages wake again and again gets the one of a consumer that died") {
    const scoped_name name("wait-traffic");
    auto q = queue::create(name, 1 << 16);  // others pass by the place that a live consumer holds
    q.set_wait_policy(any_stage());
    REQUIRE(q.push(9));
    auto victim = consumer_inside(q);
    std::atomic<bool> found = false;
    std::atomic<std::uint64_t> popped = 0;
    std::jthread traffic([&] {
        auto mine = queue::open(name);
        for (std::uint64_t i = 0; !found; ++i) {
            if (!mine.push(1000 + i)) break;
            while (popped == i && !found) std::this_thread::yield();  // most of the time, nothing else is ready
        }
    });
    while (popped < 100) {
        if (q.pop_wait() != 9U) ++popped;
    }

    victim.kill();
    while (q.pop_wait() != 9U) ++popped;
    found = true;

    traffic.join();
    CHECK(q.stats().redelivered == 1);
}

namespace {

/// Sends a thread a signal every millisecond, as a profiler does, as long as it lives.
class interruptions {
public:
    explicit interruptions(std::jthread& whom) {
        struct ::sigaction ignore {};
        ignore.sa_handler = [](int) {};
        // Without SA_RESTART. For good: a signal may come when the last one has been sent.
        ::sigaction(SIGUSR1, &ignore, nullptr);
        sender_ = std::jthread([target = whom.native_handle()](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                ::pthread_kill(target, SIGUSR1);
                std::this_thread::sleep_for(1ms);
            }
        });
    }
    interruptions(const interruptions&) = delete;
    interruptions& operator=(const interruptions&) = delete;
    ~interruptions() {
        sender_.request_stop();
        sender_.join();
    }

private:
    std::jthread sender_;
};

}  // namespace

TEST_CASE("a wait that signals interrupt again and again finds what the dead have left") {
    const scoped_name name("wait-interrupted");
    auto q = queue::create(name, 2, {.max_deaths = 1});
    q.set_wait_policy(any_stage());
    std::atomic<bool> over = false;
    const auto interrupted = [&](auto call, auto death) {
        std::atomic<bool> done = false;
        std::jthread waiting([&] {
            call();
            done = true;
            while (!over) std::this_thread::yield();  // signals may still come
        });
        {
            const interruptions all(waiting);
            await_participants(q, 2);
            death();
            while (!done) std::this_thread::yield();
        }
        over = true;
    };

    SECTION("a message behind a dead producer") {
        busy_process victim([&](auto stay) { static_cast<void>(q.push_with([&](std::uint64_t&) { stay(); })); });
        REQUIRE(q.push(2));
        interrupted([&] { CHECK(q.pop_wait() == 2U); }, [&] { victim.kill(); });
    }
    SECTION("the place of a poison message") {
        REQUIRE(q.push(1));
        REQUIRE(q.push(2));
        auto victim = consumer_inside(q);
        interrupted([&] { CHECK(q.push_wait(3) == status::ok); }, [&] { victim.kill(); });
    }
}

TEST_CASE("a zero limit finds what is there: behind a tombstone, and what came back") {
    const scoped_name name("wait-zero-finds");
    auto q = queue::create(name, 4);
    const bool tombstone = GENERATE(false, true);
    if (tombstone) {
        const auto refuse = [](std::uint64_t&) { throw promisqs_test::refusal("no"); };
        CHECK_THROWS_AS(static_cast<void>(q.push_with(refuse)), promisqs_test::refusal);
        REQUIRE(q.push(5));
    } else {
        REQUIRE(q.push(5));
        const auto refuse = [](const std::uint64_t&) { throw promisqs_test::refusal("no"); };
        CHECK_THROWS_AS(q.pop_with(refuse), promisqs_test::refusal);
    }
    std::uint64_t out = 0;

    SECTION("pop_wait_for") { CHECK(q.pop_wait_for(out, 0s) == status::ok); }
    SECTION("pop_wait_until") {
        CHECK(q.pop_wait_until(out, std::chrono::steady_clock::time_point::min()) == status::ok);
    }
    SECTION("pop_wait_with_for") {
        CHECK(q.pop_wait_with_for([&](const std::uint64_t& slot) { out = slot; }, 0s) == status::ok);
    }
    SECTION("pop_some_wait_for") {
        std::vector<std::uint64_t> room(3);
        CHECK(q.pop_some_wait_for(room, 0s) == 1);
        out = room.front();
    }
    CHECK(out == 5);
}

TEST_CASE("a zero limit finds room behind a tombstone") {
    const scoped_name name("wait-zero-room");
    auto q = queue::create(name, 2);
    const auto refuse = [](std::uint64_t&) { throw promisqs_test::refusal("no"); };
    CHECK_THROWS_AS(static_cast<void>(q.push_with(refuse)), promisqs_test::refusal);
    CHECK_THROWS_AS(static_cast<void>(q.push_with(refuse)), promisqs_test::refusal);
    const std::vector<std::uint64_t> two{1, 2};

    SECTION("push_wait_for") {
        CHECK(q.push_wait_for(1, 0s) == status::ok);
        CHECK(q.push_wait_for(2, 0s) == status::ok);
    }
    SECTION("push_some_wait_for") {  // for one, at least
        const auto done = q.push_some_wait_for(two, 0s);
        CHECK(done >= 1);
        if (done == 1) CHECK(q.push_some_wait_for(std::vector<std::uint64_t>{2}, 0s) == 1);
    }
    SECTION("push_all_wait_for") { CHECK(q.push_all_wait_for(two, 0s) == status::ok); }
    CHECK(q.pop() == 1U);
    CHECK(q.pop() == 2U);
}

TEST_CASE("a consumer that asks again and again, with no time to wait, gets the message of one that died") {
    const scoped_name name("wait-asks");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(9));
    auto victim = consumer_inside(q);
    await_participants(q, 2);
    victim.kill();

    std::uint64_t got = 0;
    while (q.pop_wait_for(got, 0ns) != status::ok) std::this_thread::yield();

    CHECK(got == 9);
}

TEST_CASE("a policy to look for ever does not go to sleep") {
    constexpr auto longest = std::chrono::nanoseconds::max();
    promisqs::detail::wait_clock clock({1, 5us, longest});

    CHECK(clock.first(true) == promisqs::detail::wait_clock::stage::spin);
    static_cast<void>(clock.at(1));
    CHECK(clock.at(3'600'000'000'000U) == promisqs::detail::wait_clock::stage::yield);
}

TEST_CASE("a stop ends a wait behind a producer that is in the middle of its push") {
    const scoped_name name("wait-stop-behind");
    auto q = queue::create(name, 3);
    q.set_wait_policy(any_stage());
    busy_process producer([&](auto stay) {
        static_cast<void>(q.push_with([&](std::uint64_t& slot) {
            slot = 1;
            stay();
        }));
    });
    std::stop_source source;
    std::uint64_t out = 0;
    status answer{};
    std::thread waiting([&] { answer = q.pop_wait(out, source.get_token()); });
    await_participants(q, 2);

    source.request_stop();
    waiting.join();

    CHECK(answer == status::stopped);
    CHECK(producer.finish() == 0);
    CHECK(q.pop() == 1U);
}

TEST_CASE("a signal does not end a wait") {
    const scoped_name name("wait-signal");
    auto q = queue::create(name, 1);
    struct ::sigaction ignore {};
    ignore.sa_handler = [](int) {};
    struct ::sigaction before {};
    ::sigaction(SIGUSR1, &ignore, &before);  // without SA_RESTART
    std::optional<std::uint64_t> got;
    std::jthread consumer([&] {
        auto mine = q;
        mine.set_wait_policy(at_once_asleep);
        got = mine.pop_wait();
    });
    await_sleeper(q, role::consumer);
    for (int i = 0; i < 100; ++i) ::pthread_kill(consumer.native_handle(), SIGUSR1);
    REQUIRE(q.push(4));
    consumer.join();
    ::sigaction(SIGUSR1, &before, nullptr);
    CHECK(got == 4U);
}

TEST_CASE("a killed sleeper keeps no wake-up from another one") {
    const scoped_name name("wait-killed");
    auto q = queue::create(name, 1);
    const auto sleeper = [&] {
        return forked([&] {
            auto mine = queue::open(name);
            mine.set_wait_policy(at_once_asleep);
            return mine.pop_wait() ? 0 : 1;
        });
    };
    const auto victim = sleeper();
    await_sleeper(q, role::consumer);
    const auto other = sleeper();
    ::kill(victim, SIGKILL);
    CHECK(wait_for(victim) == -SIGKILL);

    REQUIRE(q.push(1));

    CHECK(wait_for(other) == 0);
    REQUIRE(q.push(2));  // all are awake
    REQUIRE_FALSE(q.push(3));
    CHECK_FALSE(somebody_sleeps(q, role::consumer));
}

TEST_CASE("the last one to wait leaves a wait word on which nobody seems to sleep") {
    const scoped_name name("wait-word");
    auto q = queue::create(name, 2);
    q.set_wait_policy(at_once_asleep);

    CHECK(q.pop_wait_for(100ms) == std::nullopt);

    CHECK_FALSE(somebody_sleeps(q, role::consumer));
}

TEST_CASE("waiting inside a callable of the same queue is refused") {
    const scoped_name name("wait-nested");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));
    promisqs_test::expect_error(promisqs::errc::in_callable, {name}, [&] {
        q.pop_with([&](const std::uint64_t&) { static_cast<void>(q.pop_wait_for(1ms)); });
    });
    CHECK(q.pop() == 1U);
}

TEST_CASE("a copy of a handle waits as it does") {
    const scoped_name name("wait-copy");
    auto q = queue::create(name, 2);
    q.set_wait_policy(wait_policy::stream());
    CHECK(queue(q).waits_by().pauses == wait_policy::stream().pauses);
    CHECK(queue::open(name).waits_by().pauses == wait_policy::balanced().pauses);
}

namespace {

/// So many producers and consumers, all by waiting; each message arrives once.
void exchange(queue& q, int producers, int consumers, std::uint64_t each, const wait_policy& policy) {
    std::atomic<std::uint64_t> sum = 0;
    std::atomic<std::uint64_t> count = 0;
    {
        std::vector<std::jthread> threads;
        std::atomic<int> producing = producers;
        for (int i = 0; i < consumers; ++i) {
            threads.emplace_back([&] {
                auto mine = q;
                mine.set_wait_policy(policy);
                while (const auto number = mine.pop_wait()) sum += *number, ++count;
            });
        }
        for (int i = 0; i < producers; ++i) {
            threads.emplace_back([&] {
                auto mine = q;
                mine.set_wait_policy(policy);
                for (std::uint64_t n = 1; n <= each; ++n) {
                    if (mine.push_wait(n) != status::ok) ++sum;
                }
                if (--producing == 0) mine.close();
            });
        }
    }
    const auto all = static_cast<std::uint64_t>(producers) * each;
    CHECK(count == all);
    CHECK(sum == all * (each + 1) / 2);
}

}  // namespace

TEST_CASE("no producer or consumer is left asleep, for any number of each") {
    const scoped_name name("wait-many");
    const auto policy = GENERATE(wait_policy::friendly(), wait_policy::balanced(), at_once_asleep);
    const std::uint64_t capacity = GENERATE(1U, 2U, 7U);
    const auto [producers, consumers] = GENERATE(std::pair(1, 1), std::pair(3, 1), std::pair(1, 3), std::pair(3, 3));
    const bool single = producers == 1 && consumers == 1 && capacity != 2;
    auto q = queue::create(name, capacity, {.single_producer = single, .single_consumer = single});
    exchange(q, producers, consumers, 3000, policy);
}
