// SPDX-License-Identifier: Apache-2.0

// Sets of slots, and the places of tickets, as recovery uses them.

#include "support/catch.hpp"
#include "support/plain_memory.hpp"

#include <promisqs/detail/protocol/last_lap.hpp>
#include <promisqs/detail/protocol/slot_set.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

using promisqs::detail::last_lap;
using promisqs::detail::place_range;
using promisqs::detail::slot_set;
using promisqs::detail::ticket_space;

namespace {

std::set<std::uint64_t> members(const slot_set& all) {
    std::set<std::uint64_t> found;
    all.for_each([&](std::uint64_t place) { found.insert(place); });
    return found;
}

}  // namespace

TEST_CASE("a set of slots holds the ranges that were added, and tells which ranges have any of them") {
    std::array<std::uint64_t, 4> words{};
    slot_set all(words);
    const std::uint64_t begin = GENERATE(0U, 1U, 63U, 64U, 100U);
    const std::uint64_t end = GENERATE(100U, 127U, 128U, 129U, 256U);

    all.add(place_range{begin, end});

    CHECK(members(all).size() == end - begin);
    CHECK(all.has_any({0, 256}) == (begin != end));
    CHECK_FALSE(all.has_any({0, begin}));
    CHECK_FALSE(all.has_any({end, 256}));
    if (begin == end) return;
    CHECK(all.has_any({begin, begin + 1}));
    CHECK(all.has_any({end - 1, end}));
    CHECK_FALSE(all.has_any({begin, begin}));
}

TEST_CASE("what lies in a range moves from one set to another") {
    std::array<std::uint64_t, 4> words{};
    const std::span<std::uint64_t> all(words);
    slot_set from(all.first(2));
    slot_set to(all.last(2));
    from.add(place_range{60, 70});
    to.add(1);

    from.move({64, 100}, to);

    CHECK(members(from) == std::set<std::uint64_t>{60, 61, 62, 63});
    CHECK(members(to) == std::set<std::uint64_t>{1, 64, 65, 66, 67, 68, 69});
}

TEST_CASE("the places of the last lap are its tickets in order, also where tickets wrap around") {
    const std::uint64_t capacity = GENERATE(1U, 3U, 64U, 100U);
    const ticket_space space(capacity);
    const std::uint64_t offset = GENERATE(0U, 1U, 2U) % capacity;
    std::uint64_t oldest = GENERATE(false, true) ? space.previous_lap(0) : space.next_lap(0);
    for (std::uint64_t i = 0; i < offset; ++i) oldest = space.next(oldest);
    const last_lap lap(space, space.next_lap(oldest));

    std::uint64_t ticket = oldest;
    for (std::uint64_t place = 0; place < capacity; ++place, ticket = space.next(ticket)) {
        REQUIRE(lap.ticket_at(place) == ticket);
        REQUIRE(lap.place_of(ticket) == place);
    }
    CHECK(ticket == space.next_lap(oldest));
    CHECK(lap.place_of(ticket) >= capacity);
    CHECK(lap.place_of(space.previous_lap(oldest)) >= capacity);
    CHECK(lap.place_of(promisqs::detail::layout::no_ticket) >= capacity);
}

TEST_CASE("an intent covers the tickets of its batch that are in the last lap") {
    const ticket_space space(10);
    const std::uint64_t oldest = space.next_lap(4);
    const last_lap lap(space, space.next_lap(oldest));
    const auto covered = [&](std::uint64_t first, std::uint64_t count) {
        const std::atomic<std::uint64_t> intent = first;
        const std::atomic<std::uint64_t> tickets = count;
        const place_range found = lap.covered_by(intent, tickets);
        return std::vector<std::uint64_t>{found.begin, found.end};
    };
    using range = std::vector<std::uint64_t>;

    CHECK(covered(oldest, 1) == range{0, 1});
    CHECK(covered(oldest + 2, 3) == range{2, 5});
    CHECK(covered(oldest + 2, 100) == range{2, 10});
    CHECK(covered(oldest + 2, ~std::uint64_t{0}) == range{2, 10});
    CHECK(covered(space.next_lap(0), 5) == range{0, 1});
    CHECK(covered(space.next_lap(0), 4) == range{0, 0});
    CHECK(covered(0, ~std::uint64_t{0}) == range{0, 10});
    CHECK(covered(oldest, 0) == range{0, 0});
    CHECK(covered(space.next_lap(oldest), 3) == range{10, 10});
    CHECK(covered(promisqs::detail::layout::no_ticket, 3) == range{0, 0});
    CHECK(covered(oldest + 6, 1) == range{0, 0});  // no ticket: its index is past the capacity
}
