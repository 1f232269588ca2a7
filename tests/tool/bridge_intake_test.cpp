// SPDX-License-Identifier: Apache-2.0

// Which messages of a stream a bridge takes while its record is short of room.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "tool/bridges.hpp"

#include "bridge/bridge_record.hpp"
#include "bridge/intake.hpp"

#include <promisqs/untyped_queue.hpp>

#include <cstdint>

using promisqs_test::delivery_of;
using promisqs_test::scoped_bridge;
using promisqs_test::scoped_name;
using promisqs_tool::bridge_record;
using promisqs_tool::delivery;
using promisqs_tool::delivery_state;
using promisqs_tool::intake;
using answer = promisqs_tool::intake::answer;

namespace {

delivery delivered_again(std::uint64_t sequence) {
    delivery of = delivery_of(sequence);
    of.deliveries = 2;
    return of;
}

/// Takes all messages from the second one on, until there is no room. The first one was lost on its way.
///
/// \return  the first that is refused
std::uint64_t take_all_but_the_first(bridge_record& record, intake& takes) {
    std::uint64_t sequence = 2;
    for (; !takes.lacks_room(); ++sequence) {
        const auto decided = takes.decide(delivery_of(sequence));
        REQUIRE(decided.what == answer::to_push);
        record.table().set(*decided.at, delivery_state::confirmed);
    }
    return sequence;
}

}  // namespace

TEST_CASE("a bridge without room takes what is delivered again, and nothing new, also after it was started again") {
    const scoped_name name("intake");
    auto queue = promisqs::untyped_queue::create(name, 4, "u64");
    const scoped_bridge bridge(name);
    std::uint64_t refused = 0;
    {
        bridge_record record = bridge.start();
        intake takes(queue, record);
        refused = take_all_but_the_first(record, takes);
        CHECK(takes.decide(delivery_of(refused)).what == answer::not_now);
    }
    bridge_record record = bridge.start();
    intake takes(queue, record);
    REQUIRE(record.was_left());
    REQUIRE(takes.lacks_room());
    CHECK(takes.decide(delivery_of(refused + 1)).what == answer::not_now);
    CHECK(takes.decide(delivered_again(2)).what == answer::duplicate);
    CHECK(takes.decide(delivered_again(1)).what == answer::to_push);        // what the floor waits for
    CHECK(takes.decide(delivered_again(refused)).what == answer::to_push);  // else the floor may wait for that
}
