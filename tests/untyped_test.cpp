// SPDX-License-Identifier: Apache-2.0

// Queues without a type: they open whatever there is, and talk to handles that have the type, by every call.

#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/status_text.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/untyped_queue.hpp>
#include <promisqs/wait_any.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using promisqs::errc;
using promisqs::status;
using promisqs::untyped_queue;
using promisqs_test::expect_error;
using promisqs_test::scoped_name;
using namespace std::chrono_literals;

namespace {

struct order {
    std::uint64_t id;
    double price;
    std::array<char, 12> symbol;
    std::uint32_t count;

    friend bool operator==(const order&, const order&) = default;
};
using typed_queue = promisqs::shmem_queue<order>;
using bytes = std::vector<std::byte>;

order numbered(std::uint64_t id) {
    return {id, static_cast<double>(id) / 4, {'x', 'y'}, static_cast<std::uint32_t>(id)};
}

std::span<const std::byte> bytes_of(const order& one) { return std::as_bytes(std::span(&one, 1)); }
std::span<std::byte> room_in(order& one) { return std::as_writable_bytes(std::span(&one, 1)); }

/// Messages that show when a byte is out of place.
bytes patterned(std::size_t size, std::size_t seed) {
    bytes result(size);
    for (std::size_t i = 0; i < size; ++i) result[i] = static_cast<std::byte>(seed * 31 + i * 7 + i / 256);
    return result;
}

/// A way to push one message, by either kind of handle.
struct way_to_push {
    const char* name;
    std::function<bool(const order&)> push;
};
struct way_to_pop {
    const char* name;
    std::function<bool(order&)> pop;
};

template <class Queue, class Message, class Fill>
std::vector<way_to_push> ways_to_push(Queue& q, Message as, Fill fill) {
    const auto ok = [](status result) { return result == status::ok; };
    const auto later = [] { return std::chrono::steady_clock::now() + 1min; };
    return {
        {"push", [&q, as](const order& m) { return q.push(as(m)); }},
        {"try_push", [&q, as, ok](const order& m) { return ok(q.try_push(as(m))); }},
        {"push_wait", [&q, as, ok](const order& m) { return ok(q.push_wait(as(m))); }},
        {"push_wait_for", [&q, as, ok](const order& m) { return ok(q.push_wait_for(as(m), 1min)); }},
        {"push_wait_until", [&q, as, ok, later](const order& m) { return ok(q.push_wait_until(as(m), later())); }},
        {"push_with", [&q, fill](const order& m) { return q.push_with(fill(m)); }},
        {"try_push_with", [&q, fill, ok](const order& m) { return ok(q.try_push_with(fill(m))); }},
        {"push_wait_with", [&q, fill, ok](const order& m) { return ok(q.push_wait_with(fill(m))); }},
        {"push_wait_with_for", [&q, fill, ok](const order& m) { return ok(q.push_wait_with_for(fill(m), 1min)); }},
        {"push_wait_with_until",
         [&q, fill, ok, later](const order& m) { return ok(q.push_wait_with_until(fill(m), later())); }},
    };
}

template <class Queue, class Room, class Use>
std::vector<way_to_pop> ways_to_pop(Queue& q, Room room, Use use) {
    const auto ok = [](status result) { return result == status::ok; };
    const auto later = [] { return std::chrono::steady_clock::now() + 1min; };
    return {
        {"try_pop", [&q, room, ok](order& m) { return ok(q.try_pop(room(m))); }},
        {"pop_wait", [&q, room, ok](order& m) { return ok(q.pop_wait(room(m))); }},
        {"pop_wait_for", [&q, room, ok](order& m) { return ok(q.pop_wait_for(room(m), 1min)); }},
        {"pop_wait_until", [&q, room, ok, later](order& m) { return ok(q.pop_wait_until(room(m), later())); }},
        {"pop_with", [&q, use](order& m) { return q.pop_with(use(m)); }},
        {"try_pop_with", [&q, use, ok](order& m) { return ok(q.try_pop_with(use(m))); }},
        {"pop_wait_with", [&q, use, ok](order& m) { return ok(q.pop_wait_with(use(m))); }},
        {"pop_wait_with_for", [&q, use, ok](order& m) { return ok(q.pop_wait_with_for(use(m), 1min)); }},
        {"pop_wait_with_until", [&q, use, ok, later](order& m) { return ok(q.pop_wait_with_until(use(m), later())); }},
    };
}

std::vector<way_to_push> typed_pushes(typed_queue& q) {
    const auto as = [](const order& m) -> const order& { return m; };
    return ways_to_push(q, as, [](const order& m) { return [&m](order& slot) { slot = m; }; });
}
std::vector<way_to_push> untyped_pushes(untyped_queue& q) {
    return ways_to_push(q, bytes_of, [](const order& m) {
        return [&m](std::span<std::byte> slot) { std::ranges::copy(bytes_of(m), slot.begin()); };
    });
}
std::vector<way_to_pop> typed_pops(typed_queue& q) {
    const auto room = [](order& m) -> order& { return m; };
    auto all = ways_to_pop(q, room, [](order& m) { return [&m](const order& slot) { m = slot; }; });
    all.push_back({"pop", [&q](order& m) {
                       const auto popped = q.pop();
                       if (popped) m = *popped;
                       return popped.has_value();
                   }});
    return all;
}
std::vector<way_to_pop> untyped_pops(untyped_queue& q) {
    auto all = ways_to_pop(q, room_in, [](order& m) {
        return [&m](std::span<const std::byte> slot) { std::ranges::copy(slot, room_in(m).begin()); };
    });
    all.push_back({"pop", [&q](order& m) { return q.pop(room_in(m)); }});
    return all;
}

promisqs::options roles(bool single) { return {.single_producer = single, .single_consumer = single}; }

void talk(const std::vector<way_to_push>& pushes, const std::vector<way_to_pop>& pops) {
    std::uint64_t number = 0;
    for (const way_to_push& in : pushes) {
        for (const way_to_pop& out : pops) {
            CAPTURE(in.name, out.name);
            order popped{};
            REQUIRE(in.push(numbered(++number)));
            REQUIRE(out.pop(popped));
            CHECK(popped == numbered(number));
        }
    }
}

}  // namespace

