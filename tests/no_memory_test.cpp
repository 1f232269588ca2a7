// SPDX-License-Identifier: Apache-2.0

// Every allocation that a call makes fails once. Each call then works all the same, or throws; it leaves no name, no
// descriptor and no lock behind, and the queue is whole.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>
#include <promisqs/wait_any.hpp>

#include <signal.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using promisqs::errc;
using promisqs::queue_error;
using promisqs::status;
using promisqs_test::forked;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;

namespace {

// How many allocations of this thread are to succeed before one fails; negative: all.
constinit thread_local int allocations_left = -1;
constinit thread_local bool has_failed = false;

void* allocate(std::size_t size, std::size_t alignment) {
    if (allocations_left == 0) {
        allocations_left = -1;
        has_failed = true;
        throw std::bad_alloc();
    }
    if (allocations_left > 0) --allocations_left;
    void* result = alignment <= alignof(std::max_align_t)
                       ? std::malloc(size)
                       : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (result == nullptr) throw std::bad_alloc();
    return result;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, 1); }
void* operator new[](std::size_t size) { return allocate(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    try {
        return allocate(size, 1);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete(void* place, const std::nothrow_t&) noexcept { std::free(place); }
void operator delete[](void* place) noexcept { std::free(place); }
void operator delete(void* place, std::size_t) noexcept { std::free(place); }
void operator delete[](void* place, std::size_t) noexcept { std::free(place); }
void operator delete(void* place, std::align_val_t) noexcept { std::free(place); }
void operator delete[](void* place, std::align_val_t) noexcept { std::free(place); }
void operator delete(void* place, std::size_t, std::align_val_t) noexcept { std::free(place); }
void operator delete[](void* place, std::size_t, std::align_val_t) noexcept { std::free(place); }

namespace {

std::size_t open_descriptors() {
    using entries = std::filesystem::directory_iterator;
    return static_cast<std::size_t>(std::distance(entries("/proc/self/fd"), entries()));
}

struct attempt {
    bool allocation_failed;
    bool threw;
    bool right;  // what the call returned
};

// Makes the call in a thread of its own, which so is a new participant, and whose allocation after so many fails.
attempt with_memory_for(int allocations, const std::function<bool()>& call) {
    attempt result{};
    std::exception_ptr unexpected;
    std::thread([&] {
        has_failed = false;
        allocations_left = allocations;
        try {
            result.right = call();
        } catch (const std::bad_alloc&) {
            result.threw = true;
        } catch (...) {
            unexpected = std::current_exception();
        }
        allocations_left = -1;
        result.allocation_failed = has_failed;
    }).join();
    if (unexpected) std::rethrow_exception(unexpected);
    return result;
}

// Makes the call again and again: each time a later one of its allocations fails, at last none. `check` looks at what is
// left each time, and is told whether the call threw.
template <class Call, class Check>
void fails_at_each_allocation(const char* what, Call call, Check check) {
    CAPTURE(what);
    for (int allocations = 0;; ++allocations) {
        CAPTURE(allocations);
        REQUIRE(allocations < 1000);
        const std::size_t before = open_descriptors();
        const attempt made = with_memory_for(allocations, call);
        CHECK(open_descriptors() == before);
        CHECK(made.right == !made.threw);
        check(made.threw);
        if (!made.allocation_failed) {
            CHECK_FALSE(made.threw);
            return;
        }
    }
}

struct message {
    std::uint64_t number;
    std::array<unsigned char, 8184> more;  // so large that calls that need room for one allocate it

    friend bool operator==(const message& a, const message& b) { return a.number == b.number && a.more == b.more; }
};
constexpr message with(std::uint64_t number) { return {number, {}}; }
using queue = promisqs::shmem_queue<message>;

// It is empty, all of its places can be used, and the calling thread is the only participant there is.
void is_whole(queue& q) {
    CHECK(q.empty());
    for (std::uint64_t i = 0; i < q.capacity(); ++i) CHECK(q.push(with(i)));
    CHECK(q.try_push(with(0)) == status::full);
    for (std::uint64_t i = 0; i < q.capacity(); ++i) CHECK(q.pop() == with(i));
    CHECK(q.stats().participants.size() == 1);
}

void drain(queue& q) {
    while (q.pop()) {}
}

int dies_popping(queue& q) {
    return wait_for(forked([&] {
        q.pop_with([](const message&) { ::kill(::getpid(), SIGKILL); });
        return 1;
    }));
}

}  // namespace

TEST_CASE("creating, opening and removing without memory leaves nothing behind") {
    const scoped_name name("no-memory");
    const auto nothing_is_left = [&](bool) { CHECK_FALSE(name.exists()); };
    fails_at_each_allocation(
        "create", [&] { return queue::create(name, 4).empty(); }, nothing_is_left);
    fails_at_each_allocation(
        "open_or_create", [&] { return queue::open_or_create(name, 4).empty(); }, nothing_is_left);
    fails_at_each_allocation(
        "remove nothing", [&] { return !queue::remove(name); }, nothing_is_left);

    auto kept = queue::create(name, 4);
    const auto is_unharmed = [&](bool) {
        CHECK(name.exists());
        is_whole(kept);
    };
    fails_at_each_allocation(
        "open", [&] { return queue::open(name).empty(); }, is_unharmed);
    fails_at_each_allocation(
        "open_or_create", [&] { return queue::open_or_create(name, 4).empty(); }, is_unharmed);
    const auto exists = [&] {
        try {
            static_cast<void>(queue::create(name, 4));
            return false;
        } catch (const queue_error& error) {
            return error.code() == errc::already_exists;
        }
    };
    fails_at_each_allocation("create what exists", exists, is_unharmed);
    fails_at_each_allocation(
        "remove", [&] { return queue::remove(name); },
        [&](bool threw) {
            CHECK(name.exists() == threw);
            if (!threw) kept = queue::create(name, 4);
        });
}

TEST_CASE("pushing, popping and waiting without memory does it, or throws and does nothing") {
    const scoped_name name("no-memory-moves");
    const scoped_name other_name("no-memory-other");
    auto q = queue::create(name, 4, {.participants = 3});
    auto other = queue::create(other_name, 4);
    is_whole(q);
    const auto message = std::make_unique<::message>(with(7));
    const auto out = std::make_unique<::message>();
    const std::span<const ::message> some(message.get(), 1);
    const std::span<::message> room(out.get(), 1);
    std::stop_source stopped;
    stopped.request_stop();

    const auto pushes = [&](const char* what, const std::function<bool()>& push) {
        fails_at_each_allocation(what, push, [&](bool threw) {
            CHECK(q.size() == (threw ? 0U : 1U));
            drain(q);
            is_whole(q);
        });
    };
    pushes("push", [&] { return q.push(*message); });
    pushes("try_push", [&] { return q.try_push(*message) == status::ok; });
    pushes("push_wait", [&] { return q.push_wait(*message) == status::ok; });
    pushes("push_some", [&] { return q.push_some(some) == 1; });
    pushes("push_all_wait", [&] { return q.push_all_wait(some) == status::ok; });
    pushes("push_with", [&] { return q.push_with([&](::message& place) { place = *message; }); });

    const auto pops = [&](const char* what, const std::function<bool()>& pop, std::uint64_t left = 0) {
        REQUIRE(q.push(*message));
        fails_at_each_allocation(what, pop, [&](bool threw) {
            CHECK(q.size() == (threw ? 1U : left));
            drain(q);
            is_whole(q);
            REQUIRE(q.push(*message));
        });
        drain(q);
    };
    pops("pop", [&] { return q.pop().has_value(); });
    pops("try_pop", [&] { return q.try_pop(*out) == status::ok; });
    pops("pop_wait", [&] { return q.pop_wait().has_value(); });
    pops("pop_some", [&] { return q.pop_some(room) == 1; });
    pops("pop_with", [&] { return q.pop_with([](const ::message&) {}); });
    pops("a loop", [&] {
        for (const auto& one : q) static_cast<void>(one);
        return true;
    });
    pops(
        "peek", [&] { return q.peek().has_value(); }, 1);
    pops(
        "try_peek", [&] { return q.try_peek(*out) == status::ok; }, 1);
    pops(
        "stats", [&] { return q.stats().size == 1; }, 1);
    pops(
        "recover", [&] { return q.recover().messages_dropped == 0; }, 1);
    pops(
        "a copy of the handle", [&] { return queue(q).size() == 1; }, 1);
    pops(
        "wait_any", [&] { return promisqs::wait_any(other, q) == 1U; }, 1);
    const std::array both{other, q};
    pops(
        "wait_any of a span", [&] { return promisqs::wait_any(std::span<const queue>(both)) == 1U; }, 1);
    pops(
        "ready_event", [&] { return promisqs::ready_event(q).descriptor() >= 0; }, 1);

    const auto waits = [&](const char* what, const std::function<bool()>& wait) {
        fails_at_each_allocation(what, wait, [&](bool) { is_whole(q); });
    };
    waits("pop_wait_for", [&] { return !q.pop_wait_for(1ms); });
    waits("pop_wait with a stop token", [&] { return q.pop_wait(*out, stopped.get_token()) == status::stopped; });
    waits("wait_any with a limit", [&] { return !promisqs::wait_any(q, other, 1ms); });
    waits("on_dropped", [&] {
        q.on_dropped([q](const ::message&) mutable { static_cast<void>(q.push(with(1))); });
        q.on_dropped(nullptr);
        return true;
    });
}

TEST_CASE("recovering without memory is made up for by the next recovery") {
    const scoped_name name("no-memory-recovery");
    auto q = queue::create(name, 4, {.max_deaths = 1});
    is_whole(q);
    std::vector<std::uint64_t> dropped;
    dropped.reserve(1);
    q.on_dropped([&](const message& poison) { dropped.push_back(poison.number); });
    const auto with_a_dead_consumer = [&](const char* what, const std::function<bool()>& call) {
        CAPTURE(what);
        for (int allocations = 0;; ++allocations) {
            REQUIRE(allocations < 1000);
            CAPTURE(allocations);
            dropped.clear();
            REQUIRE(q.push(with(13)));
            REQUIRE(dies_popping(q) == -SIGKILL);
            const std::size_t before = open_descriptors();
            const attempt made = with_memory_for(allocations, call);
            CHECK(open_descriptors() == before);
            CHECK(made.right == !made.threw);
            static_cast<void>(q.recover());
            CHECK(dropped == std::vector<std::uint64_t>{13});
            is_whole(q);
            if (!made.allocation_failed) return;
        }
    };
    with_a_dead_consumer("recover", [&] { return q.recover().messages_to_redeliver == 0; });
    with_a_dead_consumer("open", [&] { return queue::open(name).name() == name.str(); });
    with_a_dead_consumer("pop", [&] { return !q.pop(); });
    with_a_dead_consumer("pop_wait_for", [&] { return !q.pop_wait_for(1ms); });
}
