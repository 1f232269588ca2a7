// SPDX-License-Identifier: Apache-2.0

// A batch of one message is a message like any other: each call for batches answers, and does, what the call for a
// single message does.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/sleepers.hpp"

#include <promisqs/queue.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using promisqs::status;
using promisqs_test::scoped_name;
using queue = promisqs_test::number_queue;
using namespace std::chrono_literals;

namespace {

constexpr std::array<std::uint64_t, 1> batch{7};

std::string text(bool answer) { return answer ? "moved" : "did not"; }
std::string text(status answer) { return std::string(to_string(answer)); }
std::string text(const std::optional<std::uint64_t>& message) {
    return message ? "moved " + std::to_string(*message) : "did not";
}

// What a call for batches of one says, in the words of the one for a single message.
std::string count_text(std::uint64_t count) { return count > 1 ? std::to_string(count) : text(count == 1); }

template <class Pop>
std::string popped_text(Pop pop) {
    std::array<std::uint64_t, 1> room{99};
    const std::uint64_t count = pop(room);
    if (count > 1) return std::to_string(count);
    if (count == 0) return room[0] == 99 ? "did not" : "has written";
    return text(std::optional(room[0]));
}

std::stop_token stopped() {
    std::stop_source source;
    source.request_stop();
    return source.get_token();
}

/// A call for batches, and the one for a single message that it must equal.
struct same {
    std::string_view name;
    std::string (*of_one)(queue&);
    std::string (*single)(queue&);
};

constexpr auto is_ok = [](status answer) { return text(answer == status::ok); };
constexpr auto the_past = std::chrono::steady_clock::time_point::min();

const std::vector<same>& pushes() {
    static const std::vector<same> all{
        {"push_some", [](queue& q) { return count_text(q.push_some(batch)); },
         [](queue& q) { return text(q.push(7)); }},
        {"push_all", [](queue& q) { return text(q.push_all(batch)); }, [](queue& q) { return text(q.push(7)); }},
        {"push_some_wait", [](queue& q) { return count_text(q.push_some_wait(batch, stopped())); },
         [](queue& q) { return is_ok(q.push_wait(7, stopped())); }},
        {"push_some_wait_for", [](queue& q) { return count_text(q.push_some_wait_for(batch, 100us)); },
         [](queue& q) { return is_ok(q.push_wait_for(7, 100us)); }},
        {"push_some_wait_until", [](queue& q) { return count_text(q.push_some_wait_until(batch, the_past)); },
         [](queue& q) { return is_ok(q.push_wait_until(7, the_past)); }},
        {"push_all_wait", [](queue& q) { return text(q.push_all_wait(batch, stopped())); },
         [](queue& q) { return text(q.push_wait(7, stopped())); }},
        {"push_all_wait_for", [](queue& q) { return text(q.push_all_wait_for(batch, 100us)); },
         [](queue& q) { return text(q.push_wait_for(7, 100us)); }},
        {"push_all_wait_until", [](queue& q) { return text(q.push_all_wait_until(batch, the_past)); },
         [](queue& q) { return text(q.push_wait_until(7, the_past)); }},
    };
    return all;
}

const std::vector<same>& pops() {
    static const std::vector<same> all{
        {"pop_some", [](queue& q) { return popped_text([&](auto& room) { return q.pop_some(room); }); },
         [](queue& q) { return text(q.pop()); }},
        {"pop_some_wait",
         [](queue& q) { return popped_text([&](auto& room) { return q.pop_some_wait(room, stopped()); }); },
         [](queue& q) { return text(q.pop_wait(stopped())); }},
        {"pop_some_wait_for",
         [](queue& q) { return popped_text([&](auto& room) { return q.pop_some_wait_for(room, 100us); }); },
         [](queue& q) { return text(q.pop_wait_for(100us)); }},
        {"pop_some_wait_until",
         [](queue& q) { return popped_text([&](auto& room) { return q.pop_some_wait_until(room, the_past); }); },
         [](queue& q) { return text(q.pop_wait_until(the_past)); }},
    };
    return all;
}

std::vector<same> all_calls() {
    std::vector<same> all = pushes();
    all.insert(all.end(), pops().begin(), pops().end());
    return all;
}

// The states of a queue of 2.
constexpr std::array<std::string_view, 6> states{"empty", "half full", "full", "closed", "closed and full", "drained"};

queue in_state(const scoped_name& name, std::string_view state, bool single) {
    auto q = queue::create(name, 2, {.single_producer = single, .single_consumer = single});
    const bool is_full = state == "full" || state == "closed and full";
    const std::uint64_t messages = is_full ? 2 : state == "empty" ? 0 : 1;
    for (std::uint64_t i = 0; i < messages; ++i) REQUIRE(q.push(10 + i));
    if (state.starts_with("closed") || state == "drained") q.close();
    if (state == "drained") REQUIRE(q.pop() == 10U);
    return q;
}

std::vector<std::uint64_t> what_is_left(queue& q) {
    std::vector<std::uint64_t> left;
    for (const std::uint64_t message : q) left.push_back(message);
    return left;
}

}  // namespace