static_assert(std::ranges::input_range<untyped_queue>);

TEST_CASE("a loop over a queue without its type pops until it is empty") {
    const scoped_name name("loop");
    auto typed = typed_queue::create(name, 8);
    for (std::uint64_t id = 1; id <= 5; ++id) CHECK(typed.push(numbered(id)));
    auto q = untyped_queue::open(name);
    std::vector<std::uint64_t> seen;
    for (const std::span<const std::byte> one : q) {
        order found{};
        REQUIRE(one.size() == sizeof found);
        std::memcpy(&found, one.data(), sizeof found);
        CHECK(found == numbered(found.id));
        seen.push_back(found.id);
        if (found.id == 3) break;
    }
    CHECK(seen == std::vector<std::uint64_t>{1, 2, 3});
    CHECK(typed.size() == 2);
    for (const std::span<const std::byte> one : q | std::views::drop(1))
        seen.push_back(std::to_integer<std::uint64_t>(one.front()));
    CHECK(seen == std::vector<std::uint64_t>{1, 2, 3, 5});
    CHECK(typed.empty());
}

TEST_CASE("what a typed handle pushes by any call, an untyped one pops by any call, and the other way round") {
    const scoped_name name("talk");
    auto typed = typed_queue::create(name, 3, roles(GENERATE(false, true)));
    auto untyped = untyped_queue::open(name);
    SECTION("typed to untyped") { talk(typed_pushes(typed), untyped_pops(untyped)); }
    SECTION("untyped to typed") { talk(untyped_pushes(untyped), typed_pops(typed)); }
}

