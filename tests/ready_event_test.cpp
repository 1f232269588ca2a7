// SPDX-License-Identifier: Apache-2.0

// A file descriptor that is readable when a queue has messages, and the thread behind all of them.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/sleepers.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using promisqs::ready_event;
using promisqs::status;
using promisqs_test::await_sleeper;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;
using event = ready_event<std::uint64_t>;

namespace {

bool readable(const event& one, int milliseconds) {
    ::pollfd polled{one.descriptor(), POLLIN, 0};
    return ::poll(&polled, 1, milliseconds) == 1;
}

std::string line_of(const std::filesystem::path& file, const std::string& start) {
    std::ifstream text(file);
    std::string line;
    while (std::getline(text, line) && line.rfind(start, 0) != 0) {}
    return line;
}
// The threads of this process that serve events.
std::vector<std::filesystem::path> threads() {
    std::vector<std::filesystem::path> result;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (line_of(task.path() / "comm", "") == "promisqs-events") result.push_back(task.path());
    }
    return result;
}
// One that was started has its name a moment later; one that has been joined may be listed for a moment longer.
void await_threads(std::size_t count) {
    while (threads().size() != count) std::this_thread::yield();
}

class many_events {
public:
    many_events(const std::string& what, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            names_.emplace_back(what + std::to_string(i));
            queues_.push_back(queue::create(names_.back(), 8));
            events_.push_back(std::make_unique<event>(queues_.back()));
        }
    }
    [[nodiscard]] std::size_t size() const { return queues_.size(); }
    [[nodiscard]] queue& of(std::size_t i) { return queues_[i]; }
    [[nodiscard]] event& operator[](std::size_t i) { return *events_[i]; }
    void pop_back() { events_.pop_back(); }

private:
    std::deque<scoped_name> names_;
    std::vector<queue> queues_;
    std::vector<std::unique_ptr<event>> events_;
};

}  // namespace

TEST_CASE("the descriptor is readable when there are messages, again when not all were popped, and at the end") {
    const scoped_name name("event");
    auto q = queue::create(name, 8);
    event ready(q);
    CHECK_FALSE(readable(ready, 20));
    REQUIRE(q.push(1));
    REQUIRE(q.push(2));
    CHECK(readable(ready, -1));
    CHECK(readable(ready, -1));
    CHECK(q.pop() == 1U);
    ready.rearm();
    CHECK(readable(ready, -1));
    CHECK(q.pop() == 2U);
    ready.rearm();
    CHECK_FALSE(readable(ready, 20));
    q.close();
    CHECK(readable(ready, -1));
}

TEST_CASE("a program that polls the descriptor, pops all there is and rearms misses no message") {
    const scoped_name name("event-stream");
    auto q = queue::create(name, 4);
    constexpr std::uint64_t count = 3000;
    std::jthread producer([&] {
        for (std::uint64_t i = 1; i <= count; ++i) {
            if (q.push_wait(i) != status::ok) return;
        }
        q.close();
    });
    event ready(q);
    std::uint64_t expected = 1;
    for (status last = status::ok; last != status::closed;) {
        REQUIRE(readable(ready, -1));
        std::uint64_t out = 0;
        while ((last = q.try_pop(out)) == status::ok) REQUIRE(out == expected++);
        ready.rearm();
    }
    CHECK(expected == count + 1);
}

