// SPDX-License-Identifier: Apache-2.0

// When the next look for the dead is due.

#include "support/catch.hpp"

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/queue/recovery_schedule.hpp>

#include <atomic>
#include <cstdint>

using promisqs::detail::recovery_schedule;
using promisqs::detail::os::steady_clock;

namespace {

constexpr std::uint64_t millisecond = 1'000'000;
constexpr std::uint64_t second = 1'000 * millisecond;

}  // namespace

TEST_CASE("a process that was stopped in its look for the dead looks again soon") {
    std::atomic<std::uint64_t> due = 0;
    recovery_schedule schedule(due);
    const std::uint64_t lasted = GENERATE(2 * second, 3600 * second);
    REQUIRE(schedule.promise(millisecond, steady_clock() - lasted, true) != 0);

    const auto before = steady_clock();
    schedule.looked(before - lasted);

    CHECK(schedule.promise(millisecond, before, true) == 0);  // not at once
    CHECK(schedule.promise(millisecond, steady_clock() + 20 * millisecond, true) != 0);
}

TEST_CASE("of all that wait, one looks, and another when that one has left or did not come") {
    std::atomic<std::uint64_t> due = 0;
    recovery_schedule one(due);
    recovery_schedule another(due);
    const std::uint64_t now = 1'000 * second;
    REQUIRE(another.promise(4 * millisecond, now - millisecond, false) != 0);  // so that it has looked once
    due = 0;

    const std::uint64_t promise = one.promise(4 * millisecond, now, true);
    REQUIRE(promise != 0);
    CHECK(another.promise(4 * millisecond, now + millisecond, true) == 0);
    CHECK(another.take_over(4 * millisecond, now + millisecond) == 0);  // it is kept

    SECTION("it leaves") {
        one.leave(promise, 0);
        CHECK(another.take_over(4 * millisecond, now + millisecond) != 0);
    }
    SECTION("it does not come") { CHECK(another.promise(4 * millisecond, now + 5 * millisecond, true) != 0); }
}

TEST_CASE("no promise that may be anything is believed, and none for longer than a second") {
    std::atomic<std::uint64_t> due = 0;
    recovery_schedule schedule(due);
    const std::uint64_t now = 1'000 * second;
    REQUIRE(schedule.promise(4 * millisecond, now, true) != 0);
    due = GENERATE(0U, 999 * second, 1'001 * second, ~std::uint64_t{0});
    CHECK(schedule.promise(4 * millisecond, now + 100 * millisecond, true) != 0);

    due = now + second + 110 * millisecond;  // soon, as it says
    CHECK(schedule.promise(20 * millisecond, now + second + 101 * millisecond, true) != 0);
}
