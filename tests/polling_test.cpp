// SPDX-License-Identifier: Apache-2.0

// How a thread learns when to look again, and that it says "empty" and "full" only where that is so, whatever it has
// learnt.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/sleepers.hpp"
#include "support/status_text.hpp"

#include <promisqs/detail/queue/adaptive_spin.hpp>
#include <promisqs/queue.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

using promisqs::status;
using promisqs::wait_policy;
using promisqs::detail::adaptive_spin;
using promisqs_test::scoped_name;
using queue = promisqs_test::number_queue;
using namespace std::chrono_literals;

TEST_CASE("a thread that finds something looks each time, and for longer than it took") {
    adaptive_spin spin;
    CHECK(spin.looks() > 0);  // it has learnt nothing yet
    std::uint32_t before = 0;
    for (const std::uint32_t took : {0U, 1U, 2U, 15U, 100U, 255U}) {
        spin.found_after(took);
        const std::uint32_t looks = spin.looks();
        CHECK(looks > took);
        CHECK(looks > before);
        CHECK(spin.looks() == looks);  // until something else is learnt
        before = looks;
    }
}

TEST_CASE("a thread never looks more often than a fixed number of times") {
    constexpr std::uint32_t most = adaptive_spin::most_looks;
    adaptive_spin spin;
    CHECK(spin.looks() <= most);
    for (const std::uint32_t took : {0U, 255U, 256U, 1023U, 65'535U, 65'536U, ~0U}) {
        spin.found_after(took);
        CHECK(spin.looks() > 0);
        CHECK(spin.looks() <= most);
        spin.found_nothing();
        CHECK(spin.looks() <= most);
    }
}

namespace {

// How many of so many occasions a thread takes, where all are in vain.
int taken_in_vain(adaptive_spin& spin, int occasions) {
    int taken = 0;
    for (int i = 0; i < occasions; ++i) {
        if (spin.looks() == 0) continue;
        ++taken;
        spin.found_nothing();
    }
    return taken;
}

}  // namespace

TEST_CASE("a thread that never finds anything looks at one occasion of 64") {
    adaptive_spin spin;
    if (GENERATE(false, true)) spin.found_after(3);
    taken_in_vain(spin, 1000);
    CHECK(taken_in_vain(spin, 64) == 1);
    CHECK(taken_in_vain(spin, 640) == 10);
}

TEST_CASE("a thread that finds something after long looks at the next occasions, too, at once") {
    adaptive_spin spin;
    taken_in_vain(spin, 1000);
    while (spin.looks() == 0) {}
    spin.found_after(3);
    CHECK(spin.looks() > 3);
    CHECK(taken_in_vain(spin, 6) == 6);
}

TEST_CASE("a thread takes all occasions while one of seven is worth while") {
    adaptive_spin spin;
    taken_in_vain(spin, 1000);
    while (spin.looks() == 0) {}
    for (int round = 0; round < 100; ++round) {
        spin.found_after(0);
        REQUIRE(taken_in_vain(spin, 6) == 6);
        REQUIRE(spin.looks() > 0);
    }
}

namespace {

/// What a thread has gone through before it is asked: how many messages it has moved in a row, each time before it
/// found nothing, or no room.
using history = std::vector<std::uint64_t>;

history any_history() {
    return GENERATE(history{}, history{0}, history(200, 0), history(200, 1), history(10, 4), history{4, 0, 0, 1, 4, 0},
                    history{1, 1, 1, 4});
}

wait_policy any_policy() {
    constexpr std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
    return GENERATE_COPY(wait_policy::balanced(), wait_policy::lowest_latency(), wait_policy{1, 5us, 65us, most, true},
                         wait_policy{0, -1h, -1h, 1, true});
}

queue queue_of(const scoped_name& name, bool single) {
    return queue::create(name, 4, {.single_producer = single, .single_consumer = single});
}

void live_through(queue& q, const history& past) {
    std::uint64_t out = 0;
    for (const std::uint64_t moved : past) {
        for (std::uint64_t i = 0; i < moved; ++i) REQUIRE(q.try_push(i) == status::ok);
        if (moved == q.capacity()) REQUIRE(q.try_push(9) == status::full);
        for (std::uint64_t i = 0; i < moved; ++i) REQUIRE(q.try_pop(out) == status::ok);
        REQUIRE(q.try_pop(out) == status::empty);
    }
}

}  // namespace

