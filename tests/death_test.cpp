// SPDX-License-Identifier: Apache-2.0

// Deaths of every kind in the middle of push_with and pop_with, and what follows: which process gets the message, what
// is counted, what recover() and stats() say, and what is left alone because a live process may own it.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/queue.hpp>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using promisqs::errc;
using promisqs::status;
using promisqs_test::busy_process;
using promisqs_test::dies_popping;
using promisqs_test::dies_pushing;
using promisqs_test::expect_error;
using promisqs_test::forked;
using promisqs_test::has_full_capacity;
using promisqs_test::raw_object;
using promisqs_test::recovers;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr int at_the_end_of_memory = 1;  // the sanitizer ends the process; nothing is thrown
#else
constexpr int at_the_end_of_memory = -SIGABRT;
#endif

// Runs out of memory, as far as a process may be made to do so without harm to others.
[[noreturn]] void run_out_of_memory() noexcept {
#if defined(__SANITIZE_ADDRESS__)
    ::__sanitizer_set_death_callback([] { ::_exit(at_the_end_of_memory); });
#endif
    const ::rlimit none{0, 0};
    ::setrlimit(RLIMIT_AS, &none);
    for (std::vector<std::unique_ptr<std::array<char, 1 << 16>>> all;;) {
        all.push_back(std::make_unique<std::array<char, 1 << 16>>());  // throws, and nobody catches it
    }
}

void divide_by_zero() {
    volatile int zero = 0;
    static_cast<void>(::raise(SIGFPE) == zero);
}

struct ending {
    const char* name;
    int status;  // of the process: as exited, or minus the signal
    void (*end)();
};

const std::vector<ending>& endings() {
    static const std::vector<ending> all{
        {"kill -9, as by the kernel when memory is out", -SIGKILL, [] { ::kill(::getpid(), SIGKILL); }},
        {"_exit", 3, [] { ::_exit(3); }},
        {"quick_exit", 4, [] { std::quick_exit(4); }},
        {"abort", -SIGABRT, [] { std::abort(); }},
        {"terminate", -SIGABRT, [] { std::terminate(); }},
        {"a segmentation fault", -SIGSEGV, [] { ::raise(SIGSEGV); }},
        {"a fault in arithmetic", -SIGFPE, &divide_by_zero},
        {"Ctrl-C", -SIGINT, [] { ::raise(SIGINT); }},
        {"another program", 0, [] { ::execl("/bin/true", "true", nullptr); }},
        {"the end of memory", at_the_end_of_memory, [] { run_out_of_memory(); }},
    };
    return all;
}

void dies_idle(queue& q) {
    wait_for(forked([&] {
        static_cast<void>(q.push(0) && q.pop());
        return 0;
    }));
}

/// The offset of a process's entry in the shared memory.
std::uint64_t entry_of(const raw_object& object, std::uint32_t pid, std::uint32_t participants) {
    using promisqs::detail::layout::participant;
    const auto bytes = object.read();
    for (std::uint32_t i = 0; i < participants; ++i) {
        const std::uint64_t at = promisqs::detail::layout::participants_offset + i * sizeof(participant);
        std::uint32_t occupied = 0;
        std::uint32_t owner = 0;
        std::memcpy(&occupied, bytes.data() + at, sizeof occupied);
        std::memcpy(&owner, bytes.data() + at + offsetof(participant, pid), sizeof owner);
        if (occupied != 0 && owner == pid) return at;
    }
    throw std::runtime_error("no such participant");
}

std::uint64_t intent_at(const raw_object& object, std::uint64_t offset) {
    std::uint64_t intent = 0;
    std::memcpy(&intent, object.read().data() + offset, sizeof intent);
    return intent;
}

}  // namespace

