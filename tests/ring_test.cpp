// SPDX-License-Identifier: Apache-2.0

// The ring on ordinary memory: every capacity, counters that start just below wrap-around, and every state in which
// another participant can leave it.

#include "support/catch.hpp"
#include "support/plain_memory.hpp"

#include <promisqs/detail/protocol/ring.hpp>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <thread>
#include <vector>

using promisqs::detail::outcome;
using promisqs::detail::role;
using promisqs::detail::slot_state;
using promisqs::detail::ticket_space;
using promisqs_test::number_ring;
using promisqs_test::participant;
using plain_ring = number_ring<std::atomic<std::uint64_t>>;

namespace promisqs {

std::ostream& operator<<(std::ostream& out, outcome value) { return out << static_cast<int>(value); }

}  // namespace promisqs

namespace {

// The first ticket of the last lap but one before tickets wrap around at 2^64.
std::uint64_t just_below_wrap_around(std::uint64_t capacity) {
    const ticket_space tickets(capacity);
    return tickets.previous_lap(tickets.previous_lap(0));
}

std::uint64_t any_capacity() { return GENERATE(1U, 2U, 3U, 5U, 8U, 255U, 256U, 1000U); }

}  // namespace

TEST_CASE("a ring holds exactly its capacity and gives it back in order, lap after lap") {
    const std::uint64_t capacity = any_capacity();
    const bool wraps = GENERATE(false, true);
    const number_ring<> ring(capacity, wraps ? just_below_wrap_around(capacity) : 0);
    participant self;
    std::uint64_t out = 0;

    for (std::uint64_t lap = 0; lap < 5; ++lap) {
        CHECK(ring.ring.empty());
        CHECK(ring.pop(self, out) == outcome::empty);
        for (std::uint64_t i = 0; i < capacity; ++i) {
            CHECK_FALSE(ring.ring.full());
            REQUIRE(ring.push(self, lap * capacity + i) == outcome::ok);
            REQUIRE(ring.ring.size() == i + 1);
        }
        CHECK(ring.ring.full());
        CHECK(ring.push(self, 999) == outcome::full);
        for (std::uint64_t i = 0; i < capacity; ++i) {
            REQUIRE(ring.peek(out) == outcome::ok);
            CHECK(out == lap * capacity + i);
            REQUIRE(ring.pop(self, out) == outcome::ok);
            REQUIRE(out == lap * capacity + i);
        }
    }
    CHECK(ring.peek(out) == outcome::empty);
}

TEST_CASE("a part-full ring stays in order across every boundary of a lap") {
    const std::uint64_t capacity = any_capacity();
    const bool wraps = GENERATE(false, true);
    const number_ring<> ring(capacity, wraps ? just_below_wrap_around(capacity) : 0);
    participant self;
    const std::uint64_t kept = capacity / 2;
    std::uint64_t pushed = 0;
    std::uint64_t out = 0;

    for (; pushed < kept; ++pushed) REQUIRE(ring.push(self, pushed) == outcome::ok);
    for (std::uint64_t popped = 0; popped < 4 * capacity; ++popped) {
        REQUIRE(ring.push(self, pushed++) == outcome::ok);
        REQUIRE(ring.ring.size() == kept + 1);
        REQUIRE(ring.pop(self, out) == outcome::ok);
        REQUIRE(out == popped);
    }
}

TEST_CASE("tickets and their laps agree with plain counting, also across wrap-around") {
    const std::uint64_t capacity = any_capacity();
    const ticket_space tickets(capacity);
    const std::uint64_t first = just_below_wrap_around(capacity);
    std::uint64_t ticket = first;

    for (std::uint64_t n = 0; n < 4 * capacity; ++n) {
        REQUIRE(tickets.valid(ticket));
        REQUIRE(tickets.index(ticket) == n % capacity);
        REQUIRE(tickets.distance(first, ticket) == n);
        REQUIRE(ticket != promisqs::detail::layout::no_ticket);
        const std::uint64_t next = tickets.next(ticket);
        REQUIRE(ticket_space::before(ticket, next));
        REQUIRE_FALSE(ticket_space::before(next, ticket));
        REQUIRE(tickets.previous_lap(tickets.next_lap(ticket)) == ticket);
        REQUIRE(tickets.lap_after(ticket) == tickets.lap(tickets.next_lap(ticket)));
        ticket = next;
    }
}