TEST_CASE("the descriptor is not inherited by other programs, and its queue is left when it goes") {
    for (const bool signalled : {false, true}) {
        const scoped_name name("event-end");
        std::optional<queue> q = queue::create(name, 4);
        {
            event ready(*q);
            CHECK((::fcntl(ready.descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
            if (signalled) REQUIRE(q->push(1));
            if (signalled) CHECK(readable(ready, -1));
            if (!signalled) await_sleeper(*q);
        }
        q.reset();
        CHECK_FALSE(name.exists());
    }
}

TEST_CASE("all events of a process have one thread, which ends with the last of them") {
    for (int times = 0; times < 2; ++times) {
        many_events all("event-threads", 64);
        await_threads(1);
        for (std::size_t i = 1; i < all.size(); ++i) all.pop_back();
        CHECK(threads().size() == 1);
        REQUIRE(all.of(0).push(1));
        CHECK(readable(all[0], -1));
        all.pop_back();
        await_threads(0);
    }
}

TEST_CASE("more events than a thread can sleep on have another thread") {
    {
        many_events all("event-more", 200);
        await_threads(2);
        for (std::size_t i = 0; i < all.size(); ++i) {
            REQUIRE(all.of(i).push(i));
            CHECK(readable(all[i], -1));
        }
    }
    await_threads(0);
}

TEST_CASE("a message makes the descriptor of its queue readable, and no other") {
    many_events all("event-which", 40);
    for (std::size_t i = 0; i < all.size(); ++i) {
        REQUIRE(all.of(i).push(i));
        CHECK(readable(all[i], -1));
        for (std::size_t other = 0; other < all.size(); ++other) CHECK(readable(all[other], 0) == (other == i));
        CHECK(all.of(i).pop() == i);
        all[i].rearm();
        CHECK_FALSE(readable(all[i], 0));
    }
}

TEST_CASE("a closed queue and a corrupt one are ready, and the others' events go on") {
    const scoped_name name("event-corrupt");
    auto corrupt = queue::create(name, 5);
    const event ready(corrupt);
    many_events all("event-ends", 2);
    all.of(0).close();
    CHECK(readable(all[0], -1));

    await_sleeper(corrupt);
    const promisqs_test::raw_object object(name.path());
    object.write(256, std::uint64_t{200});  // tail: no slot has this index
    object.write(384, std::uint64_t{201});
    CHECK(readable(ready, -1));

    for (std::uint64_t i = 0; i < 2; ++i) {
        REQUIRE(all.of(1).push(i));
        CHECK(readable(all[1], -1));
        CHECK(all.of(1).pop() == i);
        all[1].rearm();
    }
}

TEST_CASE("threads make, rearm and destroy events at once, and miss no message") {
    constexpr int users = 4;
    constexpr std::uint64_t times = 150;
    std::atomic<int> missed = 0;
    std::vector<std::thread> all;
    for (int user = 0; user < users; ++user) {
        all.emplace_back([user, &missed] {
            const scoped_name name("event-users" + std::to_string(user));
            auto q = queue::create(name, 4);
            for (std::uint64_t i = 0; i < times; ++i) {
                event first(q);
                missed += q.push(i) ? 0 : 1;
                missed += readable(first, -1) ? 0 : 1;
                missed += q.pop() == i ? 0 : 1;
                first.rearm();
                event second(q);
                missed += q.push(i) ? 0 : 1;
                missed += readable(first, -1) ? 0 : 1;
                missed += readable(second, -1) ? 0 : 1;
                missed += q.pop() == i ? 0 : 1;
            }
        });
    }
    for (auto& one : all) one.join();
    CHECK(missed == 0);
    await_threads(0);
}

TEST_CASE("an event's thread leaves all signals to the program's own threads") {
    const scoped_name name("event-signals");
    const auto q = queue::create(name, 4);
    const event ready(q);
    await_threads(1);
    const auto blocked = std::stoull(line_of(threads().at(0) / "status", "SigBlk:").substr(7), nullptr, 16);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD}) CHECK((blocked >> (signal - 1) & 1U) == 1);
}

TEST_CASE("a forked child destroys its parent's events, and makes its own") {
    const scoped_name name("event-fork"), others_name("event-fork-other");
    std::optional<queue> q = queue::create(name, 4);
    auto others = queue::create(others_name, 4);
    auto ready = std::make_unique<event>(*q);
    await_sleeper(*q);

    const ::pid_t pid = forked([&] {
        ready->rearm();  // does nothing here
        ready.reset();
        q.reset();
        const event own(others);
        if (!others.push(1) || !readable(own, -1)) return 1;
        return others.pop() == 1U ? 0 : 2;
    });

    CHECK(wait_for(pid) == 0);
    CHECK(name.exists());
    REQUIRE(q->push(2));
    CHECK(readable(*ready, -1));
    ready.reset();
    q.reset();
    CHECK_FALSE(name.exists());
}

TEST_CASE("the callable for dropped messages, called by the events' thread, destroys an event and makes another") {
    const scoped_name name("event-dropped"), others_name("event-dropped-other");
    std::optional<queue> q = queue::create(name, 4, {.max_deaths = 1});
    auto others = queue::create(others_name, 4);
    REQUIRE(q->push(1));
    promisqs_test::busy_process victim([&](auto stay) { q->pop_with([&](const std::uint64_t&) { stay(); }); });
    std::mutex made;
    std::unique_ptr<event> ready;
    std::unique_ptr<event> next;
    std::atomic<bool> dropped = false;
    q->on_dropped([&](const std::uint64_t&) {
        const std::lock_guard lock(made);
        ready.reset();
        next = std::make_unique<event>(others);
        dropped = true;
        dropped.notify_one();
    });
    {
        const std::lock_guard lock(made);
        ready = std::make_unique<event>(*q);
    }

    victim.kill();
    dropped.wait(false);
    { const std::lock_guard done(made); }  // the callable uses all this up to its end

    REQUIRE(others.push(2));
    CHECK(readable(*next, -1));
    next.reset();
}