TEST_CASE("a message whose consumer ended in any way is delivered to another process, and counted") {
    const ending& how = GENERATE(from_range(endings()));
    CAPTURE(how.name);
    const scoped_name name("death-pop");
    auto q = queue::create(name, 3);
    REQUIRE(q.push(41));
    REQUIRE(q.push(42));

    CHECK(dies_popping(q, how.end) == how.status);

    recovers(q, {.removed = 1, .to_redeliver = 1});
    CHECK(q.size() == 2);
    CHECK(wait_for(forked([&] { return q.pop() == 42U && q.pop() == 41U && !q.pop() ? 0 : 1; })) == 0);
    CHECK(q.stats().redelivered == 1);
    CHECK(q.stats().tombstones == 0);
    has_full_capacity(q);
}

TEST_CASE("a push whose producer ended in any way leaves no message, and its place is used again") {
    const ending& how = GENERATE(from_range(endings()));
    CAPTURE(how.name);
    const scoped_name name("death-push");
    auto q = queue::create(name, 3);
    REQUIRE(q.push(1));

    CHECK(dies_pushing(q, how.end) == how.status);

    REQUIRE(q.push(2));
    recovers(q, {.removed = 1, .tombstones = 1});
    CHECK(q.size() == 2);
    CHECK(q.stats().tombstones == 1);
    CHECK(q.stats().pushed == 2);
    CHECK(q.pop() == 1U);
    CHECK(q.pop() == 2U);
    CHECK(q.pop() == std::nullopt);
    has_full_capacity(q);
}

TEST_CASE("a recovery reports nothing where nobody died, and one entry for a process that died idle") {
    const scoped_name name("death-idle");
    auto q = queue::create(name, 2);
    recovers(q, {});
    REQUIRE(q.push(1));
    recovers(q, {});
    dies_idle(q);
    recovers(q, {.removed = 1});
    recovers(q, {});
    CHECK(q.size() == 1);
}

TEST_CASE("a recovery reports all that several dead processes have left, and the next one reports nothing") {
    const scoped_name name("death-many");
    auto q = queue::create(name, 8);
    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(q.push(i));
    busy_process consumer_1([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
    busy_process consumer_2([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
    busy_process producer([&](auto wait) { static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); })); });
    for (busy_process* one : {&consumer_1, &consumer_2, &producer}) one->kill();

    recovers(q, {.removed = 3, .tombstones = 1, .to_redeliver = 2});
    recovers(q, {});

    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    while (const auto message = q.pop()) {
        sum += *message;
        ++count;
    }
    CHECK(count == 4);
    CHECK(sum == 6);
    has_full_capacity(q);
}

TEST_CASE("all messages that the threads of one process had claimed come back when it dies") {
    const scoped_name name("death-threads");
    auto q = queue::create(name, 8);
    for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(q.push(i));
    busy_process victim([&](auto wait) {
        std::atomic<int> inside = 0;
        const auto hold = [&] {
            ++inside;
            for (;;) ::pause();
        };
        std::vector<std::thread> all;
        for (int i = 0; i < 3; ++i) all.emplace_back([&] { q.pop_with([&](const std::uint64_t&) { hold(); }); });
        for (int i = 0; i < 2; ++i) {
            all.emplace_back([&] { static_cast<void>(q.push_with([&](std::uint64_t&) { hold(); })); });
        }
        while (inside != 5) std::this_thread::yield();
        wait();
    });
    CHECK(q.stats().participants.size() == 6);
    recovers(q, {});

    victim.kill();

    recovers(q, {.removed = 5, .tombstones = 2, .to_redeliver = 3});
    CHECK(q.size() == 3);
    while (q.pop()) {}
    CHECK(q.stats().popped == 3);
    has_full_capacity(q);
}

