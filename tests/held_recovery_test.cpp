// SPDX-License-Identifier: Apache-2.0

// What recovery finds of rows of messages that a process held, at chosen instants: in ordinary memory.

#include "support/catch.hpp"
#include "support/plain_memory.hpp"

#include <promisqs/detail/protocol/held_places.hpp>
#include <promisqs/detail/protocol/recovery.hpp>
#include <promisqs/detail/queue/recovery_workspace.hpp>
#include <promisqs/stats.hpp>

#include <cstdint>
#include <set>
#include <vector>

using promisqs::recovery_report;
using promisqs::detail::batch;
using promisqs::detail::claim;
using promisqs::detail::outcome;
using promisqs::detail::recovery_extent;
using promisqs_test::number_ring;
using promisqs_test::participant;

namespace {

/// Participants: 0 is a thread, the others hold messages.
struct participants {
    mutable participant entries[3];
    std::set<std::uint32_t> dead;

    [[nodiscard]] static std::uint32_t count() { return 3; }
    [[nodiscard]] static std::uint32_t used() { return 3; }
    participant& operator[](std::uint32_t i) const { return entries[i]; }
    [[nodiscard]] static std::uint64_t process_of(const participant& /*entry*/) { return 0; }
    [[nodiscard]] bool is_of_a_thread(const participant& entry) const { return &entry == &entries[0]; }
    [[nodiscard]] bool try_lock(std::uint32_t i) const { return dead.contains(i); }
    static void unlock(std::uint32_t /*i*/) {}
    static void give_up_roles(std::uint32_t /*i*/) {}
};

struct letters {
    static bool stage(const void* /*message*/) { return true; }
    static void commit() {}
};

struct scene {
    explicit scene(std::uint64_t capacity) : ring(capacity), workspace(3, capacity) {
        for (std::uint64_t i = 0; i < capacity; ++i) REQUIRE(ring.push(table[0], i) == outcome::ok);
    }
    batch claims(std::uint32_t i, std::uint64_t most) {
        batch made{};
        REQUIRE(ring.ring.claim_pops(table[i], most, made));
        return made;
    }
    void releases(const batch& made, std::uint64_t i) const {
        ring.ring.release({ring.tickets.later(made.first, i), 0});
    }
    recovery_report recover(const recovery_extent& extent = recovery_extent::full()) {
        letters none;
        return promisqs::detail::recovery(ring.ring, table, table, none, 1, workspace.notes(), extent, nullptr).run();
    }
    std::vector<std::uint64_t> pops() {
        std::vector<std::uint64_t> all;
        std::uint64_t out = 0;
        for (int tries = 0; tries < 20; ++tries) {
            if (ring.pop(table[0], out) == outcome::ok) all.push_back(out);
        }
        return all;
    }

    number_ring<> ring;
    participants table;
    promisqs::detail::recovery_workspace workspace;
};

using numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("what a dead holder has not released comes back, and its death is not counted") {
    scene s(6);
    const batch row = s.claims(1, 5);
    s.releases(row, 1);
    s.releases(row, 4);
    s.table.dead.insert(1);

    const auto report = s.recover();

    CHECK(report.participants_removed == 1);
    CHECK(report.messages_to_redeliver == 3);
    CHECK(report.messages_dropped == 0);  // one death of a thread would have been enough
    CHECK(s.pops() == numbers{5, 0, 2, 3});
}

TEST_CASE("the death of a holder is not counted, either, where a short look does not know of it before") {
    scene s(3);
    static_cast<void>(s.claims(1, 1));
    s.table.dead.insert(1);
    constexpr recovery_extent only_where_stuck{0, 0, recovery_extent::all, recovery_extent::all, true, 1};

    const auto report = s.recover(only_where_stuck);

    CHECK(report.messages_to_redeliver == 1);
    CHECK(report.messages_dropped == 0);
    CHECK(s.pops() == numbers{1, 2, 0});
}

TEST_CASE("a living holder keeps what it holds, and nothing that it gave back") {
    scene s(4);
    const batch row = s.claims(1, 4);
    s.releases(row, 1);
    CHECK(s.recover().messages_to_redeliver == 0);
    s.ring.ring.requeue_rest(s.table[1], row);
    // Another holder takes a message that has come back, and dies: nobody else may be taken for its owner.
    claim orphan{};
    std::uint64_t in_vain = 0;
    REQUIRE(s.ring.ring.claim_returned(s.table[2], orphan, in_vain));
    s.table.dead.insert(2);

    const auto report = s.recover();

    CHECK(report.messages_to_redeliver == 1);
    CHECK(report.postponed == 0);
    CHECK(s.pops() == numbers{0, 2, 3});
}

TEST_CASE("messages that came back are claimed oldest first, and looked for in vain once") {
    scene s(4);
    const batch row = s.claims(1, 3);
    s.ring.ring.requeue_rest(s.table[1], row);
    std::uint64_t in_vain = 0;
    numbers found;
    for (claim one{}; s.ring.ring.claim_returned(s.table[2], one, in_vain);) {
        found.push_back(*static_cast<const std::uint64_t*>(s.ring.ring.payload(one)));
        s.ring.ring.release(one);
    }
    CHECK(found == numbers{0, 1, 2});
    CHECK(in_vain == s.ring.shared.irregular_count.value);
    CHECK(s.pops() == numbers{3});
}

TEST_CASE("a ring is full of held messages only where a holder's row covers the place that a push needs") {
    scene s(4);
    using promisqs::detail::is_full_of_held;
    CHECK_FALSE(is_full_of_held(s.ring.ring, s.table, 1));
    claim popping{};
    REQUIRE(s.ring.ring.claim_pop(s.table[0], popping));  // a thread, in the middle of a pop
    const batch row = s.claims(1, 2);
    CHECK_FALSE(is_full_of_held(s.ring.ring, s.table, 1));
    s.ring.ring.release(popping);
    CHECK_FALSE(is_full_of_held(s.ring.ring, s.table, 1));
    CHECK(is_full_of_held(s.ring.ring, s.table, 2));
    REQUIRE(s.ring.push(s.table[0], 4) == outcome::ok);
    CHECK(is_full_of_held(s.ring.ring, s.table, 1));
    s.releases(row, 0);
    CHECK_FALSE(is_full_of_held(s.ring.ring, s.table, 1));
}

TEST_CASE("a tombstone is counted before it is made, and not counted if it is not made") {
    scene s(1);
    std::uint64_t out = 0;
    REQUIRE(s.ring.pop(s.table[0], out) == outcome::ok);
    claim pushing{};
    REQUIRE(s.ring.ring.claim_push(s.table[1], pushing));
    s.table.dead.insert(1);
    std::uint64_t counted = 0;
    const bool published = GENERATE(false, true);
    s.ring.shared.slots[0].stamp.before_exchange = [&] {
        counted = s.ring.shared.tombstones.value;
        if (published) s.ring.ring.publish(pushing);  // its owner was not dead, only seemed to be
    };

    CHECK(s.recover().tombstones == (published ? 0 : 1));

    CHECK(counted == 1);
    CHECK(s.ring.shared.tombstones.value == (published ? 0 : 1));
}
