// SPDX-License-Identifier: Apache-2.0

// A bridge that is killed at any instruction of a push: its record tells the next one whether the message is in the
// queue.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/single_step.hpp"
#include "tool/bridges.hpp"

#include "bridge/recorded_push.hpp"

#include <promisqs/untyped_queue.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

using promisqs_test::call_trace;
using promisqs_test::delivery_of;
using promisqs_test::scoped_bridge;
using promisqs_test::scoped_name;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_tool::bridge_record;
using promisqs_tool::delivery_state;

namespace {

constexpr std::chrono::seconds patience(60);
constexpr std::size_t message_size = 24;

std::array<std::byte, message_size> message_of(std::uint64_t number) {
    std::array<std::byte, message_size> bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

// A bridge that has been told of a message, and pushes it.
std::unique_ptr<stepped_process> start(const scoped_name& queue, const scoped_bridge& bridge, std::uint64_t number) {
    return std::make_unique<stepped_process>([&queue, &bridge, number] {
        auto q = promisqs::untyped_queue::open(queue);
        bridge_record record = bridge.start();
        static_cast<void>(q.empty());
        promisqs_tool::note_tally(q, record);
        auto table = record.table();
        const auto at = table.hold(delivery_of(number), 0).value();
        const auto message = message_of(number);
        auto result = promisqs::status::full;
        step_through(
            [&] { result = promisqs_tool::push_recorded(q, record, at, message, std::chrono::nanoseconds(0), {}); });
        return result == promisqs::status::ok ? 0 : 1;
    });
}

// The message is in the queue once, or not at all, and the next bridge knows.
bool expect_known(promisqs::untyped_queue& q, const scoped_bridge& bridge, std::uint64_t number) {
    bridge_record record = bridge.start();
    if (!record.was_left()) throw std::runtime_error("the next bridge has not taken the record over");
    if (promisqs_tool::settle_pushes(q, record.file(), patience) != 0)
        throw std::runtime_error("it is not known whether the message was pushed");
    std::array<std::byte, message_size> found{};
    const bool is_there = q.pop(found);
    if (is_there && found != message_of(number)) throw std::runtime_error("it is another message");
    if (q.pop(found)) throw std::runtime_error("it is there twice");
    const auto state = record.table().state_of(delivery_of(number));
    if (state != (is_there ? delivery_state::pushed : delivery_state::held))
        throw std::runtime_error(is_there ? "it is there, and the record says it is not"
                                          : "it is not there, and the record says it is");
    record.table().forget(record.table().find(delivery_of(number)).value());
    return is_there;
}

std::size_t stride_of(const call_trace& trace) {
    constexpr std::size_t most_places = 400;
    return std::getenv("PROMISQS_EVERY_INSTRUCTION") != nullptr ? 1 : trace.stride_for(most_places);
}

}  // namespace

TEST_CASE("a bridge killed at any instruction of a push leaves word whether the message is in the queue") {
    const scoped_name queue("bridge-push");
    const scoped_bridge bridge(queue);
    auto q = promisqs::untyped_queue::create(queue, 4, promisqs::opaque_element_type(message_size, 8));
    std::array<std::byte, message_size> room{};
    static_cast<void>(q.pop(room));  // takes part
    std::uint64_t number = 1;
    auto whole = start(queue, bridge, number);
    const call_trace trace = whole->record();
    REQUIRE(whole->finish() == 0);
    whole.reset();
    REQUIRE(expect_known(q, bridge, number));
    std::size_t there = 0;
    std::size_t missing = 0;
    for (const std::size_t i : trace.places(stride_of(trace), 0)) {
        CAPTURE(i, trace.size());
        auto victim = start(queue, bridge, ++number);
        static_cast<void>(victim->advance(i, trace));
        victim->kill();
        victim.reset();
        ++(expect_known(q, bridge, number) ? there : missing);
    }
    CHECK(there != 0);
    CHECK(missing != 0);
    if (std::getenv("PROMISQS_SHOW_TRIALS") != nullptr)
        WARN(trace.size() << " instructions; " << there << " times the message was there, " << missing << " times not");
}
