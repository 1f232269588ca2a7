// SPDX-License-Identifier: Apache-2.0

// claim_some: messages that a consumer holds, and releases one by one.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

using promisqs::errc;
using promisqs::status;
using promisqs_test::expect_error;
using promisqs_test::forked;
using promisqs_test::has_full_capacity;
using promisqs_test::kill_itself;
using promisqs_test::recovers;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;
using numbers = std::vector<std::uint64_t>;
using namespace std::chrono_literals;

namespace {

queue filled(const scoped_name& name, std::uint64_t capacity, std::uint64_t messages,
             const promisqs::options& wanted = {}) {
    auto q = queue::create(name, capacity, wanted);
    for (std::uint64_t i = 0; i < messages; ++i) REQUIRE(q.push(i));
    return q;
}

numbers all_of(const queue::claimed_messages& held) {
    numbers result;
    for (const std::uint64_t one : held) result.push_back(one);
    return result;
}

/// What claim_some finds, one after the other, until there is no more. All is released.
numbers claimed_by_one(queue& q) {
    numbers result;
    for (auto held = q.claim_some(1); !held.empty(); held = q.claim_some(1)) {
        result.push_back(held[0]);
        held.release_all();
    }
    return result;
}

numbers popped(queue& q) {
    numbers result;
    while (const auto one = q.pop()) result.push_back(*one);
    return result;
}

/// Ends a process while it holds `most` messages, of which it has released some.
void die_holding(queue& q, std::uint64_t most, const numbers& released) {
    REQUIRE(wait_for(forked([&] {
                promisqs_test::die_plainly();
                auto held = q.claim_some(most);
                for (const std::uint64_t i : released) held.release(i);
                kill_itself();
                return 0;
            })) == -SIGKILL);
}

}  // namespace

TEST_CASE("claimed messages are those that wait, and are gone once they are released, in any order") {
    const scoped_name name("claim");
    auto q = filled(name, 4, 4);

    auto held = q.claim_some(3);
    CHECK(held.size() == 3);
    CHECK(held.held() == 3);
    CHECK(all_of(held) == numbers{0, 1, 2});
    CHECK(q.size() == 1);
    CHECK(q.try_push(9) == status::full);  // they keep their places

    CHECK(held.release(1));
    CHECK_FALSE(held.is_held(1));
    CHECK_FALSE(q.push(9));  // the first place is still taken
    CHECK(q.full());
    CHECK(q.push_wait_for(9, 1ms) == status::timed_out);
    CHECK(q.push_some(numbers{9, 9}) == 0);
    CHECK(held.release(0));
    CHECK_FALSE(q.full());
    CHECK_FALSE(q.push_all(numbers{9, 9, 9}));  // there is room for two
    CHECK(q.push(4));
    CHECK(q.push(5));
    CHECK(held.held() == 1);
    CHECK(held.release(2));
    CHECK(held.held() == 0);

    CHECK(popped(q) == numbers{3, 4, 5});
    has_full_capacity(q);
}

TEST_CASE("a message that is released already, or was never there, is not released again") {
    const scoped_name name("claim-twice");
    auto q = filled(name, 2, 2);
    auto held = q.claim_some(9);
    REQUIRE(held.size() == 2);

    CHECK(held.release(0));
    REQUIRE(q.push(7));  // into the same slot
    CHECK_FALSE(held.release(0));
    CHECK_FALSE(held.release(2));
    held.release_all();
    CHECK_FALSE(held.release(1));

    CHECK(popped(q) == numbers{7});
    has_full_capacity(q);
}

TEST_CASE("there is nothing to claim in an empty queue, and nothing of no messages") {
    const scoped_name name("claim-nothing");
    auto q = filled(name, 2, 0);
    CHECK(q.claim_some(2).empty());
    REQUIRE(q.push(1));
    CHECK(q.claim_some(0).empty());
    CHECK(q.size() == 1);
}

TEST_CASE("what is given back comes first, and in order") {
    const scoped_name name("claim-give-back");
    auto q = filled(name, 8, 8, {.max_deaths = 1});
    {
        auto held = q.claim_some(5);
        held.release(0);
        held.release(3);
    }
    CHECK(q.size() == 6);

    CHECK(claimed_by_one(q) == numbers{1, 2, 4, 5, 6, 7});
    CHECK(q.stats().dropped == 0);
    CHECK(q.stats().redelivered == 0);
    has_full_capacity(q);
}

TEST_CASE("what is given back may be given back again, however often") {
    const scoped_name name("claim-again");
    auto q = filled(name, 3, 3, {.max_deaths = 1});
    for (int times = 0; times < 100; ++times) {
        auto held = q.claim_some(2);
        REQUIRE_FALSE(held.empty());
        CHECK(held[0] == 0);
        held.give_back();
        CHECK(held.empty());
        CHECK(q.size() == 3);
    }
    CHECK(claimed_by_one(q) == numbers{0, 1, 2});
    has_full_capacity(q);
}

