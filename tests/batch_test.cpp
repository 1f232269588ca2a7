// SPDX-License-Identifier: Apache-2.0

// Several messages at once.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/sleepers.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>
#include <promisqs/wait_any.hpp>

#include <poll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <span>
#include <thread>
#include <vector>

using promisqs::status;
using promisqs_test::scoped_name;
using queue = promisqs_test::number_queue;
using numbers = std::vector<std::uint64_t>;
using namespace std::chrono_literals;

namespace {

numbers from(std::uint64_t first, std::size_t count) {
    numbers result(count);
    std::iota(result.begin(), result.end(), first);
    return result;
}

numbers popped(queue& q, std::size_t room) {
    numbers result(room);
    result.resize(q.pop_some(result));
    return result;
}

promisqs::options roles(bool single) { return {.single_producer = single, .single_consumer = single}; }

}  // namespace

TEST_CASE("push_some pushes what fits, pop_some pops what is there") {
    const scoped_name name("some");
    const std::uint64_t capacity = GENERATE(1U, 2U, 3U, 5U, 8U);
    auto q = queue::create(name, capacity, roles(GENERATE(false, true)));
    std::uint64_t next = 1;
    for (std::uint64_t before = 0; before <= capacity; ++before) {  // from every position, past the end of the ring
        CAPTURE(capacity, before);
        REQUIRE(q.push_some(from(next, before)) == before);
        REQUIRE(popped(q, before + 1) == from(next, before));
        next += before;
        const numbers more = from(next, capacity + 3);
        CHECK(q.push_some(more) == capacity);
        CHECK(q.push_some(more) == 0);
        CHECK(q.size() == capacity);
        CHECK(popped(q, 1) == from(next, 1));
        CHECK(popped(q, capacity + 3) == from(next + 1, capacity - 1));
        CHECK(popped(q, 3).empty());
        next += capacity + 3;
    }
}

TEST_CASE("push_all pushes all or none") {
    const scoped_name name("all");
    auto q = queue::create(name, 5);
    CHECK(q.push_all(from(1, 3)));
    CHECK_FALSE(q.push_all(from(4, 3)));
    CHECK(q.size() == 3);
    CHECK(q.push_all(from(4, 2)));
    CHECK_FALSE(q.push_all(from(9, 1)));
    CHECK(popped(q, 9) == from(1, 5));
    CHECK(q.push_all(from(1, 5)));
}

TEST_CASE("more messages than a queue can ever hold are refused") {
    const scoped_name name("too-large");
    auto q = queue::create(name, 4);
    const numbers many = from(1, 5);
    const auto refused = [&](auto push) {
        promisqs_test::expect_error(promisqs::errc::batch_too_large, {name, "at most 4", "found 5"}, push);
    };
    refused([&] { static_cast<void>(q.push_all(many)); });
    refused([&] { static_cast<void>(q.push_all_wait(many)); });
    refused([&] { static_cast<void>(q.push_all_wait_for(many, 1ms)); });
    CHECK(q.empty());
}

TEST_CASE("no messages are pushed, and popped into no room, at once") {
    const scoped_name name("none");
    auto q = queue::create(name, 1);
    CHECK(q.push_some({}) == 0);
    CHECK(q.push_all({}));
    CHECK(q.push_all_wait({}) == status::ok);
    CHECK(q.push_some_wait({}) == 0);
    CHECK(q.pop_some({}) == 0);
    CHECK(q.pop_some_wait({}) == 0);
    REQUIRE(q.push(1));
    CHECK(q.push_all({}));  // full
    CHECK(q.pop() == 1U);
}

TEST_CASE("a closed queue takes no batch, and gives what is left") {
    const scoped_name name("batch-closed");
    auto q = queue::create(name, 4, roles(GENERATE(false, true)));
    REQUIRE(q.push_all(from(1, 3)));
    q.close();
    CHECK(q.push_some(from(4, 1)) == 0);
    CHECK_FALSE(q.push_all(from(4, 1)));
    CHECK(q.push_all_wait(from(4, 1)) == status::closed);
    numbers room(8);
    CHECK(q.pop_some_wait(room) == 3);
    CHECK(q.pop_some_wait(room) == 0);
}

TEST_CASE("batches and single messages follow each other") {
    const scoped_name name("batch-mixed");
    auto q = queue::create(name, 6, roles(GENERATE(false, true)));
    for (int lap = 0; lap < 20; ++lap) {
        REQUIRE(q.push(1));
        REQUIRE(q.push_all(from(2, 3)));
        REQUIRE(q.push(5));
        REQUIRE(q.pop() == 1U);
        REQUIRE(popped(q, 2) == from(2, 2));
        REQUIRE(q.pop() == 4U);
        REQUIRE(popped(q, 2) == from(5, 1));
    }
}