TEST_CASE(
    "what a dead participant was at is left for later while somebody alive may own it, however often one recovers") {
    const scoped_name name("death-left");
    constexpr std::uint32_t participants = 4;
    auto q = queue::create(name, 2, {.participants = participants});
    const raw_object object(name.path());
    const bool pushing = GENERATE(true, false);
    using promisqs::detail::layout::participant;
    const std::uint64_t intent = pushing ? offsetof(participant, push_intent) : offsetof(participant, pop_intent);
    if (!pushing) REQUIRE(q.push(8));

    busy_process owner([&](auto wait) {
        if (pushing) {
            static_cast<void>(q.push_with([&](std::uint64_t& slot) {
                wait();
                slot = 8;
            }));
        } else {
            q.pop_with([&](const std::uint64_t& slot) {
                wait();
                if (slot != 8) ::_exit(5);
            });
        }
    });
    // As of one that announced the same ticket, was slower, and died before it took the announcement back.
    busy_process rival([&](auto wait) {
        if (pushing) {
            static_cast<void>(q.try_push(9));  // the next place
        } else {
            static_cast<void>(q.pop());
        }
        wait();
    });
    owner.stop();
    object.write(entry_of(object, rival.pid(), participants) + intent,
                 intent_at(object, entry_of(object, owner.pid(), participants) + intent));
    rival.kill();

    for (int i = 0; i < 20; ++i) recovers(q, {.left = 1});
    CHECK(q.stats().tombstones + q.stats().redelivered + q.stats().dropped == 0);

    owner.go_on();
    CHECK(owner.finish() == 0);
    CHECK(q.recover().postponed == 0);
    if (pushing) {
        CHECK(q.pop() == 8U);
        CHECK(q.pop() == 9U);
    }
    CHECK(q.pop() == std::nullopt);
    CHECK(q.stats().participants.size() == 1);
    CHECK(q.stats().tombstones + q.stats().redelivered == 0);
    has_full_capacity(q);
}

TEST_CASE("a recovery that finds another one in progress says so, and does nothing") {
    const scoped_name name("death-elsewhere");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));
    dies_popping(q);
    {
        const raw_object elsewhere(name.path());
        REQUIRE(elsewhere.lock(promisqs::detail::layout::recovery_byte, promisqs::detail::os::lock_kind::exclusive));
        const auto report = q.recover();
        CHECK(report.in_progress_elsewhere);
        CHECK(report.participants_removed + report.messages_to_redeliver == 0);
    }
    recovers(q, {.removed = 1, .to_redeliver = 1});
}

TEST_CASE("statistics show that a recovery is in progress") {
    const scoped_name name("death-being-recovered");
    auto q = queue::create(name, 2);
    CHECK_FALSE(q.stats().being_recovered);
    const raw_object elsewhere(name.path());
    REQUIRE(elsewhere.lock(promisqs::detail::layout::recovery_byte, promisqs::detail::os::lock_kind::exclusive));
    CHECK(q.stats().being_recovered);
}

TEST_CASE("a recovery whose process died in it is finished by the next one") {
    const scoped_name name("death-recoverer");
    auto q = queue::create(name, 2, {.max_deaths = 1});
    REQUIRE(q.push(13));
    dies_popping(q);
    // In the callable for dropped messages: the message is gone from the queue, and the entry is free.
    wait_for(forked([&] {
        q.on_dropped([](const std::uint64_t&) { ::kill(::getpid(), SIGKILL); });
        static_cast<void>(q.recover());
        return 0;
    }));
    CHECK_FALSE(q.recover().in_progress_elsewhere);
    CHECK(q.empty());
    has_full_capacity(q);
}

TEST_CASE("a newcomer finds room in a table full of dead participants, and recovers what they left") {
    const scoped_name name("death-table");
    auto q = queue::create(name, 4, {.participants = 4});
    REQUIRE(wait_for(forked([&] { return q.push(1) && q.push(2) ? 0 : 1; })) == 0);
    {
        busy_process a([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
        busy_process b([&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
        busy_process c([&](auto wait) { static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); })); });
        CHECK(q.stats().participants.size() == 4);
    }

    CHECK(q.push(3));  // this process's first use

    CHECK(q.stats().participants.size() == 1);
    CHECK(q.stats().redelivered == 2);
    CHECK(q.stats().tombstones == 1);
    CHECK(q.size() == 3);
    while (q.pop()) {}
    has_full_capacity(q);
}

