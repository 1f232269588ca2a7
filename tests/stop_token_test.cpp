// SPDX-License-Identifier: Apache-2.0

// Waiting calls that are asked to stop: what they answer, and that nothing is lost and no other sleeper is woken.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/sleepers.hpp"
#include "support/status_text.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using promisqs::status;
using promisqs::wait_any;
using promisqs_test::always_spins;
using promisqs_test::always_yields;
using promisqs_test::at_once_asleep;
using promisqs_test::await_participants;
using promisqs_test::await_sleeper;
using promisqs_test::scoped_name;
using promisqs_test::wait_word_of;
using queue = promisqs::shmem_queue<std::uint64_t>;
using promisqs::detail::role;
using namespace std::chrono_literals;

namespace {

constexpr auto far_ahead = std::chrono::steady_clock::time_point::max();
constexpr std::array<std::uint64_t, 1> batch{7};

/// One way to wait. The answers of all are put into words, so that they can be compared.
struct waiting_call {
    std::string_view name;
    role whose;
    std::string_view when_stopped;
    std::string (*make)(queue&, const std::stop_token&);
};

std::string text(status answer) { return std::string(to_string(answer)); }
std::string text(const std::optional<std::uint64_t>& message) { return message ? std::to_string(*message) : "nothing"; }
std::string text(queue::size_type count) { return "moved " + std::to_string(count); }
std::string index_text(const std::optional<std::size_t>& ready) {
    return ready ? "queue " + std::to_string(*ready) : "nothing";
}

using stop = const std::stop_token&;

void fill(std::uint64_t& slot) { slot = 7; }
void use(const std::uint64_t& /*message*/) {}

const std::vector<waiting_call>& calls_of_producers() {
    static const std::vector<waiting_call> all{
        {"push_wait", role::producer, "stopped", [](queue& q, stop s) { return text(q.push_wait(7, s)); }},
        {"push_wait_for", role::producer, "stopped", [](queue& q, stop s) { return text(q.push_wait_for(7, 24h, s)); }},
        {"push_wait_until", role::producer, "stopped",
         [](queue& q, stop s) { return text(q.push_wait_until(7, far_ahead, s)); }},
        {"push_wait_with", role::producer, "stopped", [](queue& q, stop s) { return text(q.push_wait_with(fill, s)); }},
        {"push_wait_with_for", role::producer, "stopped",
         [](queue& q, stop s) { return text(q.push_wait_with_for(fill, 24h, s)); }},
        {"push_wait_with_until", role::producer, "stopped",
         [](queue& q, stop s) { return text(q.push_wait_with_until(fill, far_ahead, s)); }},
        {"push_some_wait", role::producer, "moved 0",
         [](queue& q, stop s) { return text(q.push_some_wait(batch, s)); }},
        {"push_some_wait_for", role::producer, "moved 0",
         [](queue& q, stop s) { return text(q.push_some_wait_for(batch, 24h, s)); }},
        {"push_some_wait_until", role::producer, "moved 0",
         [](queue& q, stop s) { return text(q.push_some_wait_until(batch, far_ahead, s)); }},
        {"push_all_wait", role::producer, "stopped", [](queue& q, stop s) { return text(q.push_all_wait(batch, s)); }},
        {"push_all_wait_for", role::producer, "stopped",
         [](queue& q, stop s) { return text(q.push_all_wait_for(batch, 24h, s)); }},
        {"push_all_wait_until", role::producer, "stopped",
         [](queue& q, stop s) { return text(q.push_all_wait_until(batch, far_ahead, s)); }},
    };
    return all;
}

const std::vector<waiting_call>& calls_of_consumers() {
    static const std::vector<waiting_call> all{
        {"pop_wait", role::consumer, "nothing", [](queue& q, stop s) { return text(q.pop_wait(s)); }},
        {"pop_wait_for", role::consumer, "nothing", [](queue& q, stop s) { return text(q.pop_wait_for(24h, s)); }},
        {"pop_wait_until", role::consumer, "nothing",
         [](queue& q, stop s) { return text(q.pop_wait_until(far_ahead, s)); }},
        {"pop_wait(out)", role::consumer, "stopped",
         [](queue& q, stop s) {
             std::uint64_t out = 0;
             return text(q.pop_wait(out, s));
         }},
        {"pop_wait_for(out)", role::consumer, "stopped",
         [](queue& q, stop s) {
             std::uint64_t out = 0;
             return text(q.pop_wait_for(out, 24h, s));
         }},
        {"pop_wait_until(out)", role::consumer, "stopped",
         [](queue& q, stop s) {
             std::uint64_t out = 0;
             return text(q.pop_wait_until(out, far_ahead, s));
         }},
        {"pop_wait_with", role::consumer, "stopped", [](queue& q, stop s) { return text(q.pop_wait_with(use, s)); }},
        {"pop_wait_with_for", role::consumer, "stopped",
         [](queue& q, stop s) { return text(q.pop_wait_with_for(use, 24h, s)); }},
        {"pop_wait_with_until", role::consumer, "stopped",
         [](queue& q, stop s) { return text(q.pop_wait_with_until(use, far_ahead, s)); }},
        {"pop_some_wait", role::consumer, "moved 0",
         [](queue& q, stop s) {
             std::array<std::uint64_t, 2> room{};
             return text(q.pop_some_wait(room, s));
         }},
        {"pop_some_wait_for", role::consumer, "moved 0",
         [](queue& q, stop s) {
             std::array<std::uint64_t, 2> room{};
             return text(q.pop_some_wait_for(room, 24h, s));
         }},
        {"pop_some_wait_until", role::consumer, "moved 0",
         [](queue& q, stop s) {
             std::array<std::uint64_t, 2> room{};
             return text(q.pop_some_wait_until(room, far_ahead, s));
         }},
    };
    return all;
}

/// `wait_any` in all its forms.
const std::vector<waiting_call>& calls_of_wait_any() {
    static const auto as_span = [](queue& q) { return std::span<const queue>(&q, 1); };
    static const std::vector<waiting_call> all{
        {"wait_any", role::consumer, "nothing", [](queue& q, stop s) { return index_text(wait_any(q, s)); }},
        {"wait_any of two", role::consumer, "nothing", [](queue& q, stop s) { return index_text(wait_any(q, q, s)); }},
        {"wait_any with a duration", role::consumer, "nothing",
         [](queue& q, stop s) { return index_text(wait_any(q, q, 24h, s)); }},
        {"wait_any with a point of time", role::consumer, "nothing",
         [](queue& q, stop s) { return index_text(wait_any(q, q, far_ahead, s)); }},
        {"wait_any of a span", role::consumer, "nothing",
         [](queue& q, stop s) { return index_text(wait_any(as_span(q), s)); }},
        {"wait_any of a span with a duration", role::consumer, "nothing",
         [](queue& q, stop s) { return index_text(wait_any(as_span(q), 24h, s)); }},
        {"wait_any of a span with a point of time", role::consumer, "nothing",
         [](queue& q, stop s) { return index_text(wait_any(as_span(q), far_ahead, s)); }},
    };
    return all;
}

std::vector<waiting_call> all_calls() {
    std::vector<waiting_call> all = calls_of_producers();
    all.insert(all.end(), calls_of_consumers().begin(), calls_of_consumers().end());
    all.insert(all.end(), calls_of_wait_any().begin(), calls_of_wait_any().end());
    return all;
}

/// A queue in which the call has to wait: of one message, empty for a consumer, full for a producer.
queue to_wait_in(const scoped_name& name, const waiting_call& call, bool single = false) {
    auto q = queue::create(name, 1, {.single_producer = single, .single_consumer = single});
    if (call.whose == role::producer) {
        auto filler = queue::open(name);
        std::thread([&] { REQUIRE(filler.push(1)); }).join();  // which leaves the role to others
    }
    return q;
}

/// After a call that was stopped: nothing was moved, and the queue works.
void expect_untouched(queue& q, const waiting_call& call) {
    CAPTURE(call.name);
    const std::optional<std::uint64_t> before =
        call.whose == role::producer ? std::optional<std::uint64_t>(1) : std::nullopt;
    CHECK(q.pop() == before);
    CHECK(q.push(2));
    CHECK_FALSE(q.push(3));
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == std::nullopt);
}

