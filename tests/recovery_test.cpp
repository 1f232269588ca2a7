// SPDX-License-Identifier: Apache-2.0

// Recovery on ordinary memory. A test plants what a dead participant may leave behind, and says which ones are alive.

#include "support/catch.hpp"
#include "support/plain_memory.hpp"

#include <promisqs/detail/protocol/recovery.hpp>
#include <promisqs/detail/queue/recovery_workspace.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <numeric>
#include <random>
#include <set>
#include <vector>

using promisqs::recovery_report;
using promisqs::detail::claim;
using promisqs::detail::delivery_state;
using promisqs::detail::outcome;
using promisqs::detail::recovery_extent;
using promisqs::detail::slot_state;
using promisqs_test::number_ring;
using promisqs_test::participant;
using promisqs_test::word;

namespace {

/// Participants, some of them dead.
struct participants {
    explicit participants(std::uint32_t count) : entries(count), processes(count), tests(count) {}

    std::deque<participant> entries;
    std::vector<std::uint64_t> processes;  // what they say of them
    std::set<std::uint32_t> dead;
    mutable std::vector<int> tests;  // of their locks

    [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(entries.size()); }
    participant& operator[](std::uint32_t i) const { return const_cast<participant&>(entries.at(i)); }
    [[nodiscard]] std::uint32_t used() const { return count(); }
    [[nodiscard]] std::uint64_t process_of(const participant& entry) const {
        for (std::uint32_t i = 0; i < count(); ++i) {
            if (&entries[i] == &entry) return processes[i];
        }
        return 0;
    }
    [[nodiscard]] static bool is_of_a_thread(const participant& /*entry*/) { return true; }
    [[nodiscard]] bool try_lock(std::uint32_t i) const {
        ++tests.at(i);
        return dead.contains(i);
    }
    static void unlock(std::uint32_t /*i*/) {}
    static void give_up_roles(std::uint32_t /*i*/) {}

    [[nodiscard]] int all_tests() const { return std::accumulate(tests.begin(), tests.end(), 0); }
};

struct letters {
    std::vector<std::uint64_t> messages;
    std::uint64_t copy = 0;
    bool open = true;

    [[nodiscard]] bool stage(const void* message) {
        copy = *static_cast<const std::uint64_t*>(message);
        return open;
    }
    void commit() { messages.push_back(copy); }
};

struct scene {
    explicit scene(std::uint64_t capacity, std::uint32_t count = 3)
        : ring(capacity), table(count), workspace(count, capacity) {}

    recovery_report recover(std::uint64_t max_deaths = 3, const recovery_extent& extent = recovery_extent::full()) {
        return promisqs::detail::recovery(ring.ring, table, table, dropped, max_deaths, workspace.notes(), extent,
                                          nullptr)
            .run();
    }
    /// Participant i claims a push, or a pop, and dies.
    claim dies_pushing(std::uint32_t i) {
        claim made{};
        REQUIRE(ring.ring.claim_push(table[i], made));
        table.dead.insert(i);
        return made;
    }
    claim dies_popping(std::uint32_t i) {
        claim made{};
        if (!ring.ring.claim_pop(table[i], made)) {
            REQUIRE(ring.ring.claim_otherwise(table[i], made) == outcome::ok);
        }
        table.dead.insert(i);
        return made;
    }
    /// A new participant in the place of a removed one.
    void comes_back(std::uint32_t i) {
        REQUIRE(table[i].occupied == 0);
        table.dead.erase(i);
        table[i].push_intent = promisqs::detail::layout::no_ticket;
        table[i].pop_intent = promisqs::detail::layout::no_ticket;
        table[i].occupied = 1;
    }
    void has_full_capacity() {
        std::uint64_t out = 0;
        const std::uint64_t capacity = ring.tickets.capacity();
        for (std::uint64_t lap = 0; lap < 3; ++lap) {
            std::uint64_t fitted = 0;
            for (std::uint64_t tries = 0; tries < 3 * capacity; ++tries) {
                if (ring.push(table[0], 100 + fitted) == outcome::ok) ++fitted;
            }
            CHECK(fitted == capacity);
            CHECK(ring.ring.size() == capacity);
            for (std::uint64_t i = 0; i < capacity; ++i) {
                REQUIRE(ring.pop(table[0], out) == outcome::ok);
                CHECK(out == 100 + i);
            }
            CHECK(ring.pop(table[0], out) == outcome::empty);
        }
    }
    std::uint64_t pops() {
        std::uint64_t out = 0;
        for (int tries = 0; tries < 10; ++tries) {
            const outcome result = ring.pop(table[0], out);
            if (result == outcome::ok) return out;
            if (result != outcome::contended) return 0;
        }
        return 0;
    }

