// SPDX-License-Identifier: Apache-2.0

// push_with and pop_with: what becomes of a message when the callable throws, ends its thread, forks, or uses queues
// itself.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <thread>

using promisqs::errc;
using promisqs::status;
using promisqs_test::expect_error;
using promisqs_test::forked;
using promisqs_test::has_full_capacity;
using promisqs_test::recovers;
using promisqs_test::refusal;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;

TEST_CASE("a message made and read in place is a message like any other") {
    const scoped_name name("in-place");
    auto q = queue::create(name, 2);
    std::uint64_t seen = 0;

    CHECK(q.push_with([](std::uint64_t& slot) { slot = 5; }));
    CHECK(q.try_push_with([](std::uint64_t& slot) { slot = 6; }) == status::ok);
    CHECK_FALSE(q.push_with([](std::uint64_t&) { FAIL("there is no room"); }));
    CHECK(q.try_push_with([](std::uint64_t&) { FAIL("there is no room"); }) == status::full);
    CHECK(q.pop_with([&](const std::uint64_t& slot) { seen = slot; }));
    CHECK(seen == 5);
    CHECK(q.try_pop_with([&](const std::uint64_t& slot) { seen = slot; }) == status::ok);
    CHECK(seen == 6);
    CHECK_FALSE(q.pop_with([](const std::uint64_t&) { FAIL("there is no message"); }));
    CHECK(q.try_pop_with([](const std::uint64_t&) { FAIL("there is no message"); }) == status::empty);
}

TEST_CASE("a callable that throws leaves no trace of the push") {
    const scoped_name name("fill-throws");
    auto q = queue::create(name, 3);
    REQUIRE(q.push(1));

    CHECK_THROWS_AS(q.push_with([](std::uint64_t&) { throw refusal("no"); }), refusal);

    CHECK(q.size() == 1);
    CHECK(q.stats().tombstones == 1);
    CHECK(q.stats().pushed == 1);
    CHECK(q.pop() == 1U);
    CHECK(q.pop() == std::nullopt);
    has_full_capacity(q);
}

TEST_CASE("a callable that throws leaves the message to another consumer, however often") {
    const scoped_name name("use-throws");
    auto q = queue::create(name, GENERATE(1U, 3U), {.max_deaths = 1});
    REQUIRE(q.push(1));

    for (int times = 0; times < 50; ++times) {
        CHECK_THROWS_AS(q.pop_with([](const std::uint64_t&) { throw refusal("not now"); }), refusal);
        CHECK(q.size() == 1);
        CHECK(q.peek() == 1U);
    }

    CHECK(q.pop() == 1U);
    CHECK(q.stats().dropped == 0);
    has_full_capacity(q);
}

TEST_CASE("a thread that is ended inside a callable leaves its claim in order") {
    const scoped_name name("thread-ends");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));
    std::thread([&] { q.pop_with([](const std::uint64_t&) { ::pthread_exit(nullptr); }); }).join();
    std::thread([&] { static_cast<void>(q.push_with([](std::uint64_t&) { ::pthread_exit(nullptr); })); }).join();

    CHECK(q.size() == 1);
    CHECK(q.pop() == 1U);
    CHECK(q.stats().participants.size() == 1);
    has_full_capacity(q);
}

TEST_CASE("inside a callable the same queue can't be pushed to or popped from, and nothing is lost by trying") {
    const scoped_name name("nested");
    const scoped_name other_name("nested-other");
    auto q = queue::create(name, 4);
    auto other = queue::create(other_name, 4);
    REQUIRE(q.push(1));

    expect_error(errc::in_callable, {name, "inside the callable"},
                 [&] { q.pop_with([&](const std::uint64_t& slot) { static_cast<void>(q.push(slot)); }); });
    expect_error(errc::in_callable, {name, "inside the callable"},
                 [&] { static_cast<void>(q.push_with([&](std::uint64_t& slot) { slot = *q.pop(); })); });
    CHECK(q.size() == 1);
    CHECK(q.pop_with([&](const std::uint64_t& slot) {
        CHECK(other.push(slot));
        CHECK(q.size() <= 1);
        static_cast<void>(q.recover());
    }));
    CHECK(other.pop() == 1U);
    has_full_capacity(q);
}

TEST_CASE("a child forked inside a callable does not own the claim; its parent does") {
    const scoped_name name("fork-inside");
    auto q = queue::create(name, 2);
    ::pid_t child = -1;
    const auto parent = ::getpid();

    const auto fork_inside = [&](std::uint64_t value) {
        return q.push_with([&](std::uint64_t& slot) {
            slot = value;
            child = ::fork();
        });
    };
    try {
        if (!fork_inside(5)) ::_exit(2);
    } catch (const promisqs::queue_error& error) {
        ::_exit(::getpid() != parent && error.code() == errc::in_callable && q.pop() == 5U ? 0 : 1);
    }
    CHECK(wait_for(child) == 0);
    CHECK(q.pop() == std::nullopt);
    static_cast<void>(q.recover());
    has_full_capacity(q);
}