TEST_CASE("what a killed process held is delivered again, in order, and its death is none of the messages'") {
    const scoped_name name("claim-killed");
    auto q = filled(name, 8, 8, {.max_deaths = 1});
    die_holding(q, 5, {1, 4});
    recovers(q, {.removed = 2, .to_redeliver = 3});  // the thread, and what it held
    for (int times = 0; times < 10; ++times) {
        die_holding(q, 1, {});
        recovers(q, {.removed = 2, .to_redeliver = 1});
    }

    CHECK(claimed_by_one(q) == numbers{0, 2, 3, 5, 6, 7});
    CHECK(q.stats().dropped == 0);
    has_full_capacity(q);
}

TEST_CASE("a message that was given back and then kills a consumer that works at it is dropped all the same") {
    const scoped_name name("claim-poison");
    auto q = filled(name, 2, 1, {.max_deaths = 1});
    die_holding(q, 1, {});
    recovers(q, {.removed = 2, .to_redeliver = 1});
    REQUIRE(promisqs_test::dies_popping(q) == -SIGKILL);
    recovers(q, {.removed = 1, .dropped = 1});
    CHECK(q.empty());
}

TEST_CASE("a thread holds several rows of messages, and pushes and pops in the meantime") {
    const scoped_name name("claim-many");
    auto q = filled(name, 8, 8);
    auto first = q.claim_some(2);
    auto second = q.claim_some(3);
    CHECK(q.pop() == 5U);
    CHECK(all_of(second) == numbers{2, 3, 4});
    second.release_all();
    first.release(0);
    CHECK(q.push(8));
    CHECK(q.pop_with([&](const std::uint64_t& in_place) {
        CHECK(in_place == 6);
        CHECK(first.release(1));
    }));
    CHECK(popped(q) == numbers{7, 8});
    has_full_capacity(q);
}

TEST_CASE("a holder is one participant more, and its entry serves the next one") {
    const scoped_name name("claim-entries");
    auto q = filled(name, 8, 8, {.participants = 3});
    auto first = q.claim_some(1);
    {
        auto second = q.claim_some(1);
        CHECK(q.stats().participants.size() == 3);
        expect_error(errc::too_many_participants, {"held"}, [&] { static_cast<void>(q.claim_some(1)); });
    }
    CHECK(q.claim_some(1)[0] == 1);
    CHECK(q.stats().participants.size() == 3);
    SECTION("or a thread, where no other is left") {
        std::optional<std::uint64_t> got;
        std::thread([&] { got = q.pop(); }).join();
        CHECK(got == 2U);
    }
    first.release_all();
}

TEST_CASE("messages keep their numbers, and no two have the same") {
    const scoped_name name("claim-numbers");
    auto q = filled(name, 3, 3);
    CHECK(q.pop() == 0U);
    REQUIRE(q.push(3));
    {
        auto held = q.claim_some(3);
        REQUIRE(held.size() == 3);
        for (std::uint64_t i = 0; i < 3; ++i) CHECK(held.number(i) == held[i]);
        held.release(1);
    }
    for (const std::uint64_t expected : {1U, 3U}) {
        auto held = q.claim_some(1);
        CHECK(held.number(0) == expected);
        CHECK(held[0] == expected);
        held.release_all();
    }
}

TEST_CASE("what was claimed can be moved, and assigned to, which gives back what was held") {
    const scoped_name name("claim-move");
    auto q = filled(name, 4, 4);
    auto first = q.claim_some(1);
    auto moved = std::move(first);
    CHECK(moved[0] == 0);
    moved = q.claim_some(1);
    CHECK(moved[0] == 1);
    CHECK(q.size() == 3);
    moved.release_all();
    CHECK(claimed_by_one(q) == numbers{0, 2, 3});
}

TEST_CASE("another thread releases what was claimed, and what is held outlives the handle and its thread") {
    const scoped_name name("claim-thread");
    auto keeper = filled(name, 4, 4);
    std::optional<queue::claimed_messages> held;
    std::thread([&] {
        auto q = queue::open(name);
        held.emplace(q.claim_some(2));
    }).join();
    recovers(keeper, {});  // what is held belongs to the process
    CHECK(all_of(*held) == numbers{0, 1});
    held->release(0);
    held.reset();
    CHECK(claimed_by_one(keeper) == numbers{1, 2, 3});
    has_full_capacity(keeper);
}