    /// Plants an entry of a dead participant that had claimed as a batch does.
    void has_died_pushing(std::uint32_t i, std::uint64_t first, std::uint64_t count) {
        table[i].push_intent = first;
        table[i].push_count = count;
        table.dead.insert(i);
    }
    /// Moves a counter on, as claims do.
    void advance(word& counter, std::uint64_t tickets) const {
        for (std::uint64_t i = 0; i < tickets; ++i) counter.value = ring.tickets.next(counter.value);
    }

    number_ring<> ring;
    participants table;
    letters dropped;
    promisqs::detail::recovery_workspace workspace;
};

/// Counts the loads of a word from now on.
void count_loads(word& one, std::uint64_t& loads) {
    one.before_load = [&one, &loads] {
        ++loads;
        count_loads(one, loads);
    };
}

std::uint64_t small_capacity() { return GENERATE(1U, 2U, 3U, 8U); }

}  // namespace

TEST_CASE("a dead producer's slot becomes a tombstone, and the ring holds its capacity again") {
    scene s(small_capacity());
    static_cast<void>(s.dies_pushing(1));

    const auto report = s.recover();

    CHECK(report.participants_removed == 1);
    CHECK(report.tombstones == 1);
    CHECK(report.postponed == 0);
    CHECK(s.table[1].occupied == 0);
    CHECK(s.ring.ring.empty());
    s.has_full_capacity();
}

TEST_CASE("a producer alone gets past the tombstones of dead ones: no consumer needs to come") {
    scene s(small_capacity());
    static_cast<void>(s.dies_pushing(1));
    static_cast<void>(s.recover());

    std::uint64_t fitted = 0;
    for (int tries = 0; tries < 30; ++tries) fitted += s.ring.push(s.table[0], 7) == outcome::ok ? 1U : 0U;

    CHECK(fitted == s.ring.tickets.capacity());
}

TEST_CASE("a dead consumer's message is delivered to another one") {
    scene s(small_capacity());
    REQUIRE(s.ring.push(s.table[0], 41) == outcome::ok);
    static_cast<void>(s.dies_popping(1));
    CHECK(s.pops() == 0);

    const auto report = s.recover();

    CHECK(report.messages_to_redeliver == 1);
    CHECK(s.ring.ring.size() == 1);
    std::uint64_t out = 0;
    CHECK(s.ring.peek(out) == outcome::ok);
    CHECK(out == 41);
    CHECK(s.pops() == 41);
    CHECK(s.ring.ring.empty());
    s.has_full_capacity();
}

TEST_CASE("the messages of a dead consumer of many are delivered in order, and in as many looks as there are slots") {
    constexpr std::uint64_t capacity = 1000;
    scene s(capacity);
    std::uint64_t looks = 0;
    for (std::uint64_t i = 0; i < capacity; ++i) REQUIRE(s.ring.push(s.table[0], 1 + i) == outcome::ok);
    s.table[1].pop_intent = 0;
    s.table[1].pop_count = capacity;
    s.advance(s.ring.shared.head, capacity);
    s.table.dead.insert(1);
    REQUIRE(s.recover().messages_to_redeliver == capacity);
    for (auto& slot : s.ring.shared.slots) count_loads(slot.stamp, looks);

    for (std::uint64_t i = 0; i < capacity; ++i) REQUIRE(s.pops() == 1 + i);

    CHECK(looks < 10 * capacity);
    s.has_full_capacity();
}