TEST_CASE("a batch that fits only in part says so when its time is over") {
    const scoped_name name("batch-time");
    auto q = queue::create(name, 3);
    numbers room(4);
    CHECK(q.pop_some_wait_for(room, 1ms) == 0);
    REQUIRE(q.push(1));
    CHECK(q.push_all_wait_for(from(2, 3), 1ms) == status::timed_out);
    CHECK(q.push_some_wait_for(from(2, 3), 1ms) == 2);
    CHECK(q.push_some_wait_for(from(2, 3), 1ms) == 0);
    CHECK(q.pop_some_wait_until(room, std::chrono::steady_clock::now() + 1h) == 3);
}

TEST_CASE("a producer that waits for much room leaves to others what is too little for it") {
    const scoped_name name("batch-others");
    auto q = queue::create(name, 3);
    REQUIRE(q.push_all(from(1, 3)));
    std::atomic<int> ready = 0;
    std::jthread much([&] {
        auto mine = q;
        mine.set_wait_policy({0, 0ns, 0ns});
        ++ready;
        CHECK(mine.push_all_wait(from(10, 3)) == status::ok);
    });
    std::jthread little([&] {
        auto mine = q;
        mine.set_wait_policy({0, 0ns, 0ns});
        ++ready;
        CHECK(mine.push_wait(20) == status::ok);
    });
    while (ready < 2) std::this_thread::yield();
    CHECK(q.pop() == 1U);
    little.join();  // it was asleep, or comes later
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == 3U);
    CHECK(q.pop() == 20U);
    much.join();
    CHECK(popped(q, 3) == from(10, 3));
}

