// SPDX-License-Identifier: Apache-2.0

// Following the messages of a queue by reading alone: each is shown once, whole and in order, or counted as missed.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/ledger.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using promisqs::inspector;
using promisqs::tap_event;
using promisqs::tap_start;
using promisqs_test::busy_process;
using promisqs_test::dies_popping;
using promisqs_test::dies_pushing;
using promisqs_test::forked;
using promisqs_test::raw_object;
using promisqs_test::scoped_name;
using promisqs_test::sealed_message;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;
using namespace std::chrono_literals;

namespace {

template <class T>
T message_in(const promisqs::tapped& seen) {
    T message{};
    if (seen.bytes.size() != sizeof message) throw std::runtime_error("a message of another size");
    std::memcpy(&message, seen.bytes.data(), sizeof message);
    return message;
}

// What a tap shows until it has nothing more: numbers and messages.
std::vector<std::pair<std::uint64_t, std::uint64_t>> all_of(promisqs::tap& follows) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
    for (;;) {
        const auto seen = follows.next();
        if (seen.event != tap_event::message) return all;
        all.emplace_back(seen.number, message_in<std::uint64_t>(seen));
    }
}
using shown = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

void push_and_pop(queue& q, std::uint64_t from, std::uint64_t to) {
    for (; from < to; ++from) {
        REQUIRE(q.push(from));
        REQUIRE(q.pop() == from);
    }
}

/// What a tap has come upon in all.
struct account {
    std::uint64_t shown = 0;
    std::uint64_t missed = 0;
    std::uint64_t out_of_order = 0;
    std::uint64_t wrong = 0;
};

/// Follows a queue to its end. `is_right(seen)`: whether a message is what it should be.
template <class Right>
account follow(promisqs::tap& follows, Right is_right) {
    account found;
    std::uint64_t next = 0;
    for (;;) {
        const auto seen = follows.next_for(1h);
        if (seen.event == tap_event::ended || seen.event == tap_event::lost) return found;
        if (seen.event == tap_event::nothing) continue;
        if (seen.number != next) ++found.out_of_order;
        if (seen.event == tap_event::missed) {
            found.missed += seen.count;
            next = seen.number + seen.count;
        } else {
            ++found.shown;
            next = seen.number + 1;
            if (!is_right(seen)) ++found.wrong;
        }
    }
}

}  // namespace

TEST_CASE("a tap shows each message that is pushed from then on, once, in order, popped or not") {
    const scoped_name name("tap-all");
    auto q = queue::create(name, 4);
    REQUIRE(q.push(100));
    const inspector looks(name);
    auto follows = looks.open_tap();

    CHECK(follows.next().event == tap_event::nothing);
    REQUIRE(q.push(101));
    REQUIRE(q.push(102));
    CHECK(all_of(follows) == shown{{1, 101}, {2, 102}});
    REQUIRE(q.pop() == 100U);
    push_and_pop(q, 0, 0);
    REQUIRE(q.push(103));
    while (q.pop()) {}
    CHECK(all_of(follows) == shown{{3, 103}});
    CHECK(follows.next().event == tap_event::nothing);
}

TEST_CASE("a tap can begin with what waits, or with what is left of what has passed") {
    const scoped_name name("tap-start");
    auto q = queue::create(name, 4);
    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(q.push(i));
    for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(q.pop() == i);
    REQUIRE(q.push(4));
    const inspector looks(name);

    auto waiting = looks.open_tap(tap_start::oldest_waiting);
    auto left = looks.open_tap(tap_start::oldest_left);

    CHECK(all_of(waiting) == shown{{3, 3}, {4, 4}});
    CHECK(all_of(left) == shown{{1, 1}, {2, 2}, {3, 3}, {4, 4}});
}

TEST_CASE("a tap counts what was overwritten, and goes on behind the producers") {
    const scoped_name name("tap-missed");
    const std::uint64_t capacity = GENERATE(1U, 2U, 5U, 64U);
    CAPTURE(capacity);
    auto q = queue::create(name, capacity);
    auto follows = inspector(name).open_tap();
    const std::uint64_t pushed = 10 * capacity + 1;
    push_and_pop(q, 0, pushed);

    const auto first = follows.next();

    CHECK(first.event == tap_event::missed);
    CHECK(first.number == 0);
    CHECK(first.count >= 9 * capacity);
    const auto rest = all_of(follows);
    CHECK(first.count + rest.size() == pushed);
    REQUIRE_FALSE(rest.empty());
    for (const auto& [number, message] : rest) CHECK(number == message);
}

