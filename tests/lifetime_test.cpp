// SPDX-License-Identifier: Apache-2.0

// The life of a queue: its creation, the remains of dead creators and users, the last one out, and races of all of
// them.

#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"

#include <promisqs/detail/lifecycle/join.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/queue.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using promisqs::errc;
using promisqs::lifetime;
using promisqs::detail::os::lock_kind;
using promisqs_test::child;
using promisqs_test::expect_error;
using promisqs_test::raw_object;
using promisqs_test::role;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using queue = promisqs::shmem_queue<std::uint32_t>;

namespace layout = promisqs::detail::layout;

namespace {

// Arguments: name, pipe to report on, pipe to wait for. Holds the queue open, having pushed a message.
const role holder("lifetime-holder", [](const promisqs_test::arguments& args) {
    auto q = queue::open_or_create(args.at(0), 8);
    if (!q.push(7)) return 1;
    signal_pipe::send(std::stoi(args.at(1)));
    signal_pipe::wait(std::stoi(args.at(2)));
    return 0;
});

// Arguments: name, pipe to report on, pipe to wait for. Makes an object and locks it, as a creator does, and goes no
// further.
const role half_way("lifetime-half-way-creator", [](const promisqs_test::arguments& args) {
    const raw_object object("/dev/shm/" + args.at(0));
    if (!object.lock(layout::initialising_byte, lock_kind::exclusive)) return 1;
    object.write(0, layout::unfinished_magic);
    signal_pipe::send(std::stoi(args.at(1)));
    signal_pipe::wait(std::stoi(args.at(2)));
    return 0;
});

promisqs::detail::queue_request request_for(const scoped_name& name) {
    return {name.str(), {4, 4, promisqs::schema_of<std::uint32_t>}};
}

struct shared_state {
    std::atomic<unsigned> arrived{0};
    std::atomic<unsigned> round{0};