TEST_CASE("batches go from one kind of handle to the other") {
    const scoped_name name("batches");
    auto typed = typed_queue::create(name, 5, roles(GENERATE(false, true)));
    auto untyped = untyped_queue::open(name);
    std::vector<order> in;
    for (std::uint64_t i = 0; i < 7; ++i) in.push_back(numbered(i));
    std::vector<order> out(7);
    const auto some = [](const std::vector<order>& all, std::size_t count) {
        return std::as_bytes(std::span(all).first(count));
    };
    const auto room = [&](std::size_t count) { return std::as_writable_bytes(std::span(out).first(count)); };

    SECTION("untyped to typed") {
        CHECK(untyped.push_some(some(in, 7)) == 5);
        CHECK(typed.pop_some(out) == 5);
        CHECK(std::ranges::equal(std::span(out).first(5), std::span(in).first(5)));
        CHECK(untyped.push_all(some(in, 3)));
        CHECK_FALSE(untyped.push_all(some(in, 3)));
        CHECK(untyped.push_all(some(in, 0)));
        CHECK(untyped.push_some(some(in, 1)) == 1);
        CHECK(untyped.push_some_wait(some(in, 1)) == 1);
        CHECK(untyped.push_all_wait_for(some(in, 1), 0s) == status::timed_out);
        CHECK(typed.pop_some(out) == 5);
        CHECK(out[3] == in[0]);
        CHECK(untyped.push_all_wait(some(in, 4)) == status::ok);
        CHECK(typed.pop_some(out) == 4);
    }
    SECTION("typed to untyped") {
        CHECK(typed.push_some(in) == 5);
        CHECK(untyped.pop_some(room(2)) == 2);
        CHECK(untyped.pop_some(room(1)) == 1);
        CHECK(out[0] == in[2]);
        CHECK(untyped.pop_some_wait(room(7)) == 2);
        CHECK(std::ranges::equal(std::span(out).first(2), std::span(in).subspan(3, 2)));
        CHECK(untyped.pop_some(room(7)) == 0);
        CHECK(untyped.pop_some(room(0)) == 0);
        CHECK(untyped.pop_some_wait_for(room(7), 0s) == 0);
    }
}

TEST_CASE("looking takes nothing, and writes only what it finds") {
    const scoped_name name("look");
    auto typed = typed_queue::create(name, 2);
    const auto untyped = untyped_queue::open(name);
    order seen = numbered(77);
    CHECK_FALSE(untyped.peek(room_in(seen)));
    CHECK(untyped.try_peek(room_in(seen)) == status::empty);
    CHECK(seen == numbered(77));
    REQUIRE(typed.push(numbered(1)));
    CHECK(untyped.peek(room_in(seen)));
    CHECK(seen == numbered(1));
    seen = {};
    CHECK(untyped.try_peek(room_in(seen)) == status::ok);
    CHECK(seen == numbered(1));
    CHECK(untyped.size() == 1);
    CHECK(untyped.capacity() == 2);
    CHECK_FALSE(untyped.empty());
    CHECK_FALSE(untyped.full());
    CHECK(untyped.name() == name.str());
    CHECK(untyped.stats().pushed == 1);
}

TEST_CASE("messages of any size arrive as they were sent, between handles that were opened apart") {
    for (std::size_t size = 1; size <= 4096; size += size < 300 ? 1 : 61) {
        const scoped_name name("sizes");
        auto in = untyped_queue::create(name, 3, promisqs::opaque_element_type(size, 1));
        auto out = untyped_queue::open(name);
        CAPTURE(size);
        REQUIRE(out.element_size() == size);
        bytes room(size);
        for (std::size_t i = 0; i < 7; i += 2) {
            REQUIRE(in.push(patterned(size, i)));
            bytes two = patterned(size, i + 1);
            const bytes last = patterned(size, i + 2);
            two.insert(two.end(), last.begin(), last.end());
            REQUIRE(in.push_some(two) == 2);
            bytes seen(size);
            REQUIRE(out.peek(seen));
            bytes both(2 * size);
            REQUIRE(out.pop(room));
            REQUIRE(out.pop_some(both) == 2);
            REQUIRE((seen == patterned(size, i) && room == seen && both == two));
        }
    }
}

TEST_CASE("places in the queue are aligned as the elements are") {
    for (std::size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        const scoped_name name("alignments");
        auto q = untyped_queue::create(name, 3, promisqs::opaque_element_type(3 * alignment, alignment));
        CHECK(q.element_alignment() == alignment);
        for (int i = 0; i < 4; ++i) {
            const auto is_aligned = [&](std::span<const std::byte> place) {
                CHECK(reinterpret_cast<std::uintptr_t>(place.data()) % alignment == 0);
                CHECK(place.size() == 3 * alignment);
            };
            REQUIRE(q.push_with(is_aligned));
            REQUIRE(q.pop_with(is_aligned));
        }
    }
}