std::stop_token already_stopped() {
    std::stop_source source;
    source.request_stop();
    return source.get_token();
}

}  // namespace

TEST_CASE("the name of a status is what it is called in the code") {
    CHECK(to_string(status::ok) == "ok");
    CHECK(to_string(status::full) == "full");
    CHECK(to_string(status::empty) == "empty");
    CHECK(to_string(status::would_block) == "would_block");
    CHECK(to_string(status::closed) == "closed");
    CHECK(to_string(status::timed_out) == "timed_out");
    CHECK(to_string(status::stopped) == "stopped");
    static_assert(to_string(status::stopped) == "stopped");
}

TEST_CASE("a call that sleeps ends when a stop is requested, and has moved nothing") {
    const bool single = GENERATE(false, true);
    for (const waiting_call& call : all_calls()) {
        CAPTURE(call.name, single);
        const scoped_name name("stop-asleep");
        auto q = to_wait_in(name, call, single);
        q.set_wait_policy(at_once_asleep);
        std::stop_source source;
        std::string answer;
        std::thread caller([&] { answer = call.make(q, source.get_token()); });
        await_sleeper(q, call.whose);

        source.request_stop();
        caller.join();

        CHECK(answer == call.when_stopped);
        expect_untouched(q, call);
    }
}

TEST_CASE("a call that only spins, or only yields, ends when a stop is requested") {
    const auto policy = GENERATE(promisqs::wait_policy(always_spins), always_yields);
    std::vector<waiting_call> all = calls_of_producers();
    all.insert(all.end(), calls_of_consumers().begin(), calls_of_consumers().end());
    for (const waiting_call& call : all) {
        CAPTURE(call.name);
        const scoped_name name("stop-spinning");
        auto q = to_wait_in(name, call);
        q.set_wait_policy(policy);
        std::stop_source source;
        std::string answer;
        std::thread caller([&] { answer = call.make(q, source.get_token()); });
        await_participants(q, 1);

        source.request_stop();
        caller.join();

        CHECK(answer == call.when_stopped);
        expect_untouched(q, call);
    }
}