TEST_CASE("a tap waits behind a push in progress, and passes over the place of a dead one") {
    const scoped_name name("tap-tombstone");
    auto q = queue::create(name, 4);
    auto follows = inspector(name).open_tap();
    {
        const busy_process slow(
            [&](auto in_the_middle) { static_cast<void>(q.push_with([&](std::uint64_t&) { in_the_middle(); })); });
        REQUIRE(q.push(42));
        CHECK(follows.next().event == tap_event::nothing);
    }
    q.recover();
    CHECK(all_of(follows) == shown{{1, 42}});
}

TEST_CASE("a tap shows no place that a dead producer has left, once it has been popped") {
    const scoped_name name("tap-freed");
    auto q = queue::create(name, 4);
    auto follows = inspector(name).open_tap();
    dies_pushing(q);
    q.recover();
    REQUIRE(q.push(42));
    REQUIRE(q.pop() == 42U);

    const auto seen = follows.next();
    CHECK(seen.event == tap_event::missed);
    CHECK(seen.number == 0);
    CHECK(follows.next().event == tap_event::missed);  // it can't be told from a freed tombstone
    push_and_pop(q, 43, 45);
    CHECK(all_of(follows) == shown{{2, 43}, {3, 44}});
}

TEST_CASE("a tap shows a message once, however often it is delivered, and if it is dropped") {
    const scoped_name name("tap-again");
    auto q = queue::create(name, 4, {.max_deaths = 2});
    auto follows = inspector(name).open_tap();
    REQUIRE(q.push(41));
    CHECK(all_of(follows) == shown{{0, 41}});
    dies_popping(q);
    q.recover();
    dies_popping(q);
    q.recover();
    REQUIRE(q.stats().dropped == 1);
    CHECK(follows.next().event == tap_event::nothing);  // it has seen that something was irregular until now
    push_and_pop(q, 1, 2);
    CHECK(all_of(follows) == shown{{1, 1}});
}

TEST_CASE("a tap goes on where the tickets wrap around") {
    const scoped_name name("tap-wrap");
    const auto start = GENERATE(tap_start::now, tap_start::oldest_waiting);
    namespace layout = promisqs::detail::layout;
    constexpr std::uint64_t last_lap = ~std::uint64_t{0xFF};
    static_cast<void>(queue::create(name, 4, {.life = promisqs::lifetime::keep}));
    const inspector looks(name);
    const auto facts = looks.facts();
    const raw_object object(name.path());
    object.write(offsetof(layout::prefix, words.tail), last_lap);
    object.write(offsetof(layout::prefix, words.head), last_lap);
    for (std::uint64_t i = 0; i < 4; ++i)
        object.write(facts.slots_offset + i * facts.slot_stride + facts.stamp_offset, last_lap);
    auto q = queue::open(name);
    auto follows = looks.open_tap(start);
    const std::uint64_t before = (std::uint64_t{1} << 58) - 4;  // messages before the last lap

    push_and_pop(q, 0, 3);
    CHECK(all_of(follows) == shown{{before, 0}, {before + 1, 1}, {before + 2, 2}});
    REQUIRE(q.push(3));
    REQUIRE(q.push(4));
    CHECK(all_of(follows) == shown{{before + 3, 3}, {0, 4}});
    while (q.pop()) {}
    push_and_pop(q, 5, 14);
    const auto missed = follows.next();
    CHECK(missed.event == tap_event::missed);
    CHECK(missed.number == 1);
    CHECK(missed.count == 7);
    CHECK(all_of(follows) == shown{{8, 12}, {9, 13}});
}

TEST_CASE("a tap shows what is left of a closed queue, and then its end") {
    const scoped_name name("tap-end");
    auto q = queue::create(name, 4);
    auto follows = inspector(name).open_tap();
    REQUIRE(q.push(1));
    q.close();
    CHECK(all_of(follows) == shown{{0, 1}});
    CHECK(follows.next().event == tap_event::ended);
    CHECK(follows.next_for(1h).event == tap_event::ended);
}

TEST_CASE("a tap that has nothing to show waits for as long as it is told") {
    const scoped_name name("tap-wait");
    const auto q = queue::create(name, 4);
    auto follows = inspector(name).open_tap();
    const auto begin = std::chrono::steady_clock::now();
    CHECK(follows.next_for(5ms).event == tap_event::nothing);
    CHECK(std::chrono::steady_clock::now() - begin >= 5ms);
    CHECK(follows.next_for(-1ms).event == tap_event::nothing);
}