TEST_CASE("an orphan before the message that a consumer had last is found, too") {
    scene s(4);
    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(s.ring.push(s.table[0], 1 + i) == outcome::ok);
    const claim first = s.dies_popping(1);
    CHECK(s.pops() == 2);
    const claim third = s.dies_popping(2);
    CHECK(s.pops() == 4);
    s.table[0].pop_intent = s.ring.tickets.next(first.ticket);
    REQUIRE(s.recover().messages_to_redeliver == 2);

    CHECK(s.pops() == third.ticket + 1);
    CHECK(s.pops() == first.ticket + 1);
    s.has_full_capacity();
}

TEST_CASE("an orphan that was made, and not counted, is counted by the push that it keeps from the slot") {
    scene s(1);
    REQUIRE(s.ring.push(s.table[0], 41) == outcome::ok);
    const claim made = s.dies_popping(1);
    // As a recoverer leaves it if it is killed right after its exchange.
    s.ring.ring.stamp_of(made.ticket).value = promisqs::detail::delivery_state(1).after_death().value();
    CHECK(s.pops() == 0);

    CHECK(s.ring.push(s.table[0], 42) == outcome::full);

    CHECK(s.pops() == 41);
}

TEST_CASE("an orphan in the only slot makes the ring full, not in progress") {
    scene s(1);
    REQUIRE(s.ring.push(s.table[0], 41) == outcome::ok);
    static_cast<void>(s.dies_popping(1));
    CHECK(s.ring.push(s.table[0], 42) == outcome::in_progress);

    static_cast<void>(s.recover());

    CHECK(s.ring.push(s.table[0], 42) == outcome::full);
    CHECK(s.ring.ring.full());
}

TEST_CASE("a claim is left alone as long as a living participant may own it") {
    scene s(small_capacity());
    // Two were about to claim the same ticket. One of them died; nobody can tell which of them had got it.
    const bool push = GENERATE(true, false);
    if (!push) REQUIRE(s.ring.push(s.table[0], 41) == outcome::ok);
    const claim made = push ? s.dies_pushing(1) : s.dies_popping(1);
    (push ? s.table[2].push_intent : s.table[2].pop_intent) = made.ticket;

    for (int times = 0; times < 5; ++times) {
        const auto report = s.recover();
        CHECK(report.postponed == 1);
        CHECK(report.participants_removed == 0);
        CHECK(s.ring.ring.stamp_of(made.ticket).value == made.stamp);
    }

    SECTION("until it goes on: it was not the owner") {
        (push ? s.table[2].push_intent : s.table[2].pop_intent) = promisqs::detail::layout::no_ticket;
        CHECK(s.recover().participants_removed == 1);
    }
    SECTION("until it dies, too") {
        s.table.dead.insert(2);
        CHECK(s.recover().participants_removed == 2);
    }
    SECTION("or until it finishes: it was the owner") {
        push ? s.ring.ring.publish(made) : s.ring.ring.release(made);
        const auto report = s.recover();
        CHECK(report.participants_removed == 1);
        CHECK(report.tombstones + report.messages_to_redeliver == 0);
        CHECK(s.pops() == 0);  // the number 0, or nothing
    }
}

TEST_CASE("a dead participant that had finished leaves nothing but its entry") {
    scene s(3);
    REQUIRE(s.ring.push(s.table[1], 1) == outcome::ok);
    REQUIRE(s.ring.push(s.table[1], 2) == outcome::ok);
    std::uint64_t out = 0;
    REQUIRE(s.ring.pop(s.table[1], out) == outcome::ok);
    s.table.dead.insert(1);

    const auto report = s.recover();

    CHECK(report.participants_removed == 1);
    CHECK(report.tombstones + report.messages_to_redeliver + report.messages_dropped == 0);
    CHECK(s.pops() == 2);
}

