// SPDX-License-Identifier: Apache-2.0

// Threads that are cancelled (pthread_cancel) while they are in the library: the thread ends, not the process, and the
// queue is whole. in_place_test.cpp has those that are cancelled in a callable.

#include "support/catch.hpp"
#include "support/names.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <string_view>
#include <utility>

using promisqs_test::scoped_name;
using queue = promisqs::shmem_queue<std::uint64_t>;

namespace {

std::size_t open_descriptors() {
    using entries = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(std::distance(entries("/proc/self/fd"), entries()));
}

// A thread that does something again and again until it is cancelled.
class looping_thread {
public:
    explicit looping_thread(std::function<void()> body) : body_(std::move(body)) {
        REQUIRE(::pthread_create(&thread_, nullptr, &run, this) == 0);
    }
    looping_thread(const looping_thread&) = delete;
    looping_thread& operator=(const looping_thread&) = delete;
    ~looping_thread() = default;

    // Cancels it in its round of that number or after.
    bool is_cancelled_in_round(int number) {
        while (rounds_.load() < number) {}
        REQUIRE(::pthread_cancel(thread_) == 0);
        void* result = nullptr;
        REQUIRE(::pthread_join(thread_, &result) == 0);
        return result == PTHREAD_CANCELED;
    }

private:
    static void* run(void* self) {
        auto& me = *static_cast<looping_thread*>(self);
        for (;; ++me.rounds_) {
            me.body_();
            ::pthread_testcancel();
        }
    }

    std::function<void()> body_;
    std::atomic<int> rounds_ = 0;
    ::pthread_t thread_{};
};

void is_whole(queue& q) {
    CHECK(q.empty());
    for (std::uint64_t i = 0; i < q.capacity(); ++i) CHECK(q.push(i));
    for (std::uint64_t i = 0; i < q.capacity(); ++i) CHECK(q.pop() == i);
    CHECK(q.stats().participants.size() == 1);
}

}  // namespace

TEST_CASE("a thread that is cancelled while it opens and closes a queue leaves nothing behind") {
    const scoped_name name("cancelled-open");
    auto q = queue::create(name, 4);
    is_whole(q);
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 100; ++i) {
        looping_thread opener([&] {
            auto mine = queue::open(name);
            static_cast<void>(mine.pop());
        });
        CHECK(opener.is_cancelled_in_round(i % 5));
        CHECK(open_descriptors() == before);
        is_whole(q);
    }
}

TEST_CASE("a thread that is cancelled while it creates and removes a queue leaves nothing that is in the way") {
    const scoped_name name("cancelled-create");
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 100; ++i) {
        looping_thread creator([&] {
            {
                auto mine = queue::open_or_create(name, 4, {.life = promisqs::lifetime::keep});
                static_cast<void>(mine.push(1) && mine.pop());
            }
            queue::remove(name);
        });
        CHECK(creator.is_cancelled_in_round(i % 5));
        CHECK(open_descriptors() == before);
        auto q = queue::open_or_create(name, 4, {.life = promisqs::lifetime::keep});
        while (q.pop()) {}
        is_whole(q);
    }
    queue::remove(name);
}

TEST_CASE("creating, opening and removing are points of cancellation") {
    const scoped_name name("cancelled-at");
    auto q = queue::create(name, 4);
    for (const auto& call : std::initializer_list<std::function<void()>>{
             [&] { static_cast<void>(queue::create(name, 4)); }, [&] { static_cast<void>(queue::open(name)); },
             [&] { static_cast<void>(queue::open_or_create(name, 4)); }, [&] { queue::remove(name); }}) {
        bool went_on = false;
        looping_thread caller([&] {
            ::pthread_cancel(::pthread_self());
            call();
            went_on = true;
        });
        CHECK(caller.is_cancelled_in_round(0));
        CHECK_FALSE(went_on);
        CHECK(name.exists());
    }
    is_whole(q);
}

TEST_CASE("a thread that is cancelled in calls that do not wait ends after them") {
    const scoped_name name("cancelled-calls");
    auto q = queue::create(name, 4);
    is_whole(q);
    promisqs::ready_event event(q);
    std::uint64_t moved = 0;
    looping_thread mover([&] {
        ::pthread_cancel(::pthread_self());  // takes effect at the next cancellation point
        moved += static_cast<std::uint64_t>(q.push(1));
        moved += q.pop().value_or(0);
        moved += static_cast<std::uint64_t>(q.try_push(1) == promisqs::status::ok);
        std::uint64_t out = 0;
        moved += static_cast<std::uint64_t>(q.try_pop(out) == promisqs::status::ok);
        moved += static_cast<std::uint64_t>(q.try_peek(out) == promisqs::status::empty);
        static_cast<void>(q.recover());
        event.rearm();
    });
    CHECK(mover.is_cancelled_in_round(0));
    CHECK(moved == 5);
    is_whole(q);
}