    // Waits until `count` processes have come.
    void meet(unsigned count) {
        const unsigned now = round.load();
        if (arrived.fetch_add(1) + 1 == count) {
            arrived.store(0);
            round.store(now + 1);
        } else {
            while (round.load() == now) std::this_thread::yield();
        }
    }
};

shared_state* share() {
    void* memory = ::mmap(nullptr, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return ::new (memory) shared_state;
}

}  // namespace

TEST_CASE("the last handle to be closed removes the queue") {
    const scoped_name name("last");
    std::optional<queue> one = queue::create(name, 8);
    std::optional<queue> two = queue::open(name);
    one.reset();
    CHECK(name.exists());
    two.reset();
    CHECK_FALSE(name.exists());
}

TEST_CASE("a queue that is to be kept stays, messages and all, until it is removed") {
    const scoped_name name("keep");
    {
        auto q = queue::create(name, 8, {.life = lifetime::keep});
        REQUIRE(q.push(1));
        REQUIRE(q.push(2));
    }
    CHECK(name.exists());
    {
        auto q = queue::open(name);
        CHECK(q.pop() == 1U);
    }
    CHECK(queue::open(name).size() == 1);
    CHECK(queue::remove(name));
    CHECK_FALSE(name.exists());
    CHECK_FALSE(queue::remove(name));
}

TEST_CASE("a process that has a queue open can go on with it after its removal, and the name can be used again") {
    const scoped_name name("removed");
    auto old_one = queue::create(name, 8);
    REQUIRE(queue::remove(name));
    auto new_one = queue::create(name, 8);
    REQUIRE(old_one.push(1));
    REQUIRE(new_one.push(2));
    CHECK(old_one.pop() == 1U);
    CHECK(new_one.pop() == 2U);
}

TEST_CASE("closing a removed queue does not remove the one that has its name now") {
    const scoped_name name("reused");
    std::optional<queue> old_one = queue::create(name, 8);
    REQUIRE(queue::remove(name));
    auto new_one = queue::create(name, 8);
    old_one.reset();
    CHECK(name.exists());
    CHECK(queue::open(name).capacity() == 8);
}

TEST_CASE("a thread that is to be cancelled closes its queue first") {
    const scoped_name name("cancelled");
    std::thread([&] {
        std::optional<queue> q = queue::create(name, 8);
        REQUIRE(q->push(1));
        ::pthread_cancel(::pthread_self());  // takes effect at the next cancellation point
        q.reset();
        ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    }).join();
    CHECK_FALSE(name.exists());
}

TEST_CASE("the last one out removes the queue though other users were killed") {
    const scoped_name name("killed-users");
    const signal_pipe ready;
    const signal_pipe go;
    std::optional<queue> q = queue::create(name, 8);
    std::vector<child> users;
    for (int i = 0; i < 3; ++i) {
        users.emplace_back("lifetime-holder", promisqs_test::arguments{name.str(), ready.writer(), go.reader()});
    }
    for (int i = 0; i < 3; ++i) ready.wait();

    for (auto& user : users) user.kill();
    CHECK(name.exists());
    CHECK(q->size() == 3);
    q.reset();

    CHECK_FALSE(name.exists());
}

TEST_CASE("a queue whose users were all killed keeps its messages, and create says what to do") {
    const scoped_name name("all-killed");
    const signal_pipe ready;
    const signal_pipe go;
    child user("lifetime-holder", {name.str(), ready.writer(), go.reader()});
    ready.wait();
    user.kill();

    expect_error(errc::already_exists, {name, "messages waiting: 1", "used by nobody", "open", "remove"},
                 [&] { static_cast<void>(queue::create(name, 8)); });
    {
        auto q = queue::open(name);
        CHECK(q.pop() == 7U);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("a user that exits in good order while another stays leaves the queue there") {
    const scoped_name name("good-order");
    const signal_pipe ready;
    const signal_pipe go;
    child user("lifetime-holder", {name.str(), ready.writer(), go.reader()});
    ready.wait();
    std::optional<queue> q = queue::open(name);
    go.send();
    REQUIRE(user.wait() == 0);
    CHECK(name.exists());
    CHECK(q->pop() == 7U);
    q.reset();
    CHECK_FALSE(name.exists());
}

TEST_CASE("create and open_or_create replace an object of a dead creator, open reports it, and remove removes it") {
    const scoped_name name("dead-creator");
    const bool marked = GENERATE(false, true);
    {
        const raw_object object(name.path());  // made, and perhaps marked, but neither locked nor finished
        if (marked) {
            object.write(0, layout::unfinished_magic);
            object.resize(5000);
        }
    }

    SECTION("open") {
        expect_error(errc::unfinished, {name, "died", "open_or_create"}, [&] { static_cast<void>(queue::open(name)); });
    }
    SECTION("create") {
        auto q = queue::create(name, 8);
        CHECK(q.push(1));
        CHECK(queue::open(name).pop() == 1U);
    }
    SECTION("open_or_create") {
        auto q = queue::open_or_create(name, 8);
        CHECK(q.push(1));
        CHECK(queue::open(name).pop() == 1U);
    }
    SECTION("remove") { CHECK(queue::remove(name)); }
}

TEST_CASE("a creator killed half-way is told from one that is still at it") {
    const scoped_name name("half-way");
    const signal_pipe ready;
    const signal_pipe go;
    child creator("lifetime-half-way-creator", {name.str(), ready.writer(), go.reader()});
    ready.wait();
    std::atomic<bool> opened{false};
    std::thread other([&] {
        const auto q = queue::open_or_create(name, 8);
        opened = true;
    });

    const raw_object object(name.path());
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    CHECK_FALSE(opened);  // it waits for the creator, which is alive
    creator.kill();
    other.join();

    CHECK(opened);
}

TEST_CASE("an open that fails does not remove the queue, though nobody else uses it") {
    const scoped_name name("failing-open");
    const signal_pipe ready;
    const signal_pipe go;
    child user("lifetime-holder", {name.str(), ready.writer(), go.reader()});
    ready.wait();
    user.kill();

    expect_error(errc::no_memory, {name}, [&] {  // the queue is smaller than one huge page
        static_cast<void>(queue::open(name, {.huge = promisqs::huge_pages::require}));
    });
    expect_error(errc::schema_differs, {name}, [&] { static_cast<void>(promisqs::shmem_queue<float>::open(name)); });

    CHECK(queue::open(name).pop() == 7U);
}

TEST_CASE("the last one out does not wait for a process that is about to end the queue, and leaves it to that one") {
    const scoped_name name("looked-at");
    std::optional<queue> q = queue::create(name, 8);
    const raw_object other(name.path());
    REQUIRE(other.lock(layout::initialising_byte, lock_kind::exclusive));
    q.reset();
    CHECK(name.exists());
    REQUIRE(other.lock(layout::initialising_byte, lock_kind::none));
    // The other one looks again, and does the same as this user when it closes.
    { const auto last = queue::open(name); }
    CHECK_FALSE(name.exists());
}

TEST_CASE("an opener that finds the name leading elsewhere once it has joined starts over") {
    const scoped_name name("elsewhere");
    const auto q = queue::create(name, 8);
    auto found = promisqs::detail::segment::find(name.str());
    REQUIRE(found.has_value());
    REQUIRE(queue::remove(name));
    const auto request = request_for(name);
    CHECK_FALSE(promisqs::detail::try_use(std::move(*found), request).has_value());
}

TEST_CASE("an opener does not come in while the last one goes out") {
    const scoped_name name("going");
    { const auto q = queue::create(name, 8, {.life = lifetime::keep}); }
    const auto request = request_for(name);
    const raw_object last_one(name.path());

    REQUIRE(last_one.lock(layout::users_byte, lock_kind::exclusive));  // as held while the name is removed
    CHECK_FALSE(promisqs::detail::try_use(promisqs::detail::segment::find(name.str()).value(), request).has_value());
    REQUIRE(last_one.lock(layout::users_byte, lock_kind::none));
    CHECK(promisqs::detail::try_use(promisqs::detail::segment::find(name.str()).value(), request).has_value());
}

TEST_CASE(
    "a hundred processes racing through open_or_create get one queue, and the last one out removes it, 200 times") {
    constexpr unsigned processes = 100;
    constexpr unsigned rounds = 200;
    const scoped_name name("hundred");
    shared_state& state = *share();
    std::vector<::pid_t> pids;
    for (unsigned me = 0; me < processes; ++me) {
        pids.push_back(promisqs_test::forked([&] {
            for (unsigned round = 0; round < rounds; ++round) {
                state.meet(processes + 1);
                std::optional<queue> q = queue::open_or_create(name, processes + 1);
                if (!q->push(me)) return 1;
                state.meet(processes + 1);  // all have pushed
                state.meet(processes + 1);  // the parent has looked
                q.reset();
                state.meet(processes + 1);  // all are out
            }
            return 0;
        }));
    }

    for (unsigned round = 0; round < rounds; ++round) {
        state.meet(processes + 1);
        state.meet(processes + 1);
        {
            auto q = queue::open(name);
            std::set<std::uint32_t> seen;
            for (const std::uint32_t number : q) seen.insert(number);
            CHECK(seen.size() == processes);
        }
        state.meet(processes + 1);
        state.meet(processes + 1);
        CHECK_FALSE(name.exists());
    }
    for (const ::pid_t pid : pids) CHECK(promisqs_test::wait_for(pid) == 0);
    ::munmap(&state, sizeof state);
}

TEST_CASE("creators, openers and removers racing without order never see anything but a queue or a clear answer") {
    constexpr unsigned processes = 8;
    const scoped_name name("unordered");
    std::vector<::pid_t> pids;
    for (unsigned me = 0; me < processes; ++me) {
        pids.push_back(promisqs_test::forked([&] {
            for (unsigned i = 0; i < 300; ++i) {
                try {
                    if ((i + me) % 7 == 0) queue::remove(name);
                    auto q = me % 3 == 0   ? queue::create(name, 4)
                             : me % 3 == 1 ? queue::open(name)
                                           : queue::open_or_create(name, 4);
                    static_cast<void>(q.push(1));
                    static_cast<void>(q.pop());
                } catch (const promisqs::queue_error& error) {
                    const bool expected = error.code() == errc::already_exists || error.code() == errc::not_found;
                    if (!expected) {
                        std::fprintf(stderr, "%s\n", error.what());
                        return 1;
                    }
                }
            }
            return 0;
        }));
    }
    for (const ::pid_t pid : pids) CHECK(promisqs_test::wait_for(pid) == 0);
    queue::remove(name);
}

TEST_CASE("creators killed at any moment leave nothing that stands in the way of the next") {
    const scoped_name name("killed-creators");
    for (int i = 0; i < 150; ++i) {
        const ::pid_t creator = promisqs_test::forked([&] {
            for (;;) {
                const auto q = queue::open_or_create(name, 1000);
            }
            return 0;
        });
        // Let it come as far as it will in a time that differs from round to round.
        for (int spin = 0; spin < i * 200; ++spin) promisqs::detail::os::pause();
        ::kill(creator, SIGKILL);
        CHECK(promisqs_test::wait_for(creator) == -SIGKILL);
        auto q = queue::open_or_create(name, 1000);
        REQUIRE(q.push(1));
        REQUIRE(q.pop() == 1U);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("users killed at any moment hold up nobody who opens, uses and closes the queue") {
    const scoped_name name("storm");
    shared_state& state = *share();
    const auto start = [&] {
        return promisqs_test::forked([&] {
            while (state.round.load() == 0) {
                auto q = queue::open_or_create(name, 8);
                for (std::uint32_t i = 0; i < 4; ++i) {
                    static_cast<void>(q.try_push(i));
                    std::uint32_t out = 0;
                    static_cast<void>(q.try_pop(out));
                }
                if (!q.is_named()) return 1;  // somebody has removed a queue that is in use
                ++state.arrived;
            }
            return 0;
        });
    };
    std::vector<::pid_t> pids;
    for (int i = 0; i < 6; ++i) pids.push_back(start());
    for (unsigned i = 0; i < 200; ++i) {
        const unsigned before = state.arrived.load();
        while (state.arrived.load() - before < i % 7 + 1) std::this_thread::yield();  // ends only if they get on
        ::pid_t& victim = pids[i % pids.size()];
        ::kill(victim, SIGKILL);
        CHECK(promisqs_test::wait_for(victim) == -SIGKILL);
        victim = start();
    }
    state.round = 1;
    for (const ::pid_t pid : pids) CHECK(promisqs_test::wait_for(pid) == 0);
    { const auto last = queue::open_or_create(name, 8); }
    CHECK_FALSE(name.exists());
    ::munmap(&state, sizeof state);
}

TEST_CASE("prefaulted, locked and huge pages can be asked for where the system gives them") {
    const scoped_name name("memory");
    SECTION("prefault") { CHECK(queue::create(name, 100000, {.memory = {.prefault = true}}).push(1)); }
    SECTION("lock") { CHECK(queue::create(name, 1000, {.memory = {.lock = true}}).push(1)); }
    SECTION("prefer huge pages") {
        CHECK(queue::create(name, 1 << 20, {.memory = {.huge = promisqs::huge_pages::prefer}}).push(1));
        CHECK(
            queue::create(std::string(name) + "-small", 1, {.memory = {.huge = promisqs::huge_pages::prefer}}).push(1));
    }
    SECTION("require huge pages: there, or a clear error with nothing left") {
        try {
            CHECK(queue::create(name, 1 << 20, {.memory = {.huge = promisqs::huge_pages::require}}).push(1));
        } catch (const promisqs::queue_error& error) {
            CHECK(error.code() == errc::no_memory);
            CHECK(std::string(error.what()).find("huge_pages::prefer") != std::string::npos);
        }
        CHECK_FALSE(name.exists());
    }
    SECTION("require huge pages for less than one: an error") {
        expect_error(errc::no_memory, {name, "2 MiB"}, [&] {
            static_cast<void>(queue::create(name, 1, {.memory = {.huge = promisqs::huge_pages::require}}));
        });
        CHECK_FALSE(name.exists());
    }
    SECTION("as an opener") {
        const auto q = queue::create(name, 1 << 20);
        auto other = queue::open(name, {.prefault = true, .huge = promisqs::huge_pages::prefer});
        CHECK(other.push(1));
    }
}