TEST_CASE("a message that has cost too many consumers is dropped, not earlier and not later") {
    const std::uint64_t allowed = GENERATE(1U, 3U, 7U);
    scene s(small_capacity());
    REQUIRE(s.ring.push(s.table[0], 66) == outcome::ok);

    for (std::uint64_t deaths = 1; deaths < allowed; ++deaths) {
        static_cast<void>(s.dies_popping(1));
        const auto report = s.recover(allowed);
        CHECK(report.messages_to_redeliver == 1);
        s.comes_back(1);
    }
    static_cast<void>(s.dies_popping(1));
    s.dropped.open = false;
    CHECK(s.recover(allowed).postponed == 1);
    s.dropped.open = true;
    const auto report = s.recover(allowed);

    CHECK(report.messages_dropped == 1);
    CHECK(s.dropped.messages == std::vector<std::uint64_t>{66});
    s.has_full_capacity();
}

TEST_CASE("where nothing is to be dropped, any number of deaths leads to another delivery") {
    scene s(2);
    REQUIRE(s.ring.push(s.table[0], 66) == outcome::ok);
    for (int deaths = 0; deaths < 30; ++deaths) {
        static_cast<void>(s.dies_popping(1));
        REQUIRE(s.recover(0).messages_to_redeliver == 1);
        s.comes_back(1);
    }
    CHECK(s.pops() == 66);
}

TEST_CASE("a stamp grows with every death and every requeue, until the state says that it can't") {
    std::uint64_t last = static_cast<std::uint64_t>(slot_state::tombstone);
    delivery_state state(static_cast<std::uint64_t>(slot_state::full));
    for (std::uint64_t deaths = 0; deaths <= delivery_state::most_deaths; ++deaths) {
        while (state.can_be_requeued()) {
            state = state.after_requeue();
            CHECK(state.is_orphan());
            CHECK(state.deaths() == deaths);
            REQUIRE(state.value() > last);
            CHECK(state.retaken().is_retaken());
            REQUIRE(state.retaken().value() > state.value());
            state = state.retaken();
            last = state.value();
        }
        CHECK(state.saturated().deaths() == deaths);
        if (deaths == delivery_state::most_deaths) break;
        state = state.after_death();
        CHECK(state.is_orphan());
        REQUIRE(state.value() > last);
        last = state.value();
    }
    CHECK(last <= delivery_state::last);
}

TEST_CASE("a batch of a dead producer is recovered ticket by ticket") {
    scene s(4);
    claim first{};
    claim second{};
    // As a batch of three would: claimed at once, with one published.
    REQUIRE(s.ring.ring.claim_push(s.table[1], first));
    REQUIRE(s.ring.ring.claim_push(s.table[1], second));
    static_cast<void>(s.dies_pushing(1));
    s.table[1].push_intent = first.ticket;
    s.table[1].push_count = 3;
    *static_cast<std::uint64_t*>(s.ring.ring.payload(second)) = 5;
    s.ring.ring.publish(second);

    CHECK(s.recover().tombstones == 2);
    CHECK(s.pops() == 5);
    CHECK(s.pops() == 0);
    s.has_full_capacity();
}

TEST_CASE("a position that no living participant has announced is freed, even without an entry") {
    scene s(small_capacity());
    const bool push = GENERATE(true, false);
    if (!push) {
        for (std::uint64_t i = 0; i < s.ring.tickets.capacity(); ++i)
            REQUIRE(s.ring.push(s.table[0], 9) == outcome::ok);
    }
    push ? static_cast<void>(s.dies_pushing(1)) : static_cast<void>(s.dies_popping(1));
    s.table[1].occupied = 0;  // not even an entry is left of it

    const auto report = s.recover();

    CHECK(report.tombstones + report.messages_to_redeliver == 1);
    while (s.pops() != 0) {}
    s.has_full_capacity();
}