TEST_CASE("a stamp is that of one state in one lap") {
    const std::uint64_t capacity = any_capacity();
    const ticket_space tickets(capacity);
    std::uint64_t ticket = just_below_wrap_around(capacity);

    for (std::uint64_t n = 0; n < 4 * capacity; ++n, ticket = tickets.next(ticket)) {
        for (const slot_state state : {slot_state::free, slot_state::full, slot_state::tombstone}) {
            const std::uint64_t stamp = make_stamp(tickets.lap(ticket), state);
            for (const slot_state asked : {slot_state::free, slot_state::full, slot_state::tombstone}) {
                REQUIRE(tickets.is_stamp(stamp, ticket, asked) == (asked == state));
                REQUIRE_FALSE(tickets.is_stamp(stamp, tickets.next_lap(ticket), asked));
                REQUIRE_FALSE(tickets.is_stamp(stamp, tickets.previous_lap(ticket), asked));
            }
        }
    }
}

TEST_CASE("no ticket of any capacity looks like the absence of a ticket") {
    for (const std::uint64_t capacity : {std::uint64_t{255}, std::uint64_t{256}, std::uint64_t{1} << 32}) {
        const ticket_space tickets(capacity);
        CHECK_FALSE(tickets.valid(promisqs::detail::layout::no_ticket));
        CHECK(tickets.index(promisqs::detail::layout::no_ticket) >= capacity);
    }
}

TEST_CASE("while a producer is copying, its message is not there, and no consumer is told that the ring is empty") {
    const std::uint64_t capacity = any_capacity();
    const number_ring<> ring(capacity);
    participant producer;
    participant consumer;
    std::uint64_t out = 0;

    const bool done = ring.push_if_ready(producer, [&](void* slot) {
        CHECK(ring.pop(consumer, out) == outcome::in_progress);
        CHECK(ring.peek(out) == outcome::in_progress);
        *static_cast<std::uint64_t*>(slot) = 7;
    });

    REQUIRE(done);
    CHECK(ring.pop(consumer, out) == outcome::ok);
    CHECK(out == 7);
}

TEST_CASE("while a consumer is copying out of a full ring, a push is told to wait, not that the ring is full") {
    const std::uint64_t capacity = any_capacity();
    const number_ring<> ring(capacity);
    participant producer;
    participant consumer;
    for (std::uint64_t i = 0; i < capacity; ++i) REQUIRE(ring.push(producer, i) == outcome::ok);

    const bool done = ring.pop_if_ready(consumer, [&](const void*) {
        CHECK(ring.push(producer, 9) == outcome::in_progress);
        CHECK_FALSE(ring.ring.full());
    });

    REQUIRE(done);
    CHECK(ring.push(producer, 9) == outcome::ok);
    CHECK(ring.push(producer, 10) == outcome::full);
}

TEST_CASE("a ring whose oldest message is still being copied in is not full: a push is told to wait") {
    const std::uint64_t capacity = any_capacity();
    const number_ring<> ring(capacity);
    participant slow;
    participant producer;

    const bool done = ring.push_if_ready(slow, [&](void*) {
        for (std::uint64_t i = 1; i < capacity; ++i) REQUIRE(ring.push(producer, i) == outcome::ok);
        CHECK(ring.push(producer, 99) == outcome::in_progress);
    });

    CHECK(done);
    CHECK(ring.push(producer, 99) == outcome::full);
}

TEST_CASE("a producer in the middle of a push stalls the head, and nothing else") {
    const std::uint64_t capacity = any_capacity();
    const number_ring<> ring(capacity);
    participant producer;
    participant consumer;
    std::uint64_t out = 0;
    REQUIRE(ring.push(producer, 0) == outcome::ok);
    REQUIRE(ring.pop(consumer, out) == outcome::ok);
    CHECK_FALSE(ring.ring.stall_at_head());

    const bool done = ring.push_if_ready(producer, [&](void*) {
        CHECK(ring.ring.stall_at_head() == ring.tickets.next(0));
        CHECK_FALSE(ring.ring.stall_at_tail());
    });

    REQUIRE(done);
    CHECK_FALSE(ring.ring.stall_at_head());
}