TEST_CASE("a forked child holds nothing, and leaves its parent's messages alone") {
    const scoped_name name("claim-fork");
    auto q = filled(name, 4, 4);
    auto held = q.claim_some(2);
    CHECK(wait_for(forked([&] {
              const bool holds = held.held() != 0 || held.is_held(0) || held.release(0);
              held.give_back();
              auto own = q.claim_some(1);
              const bool works = own.size() == 1 && own[0] == 2 && own.release(0);
              return !holds && works ? 0 : 1;
          })) == 0);
    CHECK(held.held() == 2);
    recovers(q, {.removed = 2});
    CHECK(held.release(0));
    held.give_back();
    CHECK(claimed_by_one(q) == numbers{1, 3});
}

TEST_CASE("a closed queue is not drained while a message is held") {
    const scoped_name name("claim-closed");
    auto q = filled(name, 2, 1);
    auto held = q.claim_some(2);
    q.close();
    std::uint64_t out = 0;
    CHECK(q.try_pop(out) == status::empty);
    CHECK(q.claim_some_wait_for(1, 1ms).empty());
    SECTION("it may come back") {
        held.give_back();
        CHECK(q.pop_wait(out) == status::ok);
        CHECK(out == 0);
    }
    SECTION("once it is released, the queue is drained") {
        std::thread other([&] { CHECK(queue::open(name).claim_some_wait(1).empty()); });
        held.release_all();
        other.join();
        CHECK(q.try_pop(out) == status::closed);
    }
}

TEST_CASE("a consumer waits for messages to claim, until the time is over or it is asked to stop") {
    const scoped_name name("claim-wait");
    auto q = filled(name, 2, 0);
    CHECK(q.claim_some_wait_for(2, 1ms).empty());
    CHECK(q.claim_some_wait_until(2, std::chrono::steady_clock::now()).empty());
    std::stop_source stop;
    std::thread stopper([&] { stop.request_stop(); });
    CHECK(q.claim_some_wait(2, stop.get_token()).empty());
    stopper.join();
    std::thread producer([&] { CHECK(q.push(5)); });
    auto held = q.claim_some_wait(2);
    producer.join();
    REQUIRE(held.size() == 1);
    CHECK(held[0] == 5);
    held.release_all();
    has_full_capacity(q);
}

TEST_CASE("a producer that waits for room gets it when a message is released") {
    const scoped_name name("claim-room");
    auto q = filled(name, 1, 1);
    auto held = q.claim_some(1);
    std::thread producer([&] { CHECK(q.push_wait(1) == status::ok); });
    held.release_all();
    producer.join();
    CHECK(q.pop() == 1U);
}

TEST_CASE("a declared single consumer holds several rows, and another one is refused") {
    const scoped_name name("claim-single");
    auto q = filled(name, 8, 8, {.single_consumer = true});
    auto first = q.claim_some(2);
    auto second = q.claim_some(2);
    std::thread([&] {
        expect_error(errc::role_taken, {"single consumer"}, [&] { static_cast<void>(q.claim_some(1)); });
    }).join();
    second.give_back();
    first.release_all();
    CHECK(claimed_by_one(q) == numbers{2, 3, 4, 5, 6, 7});
    has_full_capacity(q);
}

TEST_CASE("a claim inside a callable of pop_with is refused, as a pop is") {
    const scoped_name name("claim-callable");
    auto q = filled(name, 2, 2);
    CHECK(q.pop_with([&](const std::uint64_t&) {
        expect_error(errc::in_callable, {"callable"}, [&] { static_cast<void>(q.claim_some(1)); });
    }));
    CHECK(popped(q) == numbers{1});
}

TEST_CASE("messages of any type are claimed as bytes") {
    const scoped_name name("claim-untyped");
    auto typed = filled(name, 3, 3);
    auto q = promisqs::untyped_queue::open(name);
    auto held = q.claim_some(2);
    REQUIRE(held.size() == 2);
    for (std::uint64_t i = 0; i < 2; ++i) {
        const std::span<const std::byte> bytes = held[i];
        std::uint64_t value = 99;
        REQUIRE(bytes.size() == sizeof value);
        std::memcpy(&value, bytes.data(), sizeof value);
        CHECK(value == i);
    }
    held.release(0);
    held.give_back();
    CHECK(claimed_by_one(typed) == numbers{1, 2});
}

TEST_CASE("the place of a message that is held is shown to be its process's") {
    const scoped_name name("claim-shown");
    auto q = filled(name, 3, 3);
    auto held = q.claim_some(3);
    held.release(1);
    std::optional<std::uint64_t> holds;
    for (const auto& one : q.stats().participants) {
        if (one.thread == 0) holds = one.popping;
    }
    CHECK(holds == 0U);
    held.release(0);
    for (const auto& one : q.stats().participants) {
        if (one.thread == 0) holds = one.popping;
    }
    CHECK(holds == 2U);
}