TEST_CASE("so is one behind a tombstone, at which a peek is stuck") {
    scene s(4);
    std::uint64_t out = 0;
    s.ring.ring.give_up(s.dies_pushing(1));
    static_cast<void>(s.dies_pushing(1));
    s.table[1].occupied = 0;
    REQUIRE(s.ring.push(s.table[0], 3) == outcome::ok);
    CHECK(s.ring.peek(out) == outcome::in_progress);

    CHECK(s.recover().tombstones == 1);

    CHECK(s.ring.peek(out) == outcome::ok);
    CHECK(out == 3);
    CHECK(s.pops() == 3);
    s.has_full_capacity();
}

TEST_CASE("the tickets of all the dead are looked at together, and each lock is tested once") {
    scene s(64, 200);
    for (std::uint32_t i = 0; i < 150; ++i) s.has_died_pushing(i, i % 50, 1);  // rivals, and their batches
    for (std::uint32_t i = 150; i < 170; ++i) s.has_died_pushing(i, 50, 14);
    s.advance(s.ring.shared.tail, 64);

    const auto report = s.recover();

    CHECK(report.participants_removed == 170);
    CHECK(report.tombstones == 64);
    CHECK(s.table.all_tests() == 200);
    CHECK(*std::max_element(s.table.tests.begin(), s.table.tests.end()) == 1);
    s.has_full_capacity();
}

TEST_CASE("of a dead participant's batch, what a living one may own is left alone, and the rest is recovered") {
    scene s(8, 4);
    s.has_died_pushing(1, 0, 8);
    s.table[2].push_intent = 2;
    s.table[2].push_count = 2;
    s.table[3].push_intent = 7;
    s.advance(s.ring.shared.tail, 8);

    const auto report = s.recover();

    CHECK(report.tombstones == 5);
    CHECK(report.postponed == 1);
    CHECK(report.participants_removed == 0);
    for (const std::uint64_t owned : {2U, 3U, 7U}) CHECK(s.ring.ring.stamp_of(owned).value == 0);
    s.table.dead = {1, 2, 3};
    CHECK(s.recover().participants_removed == 3);
    s.has_full_capacity();
}

TEST_CASE("a participant that claims what a dead one had announced, after the counters were read, is not robbed") {
    scene s(4);
    s.has_died_pushing(1, 1, 1);
    s.advance(s.ring.shared.tail, 1);
    s.table[2].push_intent = 0;
    s.ring.shared.head.before_load = [&] {  // the tail has been read
        s.ring.ring.stamp_of(0).value = static_cast<std::uint64_t>(slot_state::full);
        s.table[2].push_intent = 1;
        s.advance(s.ring.shared.tail, 1);
    };

    CHECK(s.recover().tombstones == 0);
    CHECK(s.ring.ring.stamp_of(1).value == 0);
}

TEST_CASE("an owner that goes on after the stamp was read has changed it, and loses nothing") {
    scene s(4);
    const claim made = s.dies_pushing(1);
    *static_cast<std::uint64_t*>(s.ring.ring.payload(made)) = 41;
    s.ring.ring.stamp_of(made.ticket).before_exchange = [&] { s.ring.ring.publish(made); };

    CHECK(s.recover().tombstones == 0);

    CHECK(s.pops() == 41);
}

TEST_CASE("a piece of a recovery tests a bounded number of locks, and the next piece goes on") {
    scene s(8, 1000);
    s.advance(s.ring.shared.tail, 8);
    // All seem to be in the middle of a batch; the last one is dead.
    for (std::uint32_t i = 0; i < 1000; ++i) s.table[i].push_count = 2;
    for (std::uint32_t i = 0; i < 1000; ++i) s.table[i].push_intent = 6;
    s.has_died_pushing(999, 0, 6);

    int pieces = 0;
    for (; s.table[999].occupied != 0 && pieces < 100; ++pieces) {
        s.table.tests.assign(1000, 0);
        static_cast<void>(s.recover(3, recovery_extent::piece()));
        REQUIRE(s.table.all_tests() <= 200);
    }

    CHECK(pieces <= 20);
    CHECK(s.ring.ring.stamp_of(5).value == static_cast<std::uint64_t>(slot_state::tombstone));
    CHECK(s.ring.ring.stamp_of(6).value == 0);
}