TEST_CASE("a batch of one answers, and does, what a single call does, in every state of the queue") {
    const std::string_view state = GENERATE(from_range(states));
    const bool single = GENERATE(false, true);
    for (const same& call : all_calls()) {
        CAPTURE(call.name, state, single);
        const scoped_name first("one-of-one"), second("one-single");
        auto q = in_state(first, state, single);
        auto other = in_state(second, state, single);

        CHECK(call.of_one(q) == call.single(other));

        CHECK(q.is_closed() == other.is_closed());
        CHECK(what_is_left(q) == what_is_left(other));
        CHECK(q.push(1) == other.push(1));
    }
}

TEST_CASE("a batch of one waits for room, and for a message") {
    const scoped_name name("one-waits");
    auto q = queue::create(name, 1);
    q.set_wait_policy(promisqs_test::at_once_asleep);
    bool in_order = true;
    std::jthread consumer([&in_order, mine = q]() mutable {
        std::array<std::uint64_t, 1> room{};
        for (std::uint64_t i = 1; i <= 3; ++i) in_order = mine.pop_some_wait(room) == 1 && room[0] == i && in_order;
    });
    promisqs_test::await_sleeper(q);
    CHECK(q.push_all_wait(std::array<std::uint64_t, 1>{1}) == status::ok);
    CHECK(q.push_some_wait(std::array<std::uint64_t, 1>{2}) == 1);
    CHECK(q.push_all_wait(std::array<std::uint64_t, 1>{3}) == status::ok);
    consumer.join();
    CHECK(in_order);
}

TEST_CASE("a batch of one is refused inside a callable, and nothing is lost by trying") {
    const auto expect_refusal = [](const scoped_name& name, auto action) {
        promisqs_test::expect_error(promisqs::errc::in_callable, {name, "inside the callable"}, action);
    };
    for (const same& call : all_calls()) {
        CAPTURE(call.name);
        const scoped_name name("one-nested");
        auto q = queue::create(name, 4);
        REQUIRE(q.push(1));
        const auto nested = [&](const std::uint64_t&) { static_cast<void>(call.of_one(q)); };
        expect_refusal(name, [&] { static_cast<void>(q.push_with(nested)); });
        expect_refusal(name, [&] { q.pop_with(nested); });
        CHECK(q.pop() == 1U);
        promisqs_test::has_full_capacity(q);
    }
}

TEST_CASE("a batch of one gets a message that came back") {
    const scoped_name name("one-came-back");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(3));
    promisqs_test::dies_popping(q);
    promisqs_test::recovers(q, {.removed = 1, .to_redeliver = 1});
    std::array<std::uint64_t, 1> room{};
    CHECK(q.pop_some(room) == 1);
    CHECK(room[0] == 3);
    promisqs_test::has_full_capacity(q);
}