TEST_CASE("a tap sees that its queue was cut short, or started over") {
    const scoped_name name("tap-lost");
    auto q = queue::create(name, 4);
    auto follows = inspector(name).open_tap();
    REQUIRE(q.push(1));
    const raw_object object(name.path());
    const std::string what =
        GENERATE("cut short", "unfinished", "another header", "a tail that goes back", "no ticket");
    CAPTURE(what);
    if (what == "cut short")
        CHECK(::truncate(("/proc/self/fd/" + std::to_string(object.descriptor())).c_str(), 300) == 0);
    if (what == "unfinished") object.write(0, promisqs::detail::layout::unfinished_magic);
    if (what == "another header") object.write(120, std::uint64_t{1});
    if (what == "a tail that goes back") object.write(256, ~std::uint64_t{0xFF});
    if (what == "no ticket") object.write(256, std::uint64_t{100});

    CHECK(follows.next().event == tap_event::lost);
    CHECK(follows.next().event == tap_event::lost);
    if (what == "cut short") object.resize(100'000);  // for the queue's own end
}

TEST_CASE("a tap shows all that passes, whole, at full speed, or counts it as missed") {
    const scoped_name name("tap-speed");
    const bool single = GENERATE(false, true);
    const std::uint64_t capacity = GENERATE(3U, 1024U);
    CAPTURE(single, capacity);
    constexpr std::uint64_t messages = 30'000;
    using sealed_queue = promisqs::shmem_queue<sealed_message>;
    auto q = sealed_queue::create(name, capacity, {.single_producer = single, .single_consumer = single});
    auto follows = inspector(name).open_tap();
    const ::pid_t producer = forked([&] {
        for (std::uint64_t i = 0; i < messages; ++i) {
            if (q.push_wait(sealed_message::make(i)) != promisqs::status::ok) return 1;
        }
        q.close();
        return 0;
    });
    const ::pid_t consumer = forked([&] {
        std::uint64_t popped = 0;
        while (auto message = q.pop_wait()) popped += message->whole() ? 1U : 0U;
        return popped == messages ? 0 : 1;
    });

    const account found = follow(follows, [](const promisqs::tapped& seen) {
        const auto message = message_in<sealed_message>(seen);
        return message.whole() && message.number == seen.number;
    });

    CHECK(wait_for(producer) == 0);
    CHECK(wait_for(consumer) == 0);
    CHECK(found.shown + found.missed == messages);
    CHECK(found.shown > 0);
    CHECK(found.out_of_order == 0);
    CHECK(found.wrong == 0);
}

TEST_CASE("a tap shows small messages of several producers in each one's order") {
    const scoped_name name("tap-small");
    constexpr std::uint64_t messages = 300'000;
    constexpr std::size_t producers = 3;
    auto q = queue::create(name, 256);
    auto follows = inspector(name).open_tap();
    std::vector<::pid_t> children;
    for (std::uint64_t p = 0; p < producers; ++p) {
        children.push_back(forked([&] {
            std::array<std::uint64_t, 7> batch{};
            for (std::uint64_t i = 0; i < messages; i += batch.size()) {
                for (std::size_t k = 0; k < batch.size(); ++k) batch[k] = p << 48 | (i + k);
                if (q.push_all_wait(batch) != promisqs::status::ok) return 1;
            }
            return 0;
        }));
    }
    const ::pid_t consumer = forked([&] {
        while (q.pop_wait()) {}
        return 0;
    });
    const ::pid_t closer = forked([&] {
        // The producers are not its children: it sees by the count that they are done.
        constexpr std::uint64_t each = (messages + 6) / 7 * 7;
        while (inspector(name).stats().pushed < producers * each) ::usleep(1000);
        q.close();
        return 0;
    });

    std::array<std::uint64_t, producers> next{};
    const account found = follow(follows, [&](const promisqs::tapped& seen) {
        const auto message = message_in<std::uint64_t>(seen);
        const std::uint64_t producer = message >> 48;
        const std::uint64_t number = message & 0xFFFF'FFFF'FFFFU;
        if (producer >= producers || number < next.at(producer)) return false;
        next.at(producer) = number + 1;
        return true;
    });

    for (const ::pid_t child : children) CHECK(wait_for(child) == 0);
    CHECK(wait_for(consumer) == 0);
    CHECK(wait_for(closer) == 0);
    CHECK(found.shown + found.missed == producers * ((messages + 6) / 7 * 7));
    CHECK(found.out_of_order == 0);
    CHECK(found.wrong == 0);
}