TEST_CASE("a consumer in the middle of a pop stalls the tail of a full ring, and nothing else") {
    const std::uint64_t capacity = any_capacity();
    const number_ring<> ring(capacity);
    participant producer;
    participant consumer;
    for (std::uint64_t i = 0; i < capacity; ++i) REQUIRE(ring.push(producer, i) == outcome::ok);
    CHECK_FALSE(ring.ring.stall_at_tail());
    const bool again = GENERATE(false, true);  // a message that came back
    promisqs::detail::claim made{};
    REQUIRE(ring.ring.claim_pop(consumer, made));
    if (again) {
        REQUIRE(ring.ring.requeue(consumer, made));
        CHECK_FALSE(ring.ring.stall_at_tail());
        for (std::uint64_t i = 1, out = 0; i < capacity; ++i) REQUIRE(ring.pop(consumer, out) == outcome::ok);
        REQUIRE(ring.ring.claim_otherwise(consumer, made) == outcome::ok);
    }

    CHECK(ring.ring.stall_at_tail() == 0U);
    CHECK_FALSE(ring.ring.stall_at_head());

    ring.ring.release(made);
    CHECK_FALSE(ring.ring.stall_at_tail());
}

TEST_CASE("others overtake a producer that is copying, up to the capacity") {
    const number_ring<> ring(3);
    participant slow;
    participant producer;
    participant consumer;
    std::uint64_t out = 0;

    REQUIRE(ring.push_if_ready(slow, [&](void* slot) {
        CHECK(ring.push(producer, 2) == outcome::ok);
        CHECK(ring.push(producer, 3) == outcome::ok);
        *static_cast<std::uint64_t*>(slot) = 1;
    }));

    for (std::uint64_t expected = 1; expected <= 3; ++expected) {
        REQUIRE(ring.pop(consumer, out) == outcome::ok);
        CHECK(out == expected);
    }
}

TEST_CASE("a ticket is announced before it is claimed, and the announcement stays after success") {
    number_ring<> ring(3);
    participant self;
    participant other;
    std::uint64_t out = 0;
    std::uint64_t announced = 0;

    ring.shared.tail.before_exchange = [&] { announced = self.push_intent; };
    REQUIRE(ring.push(self, 1) == outcome::ok);
    CHECK(announced == 0);
    CHECK(self.push_intent == 0);
    REQUIRE(ring.push(other, 2) == outcome::ok);
    CHECK(other.push_intent == 1);

    ring.shared.head.before_exchange = [&] { announced = self.pop_intent; };
    announced = 99;
    REQUIRE(ring.pop(self, out) == outcome::ok);
    CHECK(announced == 0);
    CHECK(self.pop_intent == 0);
}

TEST_CASE("a participant that loses a claim withdraws the announcement, and is told to try again") {
    number_ring<> ring(3);
    participant loser;
    participant winner;
    std::uint64_t out = 0;

    ring.shared.tail.before_exchange = [&] { REQUIRE(ring.push(winner, 1) == outcome::ok); };
    CHECK(ring.push(loser, 2) == outcome::contended);
    CHECK(loser.push_intent == promisqs::detail::layout::no_ticket);
    CHECK(ring.ring.size() == 1);

    ring.shared.head.before_exchange = [&] { REQUIRE(ring.pop(winner, out) == outcome::ok); };
    CHECK(ring.pop(loser, out) != outcome::ok);
    CHECK(loser.pop_intent == promisqs::detail::layout::no_ticket);
    CHECK(ring.ring.empty());
}

TEST_CASE("a slot that has just been used by another participant is a reason to try again, not corruption") {
    number_ring<> ring(2);
    participant self;
    participant other;
    std::uint64_t out = 0;

    // Between our load of the tail and our load of the stamp, another producer pushes.
    ring.shared.slots[0].stamp.before_load = [&] { REQUIRE(ring.push(other, 1) == outcome::ok); };
    CHECK(ring.ring.resolve_push(self) == outcome::contended);
    // Between our load of the head and our load of the stamp, another consumer pops.
    ring.shared.slots[0].stamp.before_load = [&] { REQUIRE(ring.pop(other, out) == outcome::ok); };
    promisqs::detail::claim made{};
    CHECK(ring.ring.claim_otherwise(self, made) == outcome::contended);
}