TEST_CASE("idle entries of the dead are removed in pieces, too") {
    scene s(8, 1000);
    for (std::uint32_t i = 900; i < 1000; ++i) s.table.dead.insert(i);

    std::uint32_t removed = 0;
    int pieces = 0;
    for (; removed < 100 && pieces < 1000; ++pieces) {
        s.table.tests.assign(1000, 0);
        removed += s.recover(3, recovery_extent::piece()).participants_removed;
        REQUIRE(s.table.all_tests() <= 20);
    }

    CHECK(removed == 100);
}

TEST_CASE("however many have died at one ticket, pieces of a recovery come to an end with it") {
    scene s(4, 3000);
    s.advance(s.ring.shared.tail, 1);
    for (std::uint32_t i = 1; i < 3000; ++i) s.has_died_pushing(i, 0, 1);

    int pieces = 0;
    for (; s.ring.ring.stamp_of(0).value == 0 && pieces < 100; ++pieces) {
        static_cast<void>(s.recover(3, recovery_extent::piece()));
    }

    CHECK(pieces < 10);
}

TEST_CASE("idle participants of a process that is known to live are taken for alive, others are tested") {
    scene s(4, 100);
    for (std::uint32_t i = 0; i < 50; ++i) s.table.processes[i] = 11 + i % 2;
    for (std::uint32_t i = 98; i < 100; ++i) s.table.dead.insert(i);
    s.table.dead.insert(7);  // which can't be, or something else has written its number

    CHECK(s.recover().participants_removed == 2);
    CHECK(s.table.all_tests() == 2 + 50);
    SECTION("not where an entry is wanted") {
        CHECK(s.recover(3, recovery_extent::strict()).participants_removed == 1);
    }
    SECTION("nor where its ticket may hold up others") {
        s.advance(s.ring.shared.tail, 1);
        s.table[7].push_intent = 0;
        CHECK(s.recover().participants_removed == 1);
    }
}

TEST_CASE("a lap of several windows is recovered, window by window, at once or in pieces") {
    constexpr std::uint64_t window = 65536;
    scene s(5 * window, 8);
    s.advance(s.ring.shared.tail, 5 * window);
    s.has_died_pushing(1, 0, window);
    s.has_died_pushing(2, window, 1);
    s.has_died_pushing(3, 3 * window - 2, 2 * window);
    s.has_died_pushing(4, 5 * window - 1, 1);
    const bool at_once = GENERATE(true, false);

    std::uint64_t tombstones = 0;
    for (int pieces = 0; pieces < (at_once ? 1 : 10); ++pieces) {
        tombstones += s.recover(3, at_once ? recovery_extent::full() : recovery_extent::piece()).tombstones;
    }

    CHECK(tombstones == 3 * window + 2);
    CHECK(s.recover().postponed == 0);
    for (const std::uint32_t i : {1U, 2U, 3U, 4U}) CHECK(s.table[i].occupied == 0);
}

TEST_CASE("recovery of words that no participant writes touches only slots of the ring, and comes to an end") {
    const std::uint64_t capacity = GENERATE(1U, 3U, 64U, 100U, 1024U);
    scene s(capacity, 64);
    std::minstd_rand random(static_cast<unsigned>(capacity));
    const auto any = [&] { return std::uint64_t{random()} << 40 ^ std::uint64_t{random()} << 20 ^ random(); };
    const auto near = [&] { return s.ring.tickets.next_lap(any() % 1024) - any() % 3; };
    for (int times = 0; times < 200; ++times) {
        const auto number = [&] { return random() % 3 == 0 ? any() : near(); };
        s.ring.shared.tail.value = number();
        s.ring.shared.head.value = number();
        for (auto& slot : s.ring.shared.slots) slot.stamp.value = near() + any() % 256;
        s.table.dead.clear();
        for (std::uint32_t i = 0; i < s.table.count(); ++i) {
            s.table[i].occupied = random() % 4 != 0 ? 1 : 0;
            s.table[i].push_intent = number();
            s.table[i].push_count = number();
            s.table[i].pop_intent = number();
            s.table[i].pop_count = number();
            if (random() % 2 == 0) s.table.dead.insert(i);
        }
        s.table.tests.assign(s.table.count(), 0);
        static_cast<void>(s.recover(3, times % 2 == 0 ? recovery_extent::full() : recovery_extent::piece()));
        REQUIRE(*std::max_element(s.table.tests.begin(), s.table.tests.end()) <= 1);
    }
}