TEST_CASE("inside a callable, another queue and another handle work, a copy of the handle does not") {
    const scoped_name name("death-nested");
    const scoped_name other_name("death-nested-other");
    auto q = queue::create(name, 4);
    auto other = queue::create(other_name, 4);
    auto second = queue::open(name);
    auto copy = q;
    REQUIRE(q.push(1));

    CHECK(q.pop_with([&](const std::uint64_t& slot) {
        CHECK(other.push(slot));
        CHECK(other.pop_with([&](const std::uint64_t& inner) {
            CHECK(inner == 1);
            CHECK(second.push(7));
            expect_error(errc::in_callable, {name}, [&] { static_cast<void>(copy.push(8)); });
            expect_error(errc::in_callable, {name}, [&] { static_cast<void>(q.pop()); });
            expect_error(errc::in_callable, {other_name}, [&] { static_cast<void>(other.try_push(8)); });
        }));
        CHECK(other.push(9));  // that one is free again
        expect_error(errc::in_callable, {name}, [&] { static_cast<void>(q.try_push(8)); });
    }));

    CHECK(other.pop() == 9U);
    CHECK(q.pop() == 7U);
    CHECK(q.pop() == std::nullopt);
    has_full_capacity(q);
}

TEST_CASE("a thread that is cancelled inside a callable leaves its claim in order") {
    const scoped_name name("death-cancel");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));
    const bool pushing = GENERATE(true, false);
    const signal_pipe there;
    std::thread victim([&] {
        const auto wait = [&] {
            there.send();
            for (;;) ::pause();  // a point of cancellation
        };
        if (pushing) {
            static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); }));
        } else {
            q.pop_with([&](const std::uint64_t&) { wait(); });
        }
    });
    there.wait();
    REQUIRE(::pthread_cancel(victim.native_handle()) == 0);
    victim.join();

    CHECK(q.stats().participants.size() == 1);
    CHECK(q.stats().tombstones == (pushing ? 1U : 0U));
    CHECK(q.size() == 1);
    CHECK(q.pop() == 1U);
    CHECK(q.pop() == std::nullopt);
    recovers(q, {});
    has_full_capacity(q);
}

TEST_CASE("a child forked inside a callable of pop_with gets an error; its parent has taken the message") {
    const scoped_name name("death-fork-inside");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(5));
    REQUIRE(q.push(6));
    const auto parent = ::getpid();
    ::pid_t child = -1;
    bool returned = false;

    try {
        returned = q.pop_with([&](const std::uint64_t&) { child = ::fork(); });
        if (::getpid() != parent) ::_exit(1);
    } catch (const promisqs::queue_error& error) {
        if (::getpid() == parent) throw;
        ::_exit(error.code() == errc::in_callable && q.pop() == 6U ? 0 : 2);
    }
    CHECK(returned);
    CHECK(wait_for(child) == 0);
    recovers(q, {.removed = 1});
    CHECK(q.pop() == std::nullopt);
    CHECK(q.stats().redelivered == 0);
    has_full_capacity(q);
}

TEST_CASE("a child forked inside a callable does not keep the claim of a parent that is killed") {
    const scoped_name name("death-fork-orphan");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(5));
    const signal_pipe ready;
    const signal_pipe end;
    const ::pid_t parent = forked([&] {
        q.pop_with([&](const std::uint64_t&) {
            if (::fork() == 0) {
                ::prctl(PR_SET_PDEATHSIG, 0);
                ready.send();
                end.wait();
                ::_exit(0);
            }
            for (;;) ::pause();
        });
        return 1;
    });
    ready.wait();
    ::kill(parent, SIGKILL);
    wait_for(parent);

    recovers(q, {.removed = 1, .to_redeliver = 1});
    CHECK(q.pop() == 5U);
    end.send();
    has_full_capacity(q);
}

TEST_CASE("a peek that would wait for its own thread's callable is refused") {
    const scoped_name name("peek-inside");
    auto q = queue::create(name, 2);
    CHECK(q.push_with([&](std::uint64_t& slot) {
        slot = 3;
        std::uint64_t out = 0;
        CHECK(q.try_peek(out) == status::would_block);
        expect_error(errc::in_callable, {name}, [&] { static_cast<void>(q.peek()); });
    }));
    CHECK(q.peek() == 3U);
    CHECK(q.pop() == 3U);
    has_full_capacity(q);
}