TEST_CASE("a span of another size is an error that names both sizes, and moves nothing") {
    const scoped_name name("spans");
    auto q = untyped_queue::create(name, 4, "{u64@0 u64@8 u64@16}:24:8");
    REQUIRE(q.push(patterned(24, 1)));
    const bytes in = patterned(25, 2);
    bytes out(25);
    const std::vector<std::function<void()>> calls{
        [&] { static_cast<void>(q.push(in)); },           [&] { static_cast<void>(q.try_push(in)); },
        [&] { static_cast<void>(q.push_wait(in)); },      [&] { static_cast<void>(q.push_wait_for(in, 1s)); },
        [&] { static_cast<void>(q.push_some(in)); },      [&] { static_cast<void>(q.push_all(in)); },
        [&] { static_cast<void>(q.push_some_wait(in)); }, [&] { static_cast<void>(q.push_all_wait(in)); },
        [&] { static_cast<void>(q.pop(out)); },           [&] { static_cast<void>(q.try_pop(out)); },
        [&] { static_cast<void>(q.pop_wait(out)); },      [&] { static_cast<void>(q.pop_wait_for(out, 1s)); },
        [&] { static_cast<void>(q.pop_some(out)); },      [&] { static_cast<void>(q.pop_some_wait(out)); },
        [&] { static_cast<void>(q.peek(out)); },          [&] { static_cast<void>(q.try_peek(out)); },
    };
    for (const auto& call : calls) {
        expect_error(errc::element_size_differs, {name.str(), "expected 24 bytes", "found 25"}, call);
    }
    expect_error(errc::element_size_differs, {"found 0"}, [&] { static_cast<void>(q.push({})); });
    expect_error(errc::element_size_differs, {"found 48"}, [&] { static_cast<void>(q.push(patterned(48, 1))); });
    expect_error(errc::batch_too_large, {"at most 4", "found 5"},
                 [&] { static_cast<void>(q.push_all(patterned(120, 1))); });
    CHECK(q.size() == 1);
    CHECK(out == bytes(25));
}

TEST_CASE("a queue made from a text is one of the type that the text describes") {
    const scoped_name name("text");
    const auto text = promisqs::schema_of<order>.text;
    auto made = untyped_queue::create(name, 8, text);
    CHECK(made.created());
    auto typed = typed_queue::open(name);
    REQUIRE(made.push(bytes_of(numbered(5))));
    CHECK(typed.pop() == numbered(5));
    CHECK(made.type() == promisqs::element_type_of<order>());
    expect_error(errc::element_size_differs, {"found"},
                 [&] { static_cast<void>(promisqs::shmem_queue<std::uint32_t>::open(name)); });
    using other_type = std::array<std::uint64_t, 4>;
    static_assert(sizeof(other_type) == sizeof(order));
    expect_error(errc::schema_differs, {"found"},
                 [&] { static_cast<void>(promisqs::shmem_queue<other_type>::open(name)); });
    expect_error(errc::schema_differs, {"expected"},
                 [&] { static_cast<void>(untyped_queue::open_or_create(name, 8, "u64[4]")); });
    expect_error(errc::already_exists, {name.str()}, [&] { static_cast<void>(untyped_queue::create(name, 8, text)); });
    expect_error(errc::capacity_differs, {"found 8"},
                 [&] { static_cast<void>(untyped_queue::open_or_create(name, 9, text)); });
    CHECK_FALSE(untyped_queue::open_or_create(name, 8, text).created());
}

TEST_CASE("a queue can be made like another one") {
    const scoped_name name("like");
    const scoped_name other("like-other");
    const auto first = typed_queue::create(name, 2);
    const auto second = untyped_queue::create(other, 4, untyped_queue(first).type());
    CHECK(second.type() == untyped_queue::open(name).type());
    CHECK(typed_queue::open(other).capacity() == 4);
}

TEST_CASE("what is no type makes no queue") {
    const scoped_name name("no-type");
    const auto refused = [&](const promisqs::element_type& type) {
        expect_error(errc::invalid_type, {name.str(), "expected"},
                     [&] { static_cast<void>(untyped_queue::create(name, 1, type)); });
        CHECK_FALSE(name.exists());
    };
    expect_error(errc::invalid_type, {name.str(), "expected a type at byte 1", "found \"x8"},
                 [&] { static_cast<void>(untyped_queue::create(name, 1, "{x8@0}:1:1")); });
    expect_error(errc::invalid_type, {"multiple of the alignment"},
                 [&] { static_cast<void>(untyped_queue::open_or_create(name, 1, "opaque:8192:8192")); });
    refused({"u8", 0, 1, 0, 0});
    refused({"u8", 1, 0, 0, 0});
    refused({"u8", 1, 3, 0, 0});
    refused({"u8", 1, 8192, 0, 0});
    refused({"u8", (std::uint64_t{1} << 47) + 1, 1, 0, 0});
    refused({"", 1, 1, 0, 0});
    refused({std::string((1U << 20) + 1, 'x'), 1, 1, 0, 0});
}