TEST_CASE("a peek whose slot is used again during the copy is not taken for a message") {
    number_ring<> ring(1);
    participant other;
    std::uint64_t out = 0;
    REQUIRE(ring.push(other, 1) == outcome::ok);

    auto& stamp = ring.shared.slots[0].stamp;
    stamp.before_load = [&] {
        stamp.before_load = [&] {  // at the second load of the stamp
            std::uint64_t taken = 0;
            REQUIRE(ring.pop(other, taken) == outcome::ok);
            REQUIRE(ring.push(other, 2) == outcome::ok);
        };
    };

    CHECK(ring.peek(out) == outcome::contended);
    CHECK(ring.peek(out) == outcome::ok);
    CHECK(out == 2);
}

TEST_CASE("a tombstone is passed over by pops and peeks, and its slot is free again") {
    const std::uint64_t capacity = any_capacity();
    number_ring<> ring(capacity);
    participant self;
    std::uint64_t out = 0;
    // What recovery leaves of a producer that died before it published: a claimed ticket, and a tombstone.
    ring.shared.tail.value = ring.tickets.next(0);
    ring.shared.slots[0].stamp.value = make_stamp(0, slot_state::tombstone);
    if (capacity > 1) REQUIRE(ring.push(self, 5) == outcome::ok);

    if (capacity > 1) {
        CHECK(ring.peek(out) == outcome::ok);
        CHECK(out == 5);
    } else {
        CHECK(ring.peek(out) == outcome::empty);
    }
    CHECK(ring.pop(self, out) == outcome::contended);
    CHECK(ring.shared.slots[0].stamp.value == make_stamp(ring.tickets.next_lap(0), slot_state::free));
    CHECK(ring.pop(self, out) == (capacity > 1 ? outcome::ok : outcome::empty));
}

TEST_CASE("a ticket seems claimable while its slot is ready for the role, and no longer") {
    const std::uint64_t capacity = any_capacity();
    const bool wraps = GENERATE(false, true);
    const std::uint64_t first = wraps ? just_below_wrap_around(capacity) : 0;
    const number_ring<> ring(capacity, first);
    participant self;
    std::uint64_t out = 0;
    const auto claimable = [&](role whose) { return ring.ring.claimable_ticket(whose); };

    CHECK(claimable(role::producer) == first);
    CHECK(claimable(role::consumer) == promisqs::detail::layout::no_ticket);
    for (std::uint64_t i = 0; i < capacity; ++i) REQUIRE(ring.push(self, i) == outcome::ok);
    CHECK(claimable(role::producer) == promisqs::detail::layout::no_ticket);
    CHECK(claimable(role::consumer) == first);
    REQUIRE(ring.pop(self, out) == outcome::ok);
    CHECK(claimable(role::producer) == ring.tickets.next_lap(first));
    CHECK(claimable(role::consumer) == (capacity > 1 ? ring.tickets.next(first) : promisqs::detail::layout::no_ticket));
    ring.ring.close();
    CHECK(claimable(role::producer) == promisqs::detail::layout::no_ticket);
}

TEST_CASE("whatever the words of a ring hold, a ticket that seems claimable is one of the ring's") {
    const std::uint64_t capacity = any_capacity();
    number_ring<> ring(capacity);
    const ticket_space& tickets = ring.tickets;
    const std::vector<std::uint64_t> words{0,
                                           1,
                                           2,
                                           capacity - 1,
                                           capacity,
                                           tickets.closed_bit(),
                                           tickets.next_lap(0),
                                           tickets.next_lap(0) + 1,
                                           tickets.previous_lap(0),
                                           0x1234'5678'9ABC'DEF0,
                                           promisqs::detail::layout::no_ticket};
    for (const std::uint64_t counter : words) {
        ring.shared.tail.value = counter;
        ring.shared.head.value = counter;
        for (const std::uint64_t stamp : words) {
            for (auto& slot : ring.shared.slots) slot.stamp.value = stamp;
            for (const role whose : {role::producer, role::consumer}) {
                CAPTURE(capacity, counter, stamp, whose == role::producer);
                const std::uint64_t found = ring.ring.claimable_ticket(whose);
                const slot_state ready = whose == role::producer ? slot_state::free : slot_state::full;
                const bool is_ready = tickets.valid(counter) && stamp == make_stamp(tickets.lap(counter), ready);
                CHECK(found == (is_ready ? counter : promisqs::detail::layout::no_ticket));
            }
        }
    }
}

