// SPDX-License-Identifier: Apache-2.0

// Every public call, for a small element, one of many fields, and a large one.

#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/untyped_queue.hpp>
#include <promisqs/wait_any.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace {

struct message {
    std::uint64_t id;
    std::array<char, 24> text;
    double prices[3];
    enum class kind : std::uint8_t { first, second } what;
};
struct large {
    std::array<unsigned char, 1U << 20> bytes;
};

bool ok(promisqs::status answer) { return to_string(answer) == "ok" && answer == promisqs::status::ok; }

template <class T>
bool pushes(promisqs::shmem_queue<T>& q, const T& one, std::chrono::steady_clock::time_point when) {
    const std::chrono::seconds second{1};
    const std::span<const T> some(&one, 1);
    const auto fill = [&](T& room) { room = one; };
    return q.push(one) && ok(q.try_push(one)) && ok(q.push_wait(one)) && ok(q.push_wait_for(one, second)) &&
           ok(q.push_wait_until(one, when)) && q.push_some(some) != 0 && q.push_all(some) &&
           q.push_some_wait(some) != 0 && q.push_some_wait_for(some, second) != 0 &&
           q.push_some_wait_until(some, when) != 0 && ok(q.push_all_wait(some)) &&
           ok(q.push_all_wait_for(some, second)) && ok(q.push_all_wait_until(some, when)) && q.push_with(fill) &&
           ok(q.try_push_with(fill)) && ok(q.push_wait_with(fill)) && ok(q.push_wait_with_for(fill, second)) &&
           ok(q.push_wait_with_until(fill, when));
}

template <class T>
bool pops(promisqs::shmem_queue<T>& q, T& one, std::chrono::steady_clock::time_point when) {
    const std::chrono::seconds second{1};
    const std::span<T> some(&one, 1);
    const auto use = [&](const T& in_place) { one = in_place; };
    for (const T& popped : q) one = popped;
    return q.pop() && ok(q.try_pop(one)) && q.pop_wait() && q.pop_wait_for(second) && q.pop_wait_until(when) &&
           ok(q.pop_wait(one)) && ok(q.pop_wait_for(one, second)) && ok(q.pop_wait_until(one, when)) &&
           q.pop_some(some) != 0 && q.pop_some_wait(some) != 0 && q.pop_some_wait_for(some, second) != 0 &&
           q.pop_some_wait_until(some, when) != 0 && q.pop_with(use) && ok(q.try_pop_with(use)) &&
           ok(q.pop_wait_with(use)) && ok(q.pop_wait_with_for(use, second)) && ok(q.pop_wait_with_until(use, when)) &&
           q.peek() && ok(q.try_peek(one));
}

template <class T>
bool uses(T& one) {
    auto q = promisqs::shmem_queue<T>::create("compiles", 8, {.max_deaths = 2});
    auto other = promisqs::shmem_queue<T>::open_or_create("compiles", 8);
    other = promisqs::shmem_queue<T>::open(q.name());
    const auto when = std::chrono::steady_clock::now();
    q.on_dropped([&](const T& dropped) { one = dropped; });
    q.set_wait_policy(promisqs::wait_policy::stream());
    promisqs::ready_event<T> event(q);
    event.rearm();
    const std::array queues{q, other};
    const bool ready = promisqs::wait_any(q, other, std::chrono::seconds(1)) ||
                       promisqs::wait_any(std::span<const promisqs::shmem_queue<T>>(queues), std::chrono::seconds(1));
    const bool moved = pushes(q, one, when) && pops(q, one, when);
    q.close();
    return ready && moved && q.is_closed() && q.size() < q.capacity() && !q.empty() && !q.full() &&
           q.stats().pushed > 0 && q.recover().tombstones == 0 && q.waits_by().pauses > 0 && event.descriptor() > 2 &&
           promisqs::shmem_queue<T>::remove(q.name());
}

using promisqs::untyped_queue;