TEST_CASE("every call finds an empty queue empty, and a full one full, after any history") {
    const scoped_name name("polling");
    const bool single = GENERATE(false, true);
    const history past = any_history();
    const std::uint64_t moved = GENERATE(0U, 1U, 4U);  // just before
    auto q = queue_of(name, single);
    q.set_wait_policy(any_policy());
    live_through(q, past);
    for (std::uint64_t i = 0; i < moved; ++i) REQUIRE(q.push(i));
    for (std::uint64_t i = 0; i < moved; ++i) REQUIRE(q.pop() == i);

    std::array<std::uint64_t, 2> room{7, 7};
    for (int lap = 0; lap < 70; ++lap) {  // so that an occasion to look again is among them
        CHECK(q.try_pop(room[0]) == status::empty);
        CHECK(q.pop() == std::nullopt);
        CHECK(q.pop_some(room) == 0);
        CHECK(q.pop_wait_for(room[0], 0s) == status::timed_out);
        CHECK_FALSE(q.pop_with([](const std::uint64_t&) { FAIL("there is no message"); }));
    }
    CHECK(room == std::array<std::uint64_t, 2>{7, 7});

    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(q.push(i));
    for (int lap = 0; lap < 70; ++lap) {
        CHECK(q.try_push(9) == status::full);
        CHECK_FALSE(q.push(9));
        CHECK(q.push_some(room) == 0);
        CHECK(q.push_wait_for(9, 0s) == status::timed_out);
        CHECK_FALSE(q.push_with([](std::uint64_t&) { FAIL("there is no room"); }));
    }
    for (std::uint64_t i = 0; i < 4; ++i) CHECK(q.pop() == i);
    CHECK(q.pop() == std::nullopt);
}

TEST_CASE("after any history, a closed queue gives what is left, and then says closed") {
    const scoped_name name("polling-closed");
    const bool single = GENERATE(false, true);
    const history past = any_history();
    auto q = queue_of(name, single);
    live_through(q, past);
    REQUIRE(q.push(1));
    q.close();
    std::uint64_t out = 0;

    for (int lap = 0; lap < 70; ++lap) CHECK(q.try_push(2) == status::closed);
    CHECK(q.try_pop(out) == status::ok);
    CHECK(out == 1);
    for (int lap = 0; lap < 70; ++lap) CHECK(q.try_pop(out) == status::closed);
    CHECK(q.pop() == std::nullopt);
}

TEST_CASE("after any history, a queue whose oldest message is not finished is not empty: it would block") {
    const scoped_name name("polling-push");
    const history past = any_history();
    auto q = queue_of(name, false);
    live_through(q, past);
    std::uint64_t out = 7;
    promisqs_test::busy_process producer([&](auto wait) {
        static_cast<void>(q.push_with([&](std::uint64_t& slot) {
            slot = 5;
            wait();
        }));
    });

    for (int lap = 0; lap < 70; ++lap) CHECK(q.try_pop(out) == status::would_block);
    CHECK(out == 7);
    CHECK(producer.finish() == 0);
    CHECK(q.try_pop(out) == status::ok);
    CHECK(out == 5);
    CHECK(q.try_pop(out) == status::empty);
}

TEST_CASE("after any history, a queue whose oldest message is being read is not full: it would block") {
    const scoped_name name("polling-pop");
    const history past = any_history();
    auto q = queue_of(name, false);
    live_through(q, past);
    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(q.push(i));
    promisqs_test::busy_process consumer([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });

    for (int lap = 0; lap < 70; ++lap) CHECK(q.try_push(4) == status::would_block);
    CHECK(consumer.finish() == 0);
    CHECK(q.try_push(4) == status::ok);
    CHECK(q.try_push(5) == status::full);
    for (std::uint64_t i = 1; i < 5; ++i) CHECK(q.pop() == i);
}