TEST_CASE("a table full of live participants refuses a newcomer until one of them dies") {
    const scoped_name name("death-refused");
    auto q = queue::create(name, 4, {.participants = 1});
    {
        const busy_process other([&](auto wait) { static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); })); });
        expect_error(errc::too_many_participants, {name}, [&] { static_cast<void>(q.push(3)); });
    }
    CHECK(q.push(3));
    CHECK(q.pop() == 3U);
}

TEST_CASE("opening a queue recovers what dead producers and consumers have left") {
    const scoped_name name("death-open");
    auto q = queue::create(name, 3);
    REQUIRE(q.push(1));
    dies_popping(q);
    dies_pushing(q);

    auto other = queue::open(name);

    CHECK(other.stats().redelivered == 1);
    CHECK(other.stats().tombstones == 1);
    CHECK(other.stats().participants.size() == 1);
    CHECK(other.size() == 1);
}

TEST_CASE("pops and looks that are stuck behind a dead producer recover what it left, and go on") {
    const scoped_name name("death-stuck");
    auto q = queue::create(name, 3);
    dies_pushing(q);
    REQUIRE(q.push(5));
    std::uint64_t out = 0;
    switch (GENERATE(0, 1, 2, 3, 4)) {
        case 0: CHECK(q.pop() == 5U); break;
        case 1: CHECK(q.peek() == 5U); break;
        case 2: CHECK(q.pop_with([](const std::uint64_t& slot) { CHECK(slot == 5); })); break;
        case 3:
            while (q.try_pop(out) != status::ok) {}
            CHECK(out == 5);
            break;
        default:
            while (q.try_peek(out) != status::ok) {}
            CHECK(out == 5);
    }
    CHECK(q.stats().tombstones == 1);
}

TEST_CASE("pushes that are stuck behind a dead consumer in a full queue recover what it left, and go on") {
    const scoped_name name("death-stuck-push");
    auto q = queue::create(name, GENERATE(1U, 2U));
    while (q.push(1)) {}
    dies_popping(q);

    std::thread consumer([&] {  // takes what is there, as soon as it is there again
        std::uint64_t out = 0;
        while (q.try_pop(out) != status::ok) {}
        while (q.try_pop(out) != status::ok) {}
    });
    while (q.try_push(2) != status::ok) {}
    while (!q.push_with([](std::uint64_t& slot) { slot = 3; })) {}
    consumer.join();

    CHECK(q.stats().redelivered == 1);
    CHECK(q.size() == q.capacity());
}

TEST_CASE("a thread that ends gives its entry back while its process lives, and is never taken for dead") {
    const scoped_name name("death-thread-end");
    auto q = queue::create(name, 4, {.participants = 2});
    REQUIRE(q.push(0));
    for (std::uint64_t i = 0; i < 10; ++i) {
        std::thread([&] {
            CHECK(q.push(i));
            CHECK(q.pop());
            recovers(q, {});
            CHECK(q.stats().participants.size() == 2);
        }).join();
        CHECK(q.stats().participants.size() == 1);
    }
    CHECK(q.size() == 1);
}