TEST_CASE("a call whose stop was requested before does not begin to wait") {
    for (const waiting_call& call : all_calls()) {
        CAPTURE(call.name);
        const scoped_name name("stop-before");
        auto q = to_wait_in(name, call);
        q.set_wait_policy(at_once_asleep);

        CHECK(call.make(q, already_stopped()) == call.when_stopped);

        CHECK_FALSE(promisqs_test::somebody_sleeps(q, call.whose));
        expect_untouched(q, call);
    }
}

TEST_CASE("a message, or room, that is there is taken although a stop was requested before") {
    const scoped_name name("stop-ready");
    const bool single = GENERATE(false, true);
    auto q = queue::create(name, 1, {.single_producer = single, .single_consumer = single});
    const std::stop_token stopped = already_stopped();
    std::array<std::uint64_t, 2> room{};
    std::uint64_t out = 0;

    for (int lap = 0; lap < 2; ++lap) {  // the first time, the thread has no entry yet
        CHECK(q.push_wait(1, stopped) == status::ok);
        CHECK(wait_any(q, stopped) == std::optional<std::size_t>(0));
        CHECK(wait_any(std::span<const queue>(&q, 1), stopped) == std::optional<std::size_t>(0));
        CHECK(q.pop_wait(stopped) == 1U);
        CHECK(q.push_wait_with([](std::uint64_t& slot) { slot = 2; }, stopped) == status::ok);
        CHECK(q.pop_wait(out, stopped) == status::ok);
        CHECK(out == 2);
        CHECK(q.push_some_wait(batch, stopped) == 1);
        CHECK(q.pop_some_wait(room, stopped) == 1);
        CHECK(q.push_all_wait(batch, stopped) == status::ok);
        CHECK(q.pop_wait_with([&](const std::uint64_t& slot) { out = slot; }, stopped) == status::ok);
        CHECK(out == 7);
    }
}