TEST_CASE("counters that point outside the ring are corruption, not an access") {
    const std::uint64_t capacity = any_capacity();
    number_ring<> ring(capacity);
    participant self;
    std::uint64_t out = 0;
    const std::uint64_t planted = GENERATE(false, true) ? capacity : promisqs::detail::layout::no_ticket;

    ring.shared.tail.value = planted;
    CHECK(ring.push(self, 1) == outcome::corrupt);
    ring.shared.head.value = planted;
    CHECK(ring.pop(self, out) == outcome::corrupt);
    CHECK(ring.peek(out) == outcome::corrupt);
    CHECK(ring.ring.size() <= capacity);
}

TEST_CASE("counters and stamps that contradict each other are corruption") {
    number_ring<> ring(4);
    participant self;
    std::uint64_t out = 0;

    SECTION("a slot filled in a lap in which no producer claimed it") {
        ring.shared.slots[0].stamp.value = make_stamp(0, slot_state::full);
        CHECK(ring.push(self, 1) == outcome::corrupt);
    }
    SECTION("a slot two laps behind the tail") {
        ring.shared.tail.value = ring.tickets.next_lap(ring.tickets.next_lap(0));
        CHECK(ring.push(self, 1) == outcome::corrupt);
    }
    SECTION("a head beyond the tail") {
        ring.shared.head.value = ring.tickets.next(0);
        CHECK(ring.pop(self, out) == outcome::corrupt);
        CHECK(ring.peek(out) == outcome::corrupt);
    }
    SECTION("a slot at the head that was already used") {
        ring.shared.slots[0].stamp.value = ring.tickets.next_lap(0);
        CHECK(ring.pop(self, out) == outcome::corrupt);
        CHECK(ring.peek(out) == outcome::corrupt);
    }
    SECTION("a slot in a push's way that was retaken without having been taken") {
        for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(ring.push(self, i) == outcome::ok);
        ring.shared.slots[0].stamp.value = 49;
        CHECK(ring.push(self, 1) == outcome::corrupt);
    }
    SECTION("a slot behind a tombstone that was already used") {
        ring.shared.tail.value = 2;
        ring.shared.slots[0].stamp.value = make_stamp(0, slot_state::tombstone);
        ring.shared.slots[1].stamp.value = ring.tickets.next_lap(0);
        CHECK(ring.peek(out) == outcome::corrupt);
    }
}

TEST_CASE("many threads on one ring lose nothing, double nothing, and keep each producer's order") {
    const std::uint64_t capacity = GENERATE(1U, 2U, 3U, 8U, 1000U);
    const plain_ring ring(capacity, just_below_wrap_around(capacity));
    constexpr std::uint64_t producers = 3;
    constexpr std::uint64_t consumers = 3;
    constexpr std::uint64_t each = 20000;
    std::atomic<std::uint64_t> taken{0};
    std::vector<std::vector<std::uint64_t>> seen(consumers);
    std::vector<std::thread> threads;

    for (std::uint64_t p = 0; p < producers; ++p) {
        threads.emplace_back([&, p] {
            participant self;
            for (std::uint64_t i = 0; i < each; ++i) {
                while (ring.push(self, p * each + i) != outcome::ok) std::this_thread::yield();
            }
        });
    }
    for (std::uint64_t c = 0; c < consumers; ++c) {
        threads.emplace_back([&, c] {
            participant self;
            while (taken.load() < producers * each) {
                std::uint64_t out = 0;
                if (ring.pop(self, out) == outcome::ok) {
                    seen[c].push_back(out);
                    taken.fetch_add(1);
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();

    std::vector<std::uint64_t> all;
    for (const auto& one : seen) {
        std::vector<std::uint64_t> last(producers, 0);
        for (const std::uint64_t number : one) {
            REQUIRE(number + 1 > last[number / each]);
            last[number / each] = number + 1;
        }
        all.insert(all.end(), one.begin(), one.end());
    }
    std::sort(all.begin(), all.end());
    REQUIRE(all.size() == producers * each);
    for (std::uint64_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == i);
}