TEST_CASE(
    "after a fork in the midst of traffic parent and child go on, and what a killed child had claimed comes back") {
    const scoped_name name("death-fork-traffic");
    auto q = queue::create(name, 16, {.max_deaths = 0});
    std::atomic<bool> stop = false;
    std::atomic<std::uint64_t> pushed = 0;
    std::atomic<std::uint64_t> popped = 0;
    std::vector<std::thread> traffic;
    traffic.emplace_back([&] {
        for (std::uint64_t i = 1; !stop; ++i) {
            while (!q.push(i)) {
                if (stop) return;
                std::this_thread::yield();
            }
            pushed = i;
        }
    });
    traffic.emplace_back([&] {
        while (!stop) {
            if (q.pop()) {
                ++popped;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::uint64_t killed_inside = 0;
    std::uint64_t given_up = 0;
    for (int i = 0; i < 10; ++i) {
        // One after the other: what one of them holds, all others may soon be waiting for.
        busy_process consumer([&](auto wait) {
            while (!q.pop_with([&](const std::uint64_t&) { wait(); })) std::this_thread::yield();
        });
        consumer.kill();
        busy_process producer([&](auto wait) {
            while (!q.push_with([&](std::uint64_t&) { wait(); })) std::this_thread::yield();
        });
        producer.kill();
        ++killed_inside;
        ++given_up;
        const std::uint64_t seen = popped;
        while (popped < seen + 100) std::this_thread::yield();  // the parent goes on
    }
    stop = true;
    for (auto& one : traffic) one.join();
    static_cast<void>(q.recover());
    std::uint64_t left = 0;
    while (q.pop()) ++left;

    CHECK(popped + left == pushed);
    CHECK(q.stats().redelivered == killed_inside);
    CHECK(q.stats().tombstones == given_up);
    has_full_capacity(q);
}

TEST_CASE("a producer that is stuck behind a dead consumer recovers what it left, and goes on") {
    const scoped_name name("stuck");
    auto q = queue::create(name, 1);
    REQUIRE(q.push(1));
    dies_popping(q);

    CHECK_FALSE(q.push(2));  // full, and not blocked: the message is there again
    CHECK(q.pop() == 1U);
    CHECK(q.push(2));
}

TEST_CASE("a consumer that only polls gets the message of one that died") {
    const scoped_name name("poll");
    auto q = queue::create(name, 4);
    REQUIRE(q.push(1));
    dies_popping(q);

    std::optional<std::uint64_t> message;
    while (!message) message = q.pop();
    CHECK(message == 1U);

    REQUIRE(q.push(2));
    dies_popping(q);
    std::uint64_t out = 0;
    while (q.try_pop(out) != status::ok) {}
    CHECK(out == 2);
}

TEST_CASE("a consumer that polls seldom finds the message of one that died when it looks again") {
    const scoped_name name("poll-seldom");
    auto q = queue::create(name, 4);
    REQUIRE(q.pop() == std::nullopt);
    REQUIRE(q.push(1));
    dies_popping(q);
    const auto before = promisqs::detail::os::steady_clock();
    while (promisqs::detail::os::steady_clock() - before < 50'000'000) std::this_thread::yield();  // seldom

    CHECK(q.pop() == 1U);
}

TEST_CASE("a process that finds all entries taken waits for a recovery in progress, which may free one") {
    const scoped_name name("table-recovery");
    auto q = queue::create(name, 2, {.participants = 1});
    REQUIRE(wait_for(forked([&] { return q.push(1) ? 0 : 1; })) == 0);
    std::optional<raw_object> other(name.path());
    REQUIRE(other->lock(promisqs::detail::layout::recovery_byte, promisqs::detail::os::lock_kind::exclusive));
    std::atomic<bool> begun = false;

    bool pushed = false;
    std::thread pusher([&] {
        begun = true;
        pushed = q.push(2);
    });
    while (!begun) {}
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // or less: then it has nothing to wait for
    other.reset();
    pusher.join();

    CHECK(pushed);
}

TEST_CASE("statistics tell totals and participants") {
    const scoped_name name("stats");
    auto q = queue::create(name, 4);
    for (std::uint64_t i = 0; i < 3; ++i) REQUIRE(q.push(i));
    REQUIRE(q.pop() == 0U);
    REQUIRE(wait_for(forked([&] { return q.push(3) ? 0 : 1; })) == 0);

    const auto stats = q.stats();

    CHECK(stats.size == 3);
    CHECK(stats.capacity == 4);
    CHECK(stats.pushed == 4);
    CHECK(stats.popped == 1);
    REQUIRE(stats.participants.size() == 2);
    CHECK(stats.participants[0].process == static_cast<std::uint32_t>(::getpid()));
    CHECK(stats.participants[0].alive);
    CHECK_FALSE(stats.participants[1].alive);
    CHECK_FALSE(stats.participants[0].pushing);
    CHECK(stats.participants[0].since.time_since_epoch().count() > 0);
}

TEST_CASE("a process that is stopped in the middle of a push or pop keeps what it has claimed") {
    const scoped_name name("stopped");
    auto q = queue::create(name, 2);
    std::uint64_t out = 0;

    SECTION("a push") {
        busy_process other([&](auto wait) {
            static_cast<void>(q.push_with([&](std::uint64_t& slot) {
                wait();
                slot = 8;
            }));
        });
        other.stop();
        for (int i = 0; i < 20; ++i) CHECK(q.recover().participants_removed == 0);
        CHECK(q.try_pop(out) == status::would_block);
        CHECK(q.try_push(9) == status::ok);
        const auto stats = q.stats();
        REQUIRE(stats.head);
        CHECK(stats.head->message == 0);
        REQUIRE(stats.head->by);
        CHECK(stats.head->by->process == other.pid());
        CHECK(stats.head->by->alive);
        CHECK(stats.head->by->pushing == 0U);
        other.go_on();
        CHECK(other.finish() == 0);
        CHECK(q.pop() == 8U);
        CHECK(q.pop() == 9U);
    }
    SECTION("a pop") {
        REQUIRE(q.push(8));
        REQUIRE(q.push(9));
        busy_process other([&](auto wait) {
            q.pop_with([&](const std::uint64_t& slot) {
                wait();
                if (slot != 8) ::_exit(5);
            });
        });
        other.stop();
        for (int i = 0; i < 20; ++i) CHECK(q.recover().messages_to_redeliver == 0);
        CHECK(q.try_push(10) == status::would_block);
        CHECK(q.pop() == 9U);
        CHECK(q.try_pop(out) == status::empty);
        const auto stats = q.stats();
        REQUIRE(stats.tail);
        CHECK(stats.tail->message == 0);
        REQUIRE(stats.tail->by);
        CHECK(stats.tail->by->process == other.pid());
        other.go_on();
        CHECK(other.finish() == 0);
    }
    CHECK_FALSE(q.stats().head);
    CHECK_FALSE(q.stats().tail);
    static_cast<void>(q.recover());
    has_full_capacity(q);
}

TEST_CASE("statistics show which participant stalls the head or the tail, and for how long") {
    const scoped_name name("death-stall");
    auto q = queue::create(name, 1);
    const bool pushing = GENERATE(true, false);
    const auto stall = [&](const promisqs::queue_stats& stats) { return pushing ? stats.head : stats.tail; };
    if (!pushing) REQUIRE(q.push(8));
    CHECK_FALSE(stall(q.stats()));
    busy_process other([&](auto wait) {
        if (pushing) {
            static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); }));
        } else {
            q.pop_with([&](const std::uint64_t&) { wait(); });
        }
    });

    const auto first = stall(q.stats());
    const auto second = stall(q.stats());

    REQUIRE(first);
    REQUIRE(second);
    CHECK(second->at_least > first->at_least);
    CHECK(second->message == 0);
    REQUIRE(second->by);
    CHECK(second->by->process == other.pid());
    CHECK(second->by->thread == other.pid());
    CHECK(second->by->alive);
    CHECK(second->by->pushing.has_value() == pushing);
    CHECK(second->by->popping.has_value() == !pushing);

    other.kill();
    const auto dead = stall(q.stats());
    REQUIRE(dead);
    REQUIRE(dead->by);
    CHECK_FALSE(dead->by->alive);
    static_cast<void>(q.recover());
    CHECK_FALSE(stall(q.stats()));
}