TEST_CASE("a closed queue says closed although a stop was requested before") {
    const scoped_name name("stop-closed");
    auto q = queue::create(name, 1);
    const std::stop_token stopped = already_stopped();
    std::uint64_t out = 0;
    q.close();

    CHECK(q.push_wait(1, stopped) == status::closed);
    CHECK(q.push_all_wait(batch, stopped) == status::closed);
    CHECK(q.push_wait_with(fill, stopped) == status::closed);
    CHECK(q.pop_wait(out, stopped) == status::closed);
    CHECK(q.pop_wait_with(use, stopped) == status::closed);
    CHECK(wait_any(q, stopped) == std::optional<std::size_t>(0));
}

TEST_CASE("a call that is to look once says stopped rather than timed_out if a stop was requested before") {
    const scoped_name name("stop-zero");
    auto q = queue::create(name, 1);
    const std::stop_token stopped = already_stopped();
    std::uint64_t out = 0;

    CHECK(q.pop_wait_for(out, 0s, stopped) == status::stopped);
    CHECK(q.pop_wait_with_for(use, 0s, stopped) == status::stopped);
    REQUIRE(q.push(1));
    CHECK(q.push_wait_for(2, 0s, stopped) == status::stopped);
    CHECK(q.push_wait_with_for(fill, 0s, stopped) == status::stopped);
}

TEST_CASE("a token that is never stopped changes nothing") {
    const scoped_name name("stop-never");
    auto q = queue::create(name, 1);
    const auto source = GENERATE(true, false) ? std::stop_source() : std::stop_source(std::nostopstate);
    const std::stop_token token = source.get_token();
    q.set_wait_policy(at_once_asleep);
    std::uint64_t out = 0;

    CHECK(q.pop_wait_for(out, 2ms, token) == status::timed_out);
    CHECK(q.pop_wait_for(2ms, token) == std::nullopt);
    CHECK(q.pop_wait_with_for(use, 2ms, token) == status::timed_out);
    CHECK(wait_any(q, 2ms, token) == std::nullopt);
    CHECK(q.push_wait(1, token) == status::ok);
    CHECK(q.push_wait_for(2, 2ms, token) == status::timed_out);
    CHECK(q.push_wait_with_for(fill, 2ms, token) == status::timed_out);
    CHECK(q.pop_wait(token) == 1U);

    const scoped_name other_name("stop-never-woken");
    auto other = queue::create(other_name, 1);
    other.set_wait_policy(at_once_asleep);
    std::optional<std::uint64_t> first;
    std::optional<std::uint64_t> second = 1;
    std::thread consumer([&] {
        first = other.pop_wait(token);
        second = other.pop_wait(token);
    });
    await_sleeper(other);
    const bool pushed = other.push(5);
    await_sleeper(other);
    other.close();
    consumer.join();
    CHECK(pushed);
    CHECK(first == 5U);
    CHECK(second == std::nullopt);
}