TEST_CASE("intents that are no tickets harm nobody") {
    scene s(3);
    const std::uint64_t planted = GENERATE(3U, 127U, 128U, 255U, 0x8000'0000'0000'0000U, 0xFFFF'FFFF'FFFF'FF00U);
    s.table[1].push_intent = planted;
    s.table[1].pop_intent = planted;
    s.table[1].push_count = ~std::uint64_t{0};
    s.table[1].pop_count = ~std::uint64_t{0};
    s.table.dead.insert(1);

    CHECK(s.recover().participants_removed == 1);
    s.has_full_capacity();
}

TEST_CASE("a message that is requeued is there again, and not lost") {
    scene s(small_capacity());
    REQUIRE(s.ring.push(s.table[0], 12) == outcome::ok);
    for (int times = 0; times < 40; ++times) {
        claim made{};
        if (!s.ring.ring.claim_pop(s.table[1], made)) {
            REQUIRE(s.ring.ring.claim_otherwise(s.table[1], made) == outcome::ok);
        }
        if (!s.ring.ring.requeue(s.table[1], made)) s.ring.ring.requeue_locked(s.table[1], made);
        CHECK(s.ring.ring.size() == 1);
    }
    CHECK(s.pops() == 12);
    s.has_full_capacity();
}

TEST_CASE("a consumer that requeued a message and does nothing more is not taken for its owner") {
    scene s(small_capacity());
    REQUIRE(s.ring.push(s.table[0], 12) == outcome::ok);
    claim made{};
    REQUIRE(s.ring.ring.claim_pop(s.table[2], made));
    REQUIRE(s.ring.ring.requeue(s.table[2], made));

    static_cast<void>(s.dies_popping(1));
    const auto report = s.recover();

    CHECK(report.postponed == 0);
    CHECK(report.messages_to_redeliver == 1);
    CHECK(s.pops() == 12);
}

TEST_CASE("a closed ring takes nothing more, and gives what it has, down to what a consumer may still requeue") {
    scene s(2);
    std::uint64_t out = 0;
    REQUIRE(s.ring.push(s.table[0], 1) == outcome::ok);
    REQUIRE(s.ring.push(s.table[0], 2) == outcome::ok);
    s.ring.ring.close();

    CHECK(s.ring.ring.closed());
    CHECK(s.ring.push(s.table[0], 3) == outcome::closed);
    CHECK(s.ring.ring.size() == 2);
    CHECK(s.pops() == 1);
    static_cast<void>(s.dies_popping(1));
    CHECK(s.ring.pop(s.table[0], out) == outcome::empty);
    static_cast<void>(s.recover());
    CHECK(s.pops() == 2);
    CHECK(s.ring.pop(s.table[0], out) == outcome::closed);
    CHECK(s.ring.peek(out) == outcome::closed);
}

TEST_CASE("a push that is under way when the ring is closed is either claimed before it, or refused") {
    number_ring<> ring(2);
    participant self;
    ring.shared.tail.before_exchange = [&] { ring.ring.close(); };

    CHECK(ring.push(self, 1) == outcome::closed);
    CHECK(self.push_intent == promisqs::detail::layout::no_ticket);
    CHECK(ring.ring.empty());
}