TEST_CASE("the fields of a queue are those of its type") {
    const scoped_name name("fields");
    auto typed = typed_queue::create(name, 2);
    auto q = untyped_queue::open(name);
    const auto fields = q.fields();
    REQUIRE(fields.list().size() == 4);
    CHECK(fields.at("3").offset == offsetof(order, count));
    REQUIRE(typed.push(numbered(12)));
    REQUIRE(q.pop_with([&](std::span<const std::byte> message) {
        CHECK(fields.get(message, "1") == promisqs::field_value(3.0));
        CHECK(fields.get(message, "2") == promisqs::field_value("xy"));
    }));
    REQUIRE(q.push_with([&](std::span<std::byte> message) {
        fields.set(message, "0", std::uint64_t{4});
        fields.set(message, "1", 1.0);
        fields.set(message, "2", std::string("xy"));
        fields.set(message, "3", std::uint64_t{4});
    }));
    CHECK(typed.pop() == numbered(4));
}

TEST_CASE("a schema that was written over is an error of fields() alone") {
    const scoped_name name("hostile");
    auto typed = typed_queue::create(name, 2, {.participants = 3});
    const auto at = promisqs::detail::layout::participants_offset + 3 * sizeof(promisqs::detail::layout::participant);
    const promisqs_test::raw_object object(name.path());
    SECTION("it is no schema") {
        object.write(at, '!');
        auto q = untyped_queue::open(name);
        expect_error(errc::corrupt, {name.str(), "expected a type at byte 0", "something else has written into it"},
                     [&] { static_cast<void>(q.fields()); });
        REQUIRE(q.push(bytes_of(numbered(1))));
        CHECK(typed.pop() == numbered(1));
    }
    SECTION("it is of another size") {
        const std::string text(promisqs::schema_of<order>.text);
        const auto end = text.rfind(":32:");
        REQUIRE(end != text.npos);
        object.write(at + end + 1, std::array{'8', '0'});
        expect_error(errc::corrupt, {"a type of 32 bytes", "one of 80"},
                     [&] { static_cast<void>(untyped_queue::open(name).fields()); });
    }
}

TEST_CASE("an untyped handle made of a typed one shares its participant entry") {
    const scoped_name name("shared");
    auto typed = typed_queue::create(name, 2, roles(true));
    untyped_queue untyped(typed);
    REQUIRE(typed.push(numbered(1)));
    REQUIRE(untyped.push(bytes_of(numbered(2))));  // the single producer is this thread
    CHECK(untyped.stats().participants.size() == 1);
    auto apart = untyped_queue::open(name);
    expect_error(errc::role_taken, {name.str()}, [&] { static_cast<void>(apart.push(bytes_of(numbered(3)))); });
    const untyped_queue copy = untyped;
    untyped = copy;
    CHECK(untyped.size() == 2);
}

TEST_CASE("an untyped consumer that waits is woken by a typed producer, by close, and by a stop") {
    const scoped_name name("wait");
    auto typed = typed_queue::create(name, 1);
    auto q = untyped_queue::open(name);
    q.set_wait_policy({1, 0ns, 0ns});  // sleeps at once
    order out{};
    status result{};
    CHECK(q.pop_wait_for(room_in(out), 1ms) == status::timed_out);
    SECTION("a push") {
        std::thread consumer([&] { result = q.pop_wait(room_in(out)); });
        static_cast<void>(typed.push_wait(numbered(3)));
        consumer.join();
        CHECK(result == status::ok);
        CHECK(out == numbered(3));
    }
    SECTION("a pop") {
        REQUIRE(typed.push(numbered(1)));
        CHECK(q.try_push(bytes_of(numbered(2))) == status::full);
        std::thread producer([&] { result = q.push_wait(bytes_of(numbered(2))); });
        const auto first = typed.pop_wait();
        const auto second = typed.pop_wait();
        producer.join();
        CHECK(result == status::ok);
        CHECK(first == numbered(1));
        CHECK(second == numbered(2));
    }
    SECTION("close") {
        std::thread consumer([&] { result = q.pop_wait(room_in(out)); });
        q.close();
        consumer.join();
        CHECK(result == status::closed);
        CHECK(q.is_closed());
        CHECK_FALSE(typed.push(numbered(1)));
        CHECK_FALSE(q.pop(room_in(out)));
    }
#if defined(__cpp_lib_jthread)
    SECTION("a stop") {
        std::stop_source stop;
        std::thread consumer([&] { result = q.pop_wait(room_in(out), stop.get_token()); });
        stop.request_stop();
        consumer.join();
        CHECK(result == status::stopped);
    }
#endif
}