TEST_CASE("the messages of a batch come out one after the other, with no others between them") {
    const scoped_name name("batch-whole");
    auto q = queue::create(name, 16);
    constexpr std::uint64_t batches = 2000;
    std::vector<std::jthread> producers;
    for (std::uint64_t producer = 1; producer <= 2; ++producer) {
        producers.emplace_back([&q, producer] {
            for (std::uint64_t i = 0; i < batches; ++i) {
                const std::array<std::uint64_t, 3> three{producer << 32 | 3 * i, producer << 32 | (3 * i + 1),
                                                         producer << 32 | (3 * i + 2)};
                if (q.push_all_wait(three) != status::ok) return;
            }
        });
    }
    numbers all;
    std::array<std::uint64_t, 7> room{};
    while (all.size() < 2 * 3 * batches) {
        const auto got = q.pop_some_wait(room);
        all.insert(all.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(got));
    }
    std::array<std::uint64_t, 3> next{};
    for (std::size_t i = 0; i < all.size(); ++i) {
        const std::uint64_t producer = all[i] >> 32;
        REQUIRE((all[i] & 0xFFFF'FFFF) == next.at(producer)++);
        if (i % 3 != 0) REQUIRE(producer == all[i - 1] >> 32);
    }
}

TEST_CASE("a batch pops up to a message that is not finished, and one that came back alone") {
    const scoped_name name("batch-gap");
    auto q = queue::create(name, 6);
    REQUIRE(q.push_all(from(1, 2)));
    {
        promisqs_test::busy_process producer([&](auto wait) {
            static_cast<void>(q.push_with([&](std::uint64_t& slot) {
                slot = 3;
                wait();
            }));
        });
        REQUIRE(q.push_all(from(4, 2)));
        CHECK(popped(q, 6) == from(1, 2));
        CHECK(producer.finish() == 0);
    }
    CHECK(popped(q, 6) == from(3, 3));
    REQUIRE(q.push_all(from(6, 2)));
    promisqs_test::dies_popping(q);
    promisqs_test::recovers(q, {.removed = 2, .to_redeliver = 1});
    CHECK(popped(q, 6) == from(7, 1));
    CHECK(popped(q, 6) == from(6, 1));
    promisqs_test::has_full_capacity(q);
}

namespace {

// A queue of 8 with tombstones where the next message is to come out.
queue with_tombstones(const scoped_name& name, int tombstones, bool single_consumer) {
    auto q = queue::create(name, 8, {.single_consumer = single_consumer});
    const auto refuse = [](std::uint64_t&) { throw promisqs_test::refusal("no"); };
    for (int i = 0; i < tombstones; ++i) {
        CHECK_THROWS_AS(static_cast<void>(q.push_with(refuse)), promisqs_test::refusal);
    }
    return q;
}

std::uint64_t pushed_one_by_one(queue& q) {
    std::uint64_t count = 0;
    while (count < 10 && q.push(count)) ++count;
    return count;
}

}  // namespace

TEST_CASE("push_all has room where as many single pushes have, also behind tombstones") {
    const scoped_name first("all-tombstones-1"), second("all-tombstones-2");
    const int tombstones = GENERATE(1, 2, 8);
    const bool single_consumer = GENERATE(false, true);
    CAPTURE(tombstones, single_consumer);
    auto singles = with_tombstones(first, tombstones, single_consumer);
    auto q = with_tombstones(second, tombstones, single_consumer);
    const std::uint64_t room = pushed_one_by_one(singles);

    if (room < 8) CHECK_FALSE(q.push_all(from(1, room + 1)));
    CHECK(q.push_all(from(1, room)));
    CHECK(popped(q, 9) == from(1, room));
    CHECK(q.push_all(from(1, 8)));
}

TEST_CASE("push_all_wait has room behind tombstones while the single consumer only waits") {
    const scoped_name name("all-waits");
    auto q = with_tombstones(name, GENERATE(1, 8), true);
    const bool sleeps = GENERATE(false, true);
    std::jthread consumer([&] {
        auto mine = queue::open(name);
        if (sleeps) mine.set_wait_policy(promisqs_test::at_once_asleep);
        for (std::uint64_t next = 1; next <= 8;) {
            CHECK(promisqs::wait_any(mine) == std::optional<std::size_t>(0));
            if (const auto message = mine.pop()) CHECK(*message == next++);  // none: it made way
        }
    });
    CHECK(q.push_all_wait(from(1, 8)) == status::ok);
}

TEST_CASE("push_all_wait has room behind tombstones while the single consumer is asked by an event") {
    const scoped_name name("all-event");
    auto q = with_tombstones(name, GENERATE(1, 8), true);
    auto mine = queue::open(name);
    promisqs::ready_event event(mine);
    std::jthread producer([&] { CHECK(q.push_all_wait(from(1, 8)) == status::ok); });
    for (std::uint64_t next = 1; next <= 8;) {
        ::pollfd one{event.descriptor(), POLLIN, 0};
        REQUIRE(::poll(&one, 1, -1) == 1);
        for (std::uint64_t out = 0; mine.try_pop(out) == status::ok; ++next) CHECK(out == next);
        event.rearm();
    }
}

// Writes a stamp into a slot of a queue of numbers.
static void plant_stamp(const scoped_name& name, std::uint64_t slot, std::uint64_t stamp) {
    namespace layout = promisqs::detail::layout;
    const promisqs_test::raw_object raw(name.path());
    std::uint64_t slots = 0;
    const auto bytes = raw.read();
    std::memcpy(&slots, bytes.data() + offsetof(layout::header, fields.slots_offset), sizeof slots);
    constexpr std::uint64_t stride = layout::slot_stride(sizeof(std::uint64_t), alignof(std::uint64_t));
    raw.write(slots + slot * stride + layout::stamp_offset(sizeof(std::uint64_t)), stamp);
}

TEST_CASE("push_all finds a foreign stamp corrupt where single pushes do") {
    const scoped_name first("all-foreign-1"), second("all-foreign-2");
    const std::uint64_t foreign = GENERATE(std::uint64_t{0x1234'5678'1234'5678}, std::uint64_t{1}, std::uint64_t{77});
    const std::uint64_t where = GENERATE(0U, 3U, 4U);
    CAPTURE(foreign, where);
    const auto plant = [&](const scoped_name& name) {
        auto q = queue::create(name, 8);
        plant_stamp(name, where, foreign);
        return q;
    };
    const auto push_one_by_one = [&](queue& q) {
        std::uint64_t count = 0;
        while (count < 5 && q.push(count)) ++count;
        return count == 5;
    };
    auto singles = plant(first);
    auto q = plant(second);
    bool answer = false;
    bool corrupt = false;
    try {
        answer = push_one_by_one(singles);
    } catch (const promisqs::queue_error& error) {
        corrupt = error.code() == promisqs::errc::corrupt;
    }

    if (corrupt) {
        promisqs_test::expect_error(promisqs::errc::corrupt, {second},
                                    [&] { static_cast<void>(q.push_all(from(1, 5))); });
        promisqs_test::expect_error(promisqs::errc::corrupt, {second},
                                    [&] { static_cast<void>(q.push_all_wait(from(1, 5))); });
    } else {
        CHECK(q.push_all(from(1, 5)) == answer);
    }
}

TEST_CASE("push_all recovers a message that nobody holds, in a slot that it needs, as single pushes do") {
    const scoped_name name("all-nobodys");
    auto q = queue::create(name, 8);
    plant_stamp(name, 3, ~std::uint64_t{0});  // taken by a consumer, after as many deaths as can be counted

    CHECK(q.push_all(from(1, 5)));  // it was dropped
    CHECK(q.stats().dropped == 1);
}