namespace {

// A stop wakes nobody else, unless the one that is stopped was to look for the dead next: then another one has to, and is
// woken for it. That happens where the machine is busy, so the tests that follow may be tried again.
template <class Attempt>
bool wakes_nobody(Attempt attempt) {
    for (int tries = 0; tries < 50; ++tries) {
        if (attempt()) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("of two consumers that sleep, a stop ends one, wakes nobody else, and leaves the next message to the other") {
    const bool by_wait_any = GENERATE(false, true);
    CHECK(wakes_nobody([&] {
        const scoped_name name("stop-one-of-two");
        auto q = queue::create(name, 2);
        q.set_wait_policy(at_once_asleep);
        std::stop_source source;
        std::optional<std::uint64_t> got;
        std::string answer;
        std::thread other([&] { got = q.pop_wait(std::stop_source().get_token()); });
        await_participants(q, 1);
        await_sleeper(q);
        std::thread stopped([&] {
            const auto& calls = by_wait_any ? calls_of_wait_any() : calls_of_consumers();
            answer = calls.front().make(q, source.get_token());
        });
        if (!by_wait_any) await_participants(q, 2);
        const std::uint32_t before = wait_word_of(q, role::consumer);

        source.request_stop();
        stopped.join();

        CHECK(answer == "nothing");
        const bool is_unchanged = wait_word_of(q, role::consumer) == before;  // to wake sleepers changes it
        CHECK(q.push(5));
        other.join();
        CHECK(got == 5U);
        return is_unchanged;
    }));
}

TEST_CASE("of two producers that sleep, a stop ends one, wakes nobody else, and leaves the next room to the other") {
    CHECK(wakes_nobody([] {
        const scoped_name name("stop-one-producer");
        auto q = queue::create(name, 1);
        q.set_wait_policy(at_once_asleep);
        std::stop_source source;
        REQUIRE(q.push(1));
        status of_other{};
        status of_stopped{};
        std::thread other([&] { of_other = q.push_wait(2); });
        await_participants(q, 2);
        await_sleeper(q, role::producer);
        std::thread stopped([&] { of_stopped = q.push_wait(3, source.get_token()); });
        await_participants(q, 3);
        const std::uint32_t before = wait_word_of(q, role::producer);

        source.request_stop();
        stopped.join();

        CHECK(of_stopped == status::stopped);
        const bool is_unchanged = wait_word_of(q, role::producer) == before;
        CHECK(q.pop() == 1U);
        other.join();
        CHECK(of_other == status::ok);
        CHECK(q.pop() == 2U);
        CHECK(q.pop() == std::nullopt);
        return is_unchanged;
    }));
}

TEST_CASE("one stop request ends all calls that were given its token, in any queue") {
    const scoped_name first("stop-all-1");
    const scoped_name second("stop-all-2");
    auto a = queue::create(first, 1);
    auto b = queue::create(second, 1);
    REQUIRE(b.push(1));
    std::stop_source source;
    std::atomic<int> ended = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i) {
        callers.emplace_back([&] { ended += a.pop_wait(source.get_token()) == std::nullopt ? 1 : 0; });
        callers.emplace_back([&] { ended += b.push_wait(2, source.get_token()) == status::stopped ? 1 : 0; });
    }
    await_sleeper(a);
    await_sleeper(b, role::producer);

    source.request_stop();
    for (auto& caller : callers) caller.join();

    CHECK(ended == 6);
    CHECK(a.empty());
    CHECK(b.pop() == 1U);
    CHECK(b.pop() == std::nullopt);
}

TEST_CASE("what was done before a stop request is visible to the call that it ends") {
    const scoped_name name("stop-visible");
    auto q = queue::create(name, 1);
    q.set_wait_policy(at_once_asleep);
    for (int lap = 0; lap < 50; ++lap) {
        std::stop_source source;
        int seen = 0;
        int plain = 0;  // no atomic: the thread sanitizer would complain
        std::thread caller([&] {
            static_cast<void>(q.pop_wait(source.get_token()));
            seen = plain;
        });
        plain = 1;
        source.request_stop();
        caller.join();
        CHECK(seen == 1);
    }
}

namespace {

enum class raced { stopped, moved };

/// So that now this thread comes first, and now that, and often both at once.
void dawdle(std::uint64_t round, std::uint64_t different) {
    if (round % 4 == different) return std::this_thread::yield();
    for (std::atomic<std::uint64_t> i = 0; i < round % (15 + different) * 100; ++i) {}
}

/// In each round, one thread waits for a message, or for room, while another one makes it, and a third requests a stop.
/// `wait` answers what it came to; `check` looks at what is left, when all three are done.
template <class Wait, class Make, class Check>
void race(Wait wait, Make make, Check check) {
    constexpr std::uint64_t rounds = 1000;
    std::vector<std::stop_source> sources(rounds);
    std::barrier meet(3);
    raced result{};
    std::jthread waiting([&] {
        for (std::uint64_t i = 0; i < rounds; ++i) {
            meet.arrive_and_wait();
            result = wait(i, sources[i].get_token());
            meet.arrive_and_wait();
            meet.arrive_and_wait();  // all is checked
        }
    });
    std::jthread making([&] {
        for (std::uint64_t i = 0; i < rounds; ++i) {
            meet.arrive_and_wait();
            dawdle(i, 2);
            make(i);
            meet.arrive_and_wait();
            meet.arrive_and_wait();
        }
    });
    std::uint64_t wrong = 0;
    std::uint64_t stopped = 0;
    for (std::uint64_t i = 0; i < rounds; ++i) {
        meet.arrive_and_wait();
        dawdle(i, 1);
        sources[i].request_stop();
        meet.arrive_and_wait();
        if (!check(i, result)) ++wrong;
        if (result == raced::stopped) ++stopped;
        meet.arrive_and_wait();
    }
    CAPTURE(stopped);
    CHECK(wrong == 0);
}

raced to_raced(status answer) { return answer == status::ok ? raced::moved : raced::stopped; }

}  // namespace

TEST_CASE("a stop request that races with a push loses no message and doubles none") {
    const scoped_name name("stop-race-pop");
    auto q = queue::create(name, 2);
    q.set_wait_policy(GENERATE(promisqs::wait_policy::balanced(), at_once_asleep));
    std::uint64_t got = 0;
    const auto make = [&](std::uint64_t i) { static_cast<void>(q.push(i)); };
    const auto check = [&](std::uint64_t i, raced result) {
        const auto left = q.pop();
        return result == raced::moved ? !left && got == i : left == i;
    };

    SECTION("pop_wait") {
        race([&](std::uint64_t, stop s) { return to_raced(q.pop_wait(got, s)); }, make, check);
    }
    SECTION("pop_wait_with") {
        const auto take = [&](const std::uint64_t& message) { got = message; };
        race([&](std::uint64_t, stop s) { return to_raced(q.pop_wait_with(take, s)); }, make, check);
    }
    SECTION("pop_some_wait") {
        const auto wait = [&](std::uint64_t, stop s) {
            const auto count = q.pop_some_wait(std::span(&got, 1), s);
            return count == 1 ? raced::moved : raced::stopped;
        };
        race(wait, make, check);
    }
    SECTION("wait_any") {
        const auto wait = [&](std::uint64_t, stop s) {
            if (!wait_any(q, s)) return raced::stopped;
            return to_raced(q.try_pop(got));
        };
        race(wait, make, check);
    }
}

TEST_CASE("a stop request that races with a pop leaves the waiting push done, or not begun") {
    const scoped_name name("stop-race-push");
    auto q = queue::create(name, 1);
    q.set_wait_policy(GENERATE(promisqs::wait_policy::balanced(), at_once_asleep));
    constexpr std::uint64_t filling = ~std::uint64_t{0};
    REQUIRE(q.push(filling));
    std::optional<std::uint64_t> first;
    const auto make = [&](std::uint64_t) { first = q.pop(); };
    const auto check = [&](std::uint64_t i, raced result) {
        const auto left = q.pop();
        return first == filling && (result == raced::moved ? left == i : !left) && q.push(filling);
    };

    SECTION("push_wait") {
        race([&](std::uint64_t i, stop s) { return to_raced(q.push_wait(i, s)); }, make, check);
    }
    SECTION("push_wait_with") {
        const auto wait = [&](std::uint64_t i, stop s) {
            return to_raced(q.push_wait_with([&](std::uint64_t& slot) { slot = i; }, s));
        };
        race(wait, make, check);
    }
    SECTION("push_all_wait") {
        const auto wait = [&](std::uint64_t i, stop s) {
            return to_raced(q.push_all_wait(std::array<std::uint64_t, 1>{i}, s));
        };
        race(wait, make, check);
    }
}