TEST_CASE("wait_any and ready_event take queues without a type") {
    const scoped_name name("any");
    const scoped_name other("any-other");
    auto first = untyped_queue::create(name, 2, "u32");
    auto second = typed_queue::create(other, 2);
    promisqs::ready_event event(first);
    CHECK(promisqs::wait_any(first, second, 0s) == std::nullopt);
    REQUIRE(second.push(numbered(1)));
    CHECK(promisqs::wait_any(first, second) == 1U);
    REQUIRE(first.push(patterned(4, 1)));
    CHECK(promisqs::wait_any(first, second) == 0U);
    const std::vector<untyped_queue> all{untyped_queue(second), first};
    CHECK(promisqs::wait_any(all) == 0U);
    ::pollfd readable{event.descriptor(), POLLIN, 0};
    CHECK(::poll(&readable, 1, -1) == 1);
}

TEST_CASE("a callable that throws leaves the queue as it was") {
    const scoped_name name("throws");
    auto q = untyped_queue::create(name, 2, "u64");
    const auto refuse = [](std::span<const std::byte>) { throw std::runtime_error("no"); };
    CHECK_THROWS_AS(static_cast<void>(q.push_with(refuse)), std::runtime_error);
    REQUIRE(q.push(patterned(8, 1)));
    CHECK_THROWS_AS(q.pop_with(refuse), std::runtime_error);
    bytes out(8);
    REQUIRE(q.pop(out));
    CHECK(out == patterned(8, 1));
    expect_error(errc::in_callable, {name.str()}, [&] {
        static_cast<void>(q.push_with([&](std::span<std::byte>) { static_cast<void>(q.push(out)); }));
    });
}

TEST_CASE("a message whose untyped consumer is killed is delivered again, and a poison message is handed over") {
    const scoped_name name("killed");
    auto typed = typed_queue::create(name, 2, {.max_deaths = 2});
    auto q = untyped_queue::open(name);
    std::optional<order> poison;
    q.on_dropped([&](std::span<const std::byte> message) {
        REQUIRE(message.size() == sizeof(order));
        std::memcpy(&poison.emplace(), message.data(), message.size());
    });
    const auto dies = [&] {
        promisqs_test::wait_for(promisqs_test::forked([&] {
            auto own = untyped_queue::open(name);
            own.pop_with([](std::span<const std::byte>) { ::_exit(0); });
            return 1;
        }));
    };
    REQUIRE(typed.push(numbered(9)));
    dies();
    CHECK(q.recover().messages_to_redeliver == 1);
    CHECK(q.size() == 1);
    dies();
    CHECK(q.recover().messages_dropped == 1);
    CHECK(poison == numbered(9));
    q.on_dropped(nullptr);
}

namespace {

const promisqs_test::role untyped_echo("untyped echo", [](const promisqs_test::arguments& args) {
    auto in = untyped_queue::open(args.at(0));
    auto out = untyped_queue::open(args.at(1));
    bytes room(in.element_size());
    while (in.pop_wait(room) == status::ok) {
        if (out.push_wait(room) != status::ok) return 1;
    }
    out.close();
    return 0;
});

}  // namespace

TEST_CASE("a process without the type passes messages on between processes that have it") {
    const scoped_name name("echo-in");
    const scoped_name other("echo-out");
    auto there = typed_queue::create(name, 4);
    auto back = typed_queue::create(other, 4);
    promisqs_test::child echo("untyped echo", {name.str(), other.str()});
    std::thread producer([&] {
        for (std::uint64_t i = 0; i < 10'000; ++i) static_cast<void>(there.push_wait(numbered(i)));
        there.close();
    });
    std::uint64_t next = 0;
    while (const auto message = back.pop_wait()) {
        if (*message != numbered(next++)) FAIL("message " << next - 1 << " is another one");
    }
    producer.join();
    CHECK(next == 10'000);
    CHECK(echo.wait() == 0);
}
