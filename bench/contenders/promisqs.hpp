// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace bench {

// What a contender offers:
//   value_type
//   name                       of its benchmarks
//   crosses_processes          false: threads share the one that was created
//   one_to_one_only, many_to_one_only, round_trips_only, streams_only, processes_only
//                              true if that is so
//   create(segment, capacity)  and open(segment, side)
//   bool push(const T&)        an attempt; false: full
//   bool pop(T& out)           an attempt; false: empty
//   optional<T> pop_value()    in place of it, where that is how messages are to be received
//   void push_made(make)       and pop_used(use): calls these with the message where it lies in the queue, and waits
//   size_t push_some(span)     and pop_some(span): as many as there is room for, or as wait; 0: full, or empty
//   void flush()               lets the consumer see all that was pushed, where `push` may put that off
//   void push_wait(const T&)   and pop_wait(T& out), its own way to wait; not all have one

enum class declared { nothing, single_sides };
enum class handing {
    copied,
    by_value,  // popped by the call that returns the message
    in_place   // made and used where it lies in the queue
};

template <class T, promisqs::wait_policy (*Policy)() noexcept = promisqs::wait_policy::balanced,
          declared Declared = declared::nothing, handing Handing = handing::copied>
class promisqs_queue {
public:
    using value_type = T;
    static constexpr const char* name = "promisqs";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = Declared == declared::single_sides;

    static promisqs_queue create(const std::string& segment, std::uint64_t capacity) {
        promisqs::options wanted;
        wanted.memory.prefault = true;
        wanted.single_producer = wanted.single_consumer = Declared == declared::single_sides;
        return promisqs_queue(queue::create(segment, capacity, wanted));
    }
    static promisqs_queue open(const std::string& segment, side /*either*/) {
        return promisqs_queue(queue::open(segment, {.prefault = true}));
    }

    bool push(const T& message) { return queue_.push(message); }
    bool pop(T& out) { return queue_.try_pop(out) == promisqs::status::ok; }
    std::optional<T> pop_value() requires(Handing == handing::by_value) { return queue_.pop(); }

    template <class Make>
    void push_made(Make make) requires(Handing == handing::in_place) {
        static_cast<void>(queue_.push_wait_with(make));
    }
    template <class Use>
    void pop_used(Use use) requires(Handing == handing::in_place) {
        static_cast<void>(queue_.pop_wait_with(use));
    }

    void push_wait(const T& message) { static_cast<void>(queue_.push_wait(message)); }
    void pop_wait(T& out) { static_cast<void>(queue_.pop_wait(out)); }

    std::size_t push_some(std::span<const T> messages) { return queue_.push_some_wait(messages); }
    std::size_t pop_some(std::span<T> room) { return queue_.pop_some_wait(room); }

private:
    using queue = promisqs::shmem_queue<T>;

    explicit promisqs_queue(queue opened) : queue_(std::move(opened)) { queue_.set_wait_policy(Policy()); }

    queue queue_;
};

/// The same through handles without a type.
template <class T>
class promisqs_untyped {
public:
    using value_type = T;
    static constexpr const char* name = "promisqs_untyped";
    static constexpr bool crosses_processes = true;

    static promisqs_untyped create(const std::string& segment, std::uint64_t capacity) {
        promisqs::options wanted;
        wanted.memory.prefault = true;
        return promisqs_untyped(
            promisqs::untyped_queue::create(segment, capacity, promisqs::element_type_of<T>(), wanted));
    }
    static promisqs_untyped open(const std::string& segment, side /*either*/) {
        return promisqs_untyped(promisqs::untyped_queue::open(segment, {.prefault = true}));
    }

    bool push(const T& message) { return queue_.push(std::as_bytes(std::span(&message, 1))); }
    bool pop(T& out) { return queue_.try_pop(std::as_writable_bytes(std::span(&out, 1))) == promisqs::status::ok; }

private:
    explicit promisqs_untyped(promisqs::untyped_queue opened) : queue_(std::move(opened)) {}

    promisqs::untyped_queue queue_;
};

template <class T>
using promisqs_by_value = promisqs_queue<T, promisqs::wait_policy::balanced, declared::nothing, handing::by_value>;
template <class T>
using promisqs_in_place = promisqs_queue<T, promisqs::wait_policy::balanced, declared::nothing, handing::in_place>;

}  // namespace bench