bool pushes(untyped_queue& q, std::span<const std::byte> one, std::chrono::steady_clock::time_point when) {
    const std::chrono::seconds second{1};
    const auto fill = [&](std::span<std::byte> room) { room.front() = one.front(); };
    return q.push(one) && ok(q.try_push(one)) && ok(q.push_wait(one)) && ok(q.push_wait_for(one, second)) &&
           ok(q.push_wait_until(one, when)) && q.push_some(one) != 0 && q.push_all(one) && q.push_some_wait(one) != 0 &&
           q.push_some_wait_for(one, second) != 0 && q.push_some_wait_until(one, when) != 0 &&
           ok(q.push_all_wait(one)) && ok(q.push_all_wait_for(one, second)) && ok(q.push_all_wait_until(one, when)) &&
           q.push_with(fill) && ok(q.try_push_with(fill)) && ok(q.push_wait_with(fill)) &&
           ok(q.push_wait_with_for(fill, second)) && ok(q.push_wait_with_until(fill, when));
}

bool pops(untyped_queue& q, std::span<std::byte> one, std::chrono::steady_clock::time_point when) {
    const std::chrono::seconds second{1};
    const auto use = [&](std::span<const std::byte> in_place) { one.front() = in_place.front(); };
    return q.pop(one) && ok(q.try_pop(one)) && ok(q.pop_wait(one)) && ok(q.pop_wait_for(one, second)) &&
           ok(q.pop_wait_until(one, when)) && q.pop_some(one) != 0 && q.pop_some_wait(one) != 0 &&
           q.pop_some_wait_for(one, second) != 0 && q.pop_some_wait_until(one, when) != 0 && q.pop_with(use) &&
           ok(q.try_pop_with(use)) && ok(q.pop_wait_with(use)) && ok(q.pop_wait_with_for(use, second)) &&
           ok(q.pop_wait_with_until(use, when)) && q.peek(one) && ok(q.try_peek(one));
}

bool uses_bytes(std::string_view text) {
    auto q = untyped_queue::create("compiles", 8, text);
    const promisqs::shmem_queue<message> typed = promisqs::shmem_queue<message>::open("compiles");
    auto other = untyped_queue::open_or_create("compiles", 8, promisqs::element_type_of<message>());
    other = untyped_queue(typed);
    other = untyped_queue::open(q.name());
    std::vector<std::byte> one(q.element_size());
    q.on_dropped([&](std::span<const std::byte> dropped) { one.assign(dropped.begin(), dropped.end()); });
    promisqs::ready_event event(q);
    event.rearm();
    const bool ready = promisqs::wait_any(q, typed, std::chrono::seconds(1)).has_value();
    const auto when = std::chrono::steady_clock::now();
    const bool moved = pushes(q, one, when) && pops(q, one, when);
    for (const std::span<const std::byte> popped : q) one.assign(popped.begin(), popped.end());
    const promisqs::element_fields fields = q.fields();
    for (const promisqs::field& field : fields.list()) fields.set(one, field.path, fields.get(one, field.path));
    const auto opaque = promisqs::opaque_element_type(q.element_size(), q.element_alignment());
    return ready && moved && q.type() == fields.type() && opaque.fingerprint == 0 && fields.root().extents.empty() &&
           !fields.children(fields.root()).empty() && untyped_queue::remove(q.name());
}

bool looks() {
    promisqs::inspector from("compiles");
    promisqs::tap follows = from.open_tap(promisqs::tap_start::oldest_left);
    const promisqs::tapped seen = follows.next();
    const bool found = to_string(from.look().state) == "in_use" && from.facts().capacity == 8 &&
                       from.stats().participants.size() == from.participants().size() && from.peek(1) &&
                       from.returned(1).empty() && from.is_named() && !from.name().empty();
    return found && seen.event == promisqs::tap_event::message && seen.bytes.size() == 4 &&
           follows.next_for(std::chrono::seconds(1)).event == promisqs::tap_event::ended &&
           promisqs::list_queues().size() == 1;
}

}  // namespace

bool uses_everything(std::uint32_t& number);
bool uses_everything(std::uint32_t& number) {
    static message record{};
    static large bytes{};
    return uses(number) && uses(record) && uses(bytes) && uses_bytes("u32[4]") && looks();
}
