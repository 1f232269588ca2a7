// SPDX-License-Identifier: Apache-2.0

// Messages that are larger than the stack of the thread that handles them.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <utility>

using namespace std::chrono_literals;
using promisqs::status;
using promisqs_test::scoped_name;

namespace {

struct large {
    static constexpr std::size_t size = std::size_t{16} << 20;
    unsigned char bytes[size];

    static std::unique_ptr<large> of(unsigned char value) {
        auto made = std::make_unique<large>();
        std::fill(std::begin(made->bytes), std::end(made->bytes), value);
        return made;
    }
    [[nodiscard]] bool is(unsigned char value) const {
        return std::all_of(std::begin(bytes), std::end(bytes), [=](unsigned char byte) { return byte == value; });
    }
};
using queue = promisqs::shmem_queue<large>;

constexpr std::size_t little_stack = std::size_t{512} << 10;

// Runs it in a thread with a stack of that size, in bytes.
void on_a_stack_of(std::size_t size, std::function<void()> body) {
    ::pthread_attr_t attributes;
    REQUIRE(::pthread_attr_init(&attributes) == 0);
    REQUIRE(::pthread_attr_setstacksize(&attributes, size) == 0);
    ::pthread_t thread{};
    const auto run = [](void* what) -> void* {
        (*static_cast<std::function<void()>*>(what))();
        return nullptr;
    };
    REQUIRE(::pthread_create(&thread, &attributes, run, &body) == 0);
    REQUIRE(::pthread_join(thread, nullptr) == 0);
    ::pthread_attr_destroy(&attributes);
}

// Out of line, so that what each returns is not in one frame with the others.
[[gnu::noinline]] bool pops(queue& q, unsigned char value) {
    const auto message = q.pop();
    return message.has_value() && message->is(value);
}
[[gnu::noinline]] bool pops_waiting(queue& q, unsigned char value) {
    const auto message = q.pop_wait();
    return message.has_value() && message->is(value);
}
[[gnu::noinline]] bool peeks(const queue& q, unsigned char value) {
    const auto message = q.peek();
    return message.has_value() && message->is(value);
}

}  // namespace

TEST_CASE("messages larger than the stack are pushed, and are popped and peeked at into the caller's memory") {
    const scoped_name name("large");
    auto q = queue::create(name, 2);
    on_a_stack_of(little_stack, [&] {
        const auto in = large::of(7);
        const auto out = large::of(0);
        const std::span<const large> all(in.get(), 1);
        const std::span<large> room(out.get(), 1);
        const auto arrives = [&](auto pop) {
            out->bytes[0] = 0;
            return pop() && out->is(7) && q.empty();
        };

        REQUIRE(q.push(*in));
        CHECK(q.try_peek(*out) == status::ok);
        CHECK(out->is(7));
        CHECK(arrives([&] { return q.try_pop(*out) == status::ok; }));
        REQUIRE(q.try_push(*in) == status::ok);
        CHECK(arrives([&] { return q.pop_wait(*out) == status::ok; }));
        REQUIRE(q.push_wait(*in) == status::ok);
        CHECK(arrives([&] { return q.pop_some(room) == 1; }));
        REQUIRE(q.push_some(all) == 1);
        CHECK(arrives([&] { return q.pop_some_wait(room) == 1; }));
        REQUIRE(q.push_all(all));
        CHECK(arrives([&] { return q.pop_with([&](const large& message) { *out = message; }); }));
        REQUIRE(q.push_with([&](large& message) { message = *in; }));
        CHECK(arrives([&] { return q.pop_wait_with([&](const large& m) { *out = m; }) == status::ok; }));
        CHECK(q.try_peek(*out) == status::empty);
        CHECK(out->is(7));
    });
}

TEST_CASE("a loop pops messages larger than the stack") {
    const scoped_name name("large-loop");
    auto q = queue::create(name, 2);
    on_a_stack_of(little_stack, [&] {
        REQUIRE(q.push(*large::of(1)));
        REQUIRE(q.push(*large::of(2)));
        unsigned char expected = 0;
        for (const large& message : q) {
            CHECK(message.is(++expected));
            if (expected == 2) {
                REQUIRE(q.push(*large::of(3)));
            }
        }
        CHECK(expected == 3);
        REQUIRE(q.push(*large::of(4)));
        auto first = q.begin();
        CHECK(first->is(4));
        auto moved = std::move(first);
        CHECK(moved->is(4));
        first = std::move(moved);
        CHECK(first->is(4));
        ++first;
        CHECK(first == q.end());
    });
}

TEST_CASE("a dropped message larger than the stack is handed over") {
    const scoped_name name("large-dropped");
    auto q = queue::create(name, 1, {.max_deaths = 1});
    REQUIRE(q.push(*large::of(9)));
    const int end = promisqs_test::wait_for(promisqs_test::forked([&] {
        promisqs_test::die_plainly();
        q.pop_with([](const large&) { promisqs_test::kill_itself(); });
        return 0;
    }));
    REQUIRE(end == -SIGKILL);
    on_a_stack_of(little_stack, [&] {
        bool whole = false;
        q.on_dropped([&](const large& message) { whole = message.is(9); });
        CHECK(q.recover().messages_dropped == 1);
        CHECK(whole);
    });
}

TEST_CASE("what is returned by value takes the room of one message on the stack, not of two") {
    const scoped_name name("large-value");
    auto q = queue::create(name, 2);
    on_a_stack_of(large::size + large::size / 2, [&] {
        REQUIRE(q.push(*large::of(5)));
        REQUIRE(q.push(*large::of(6)));
        CHECK(peeks(q, 5));
        CHECK(pops(q, 5));
        CHECK(pops_waiting(q, 6));
    });
}

TEST_CASE("a thread with a stack of 64 KiB can do everything") {
    using small_queue = promisqs::shmem_queue<std::uint64_t>;
    const scoped_name name("little-stack");
    on_a_stack_of(std::size_t{64} << 10, [&] {
        auto q = small_queue::create(name, 2);
        auto other = small_queue::open(name);
        CHECK(q.push(1));
        CHECK(promisqs::wait_any(q, other, 1h) == 0U);
        CHECK(other.pop_wait() == 1U);
        CHECK_FALSE(promisqs::wait_any(q, other, 1ms));
        CHECK_FALSE(q.pop_wait_for(1ms));
        CHECK(q.recover().messages_dropped == 0);
        CHECK(q.stats().participants.size() == 2);
    });
}
