// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/queue.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace bench {

// What a contender offers:
//   name                       in the names of the benchmarks
//   crosses_processes          whether `open` is there
//   create(segment, capacity)  and open(segment)
//   bool push(const T&)        false: full
//   bool pop(T& out)           false: empty

template <class T>
class promisqs_queue {
public:
    using value_type = T;
    static constexpr const char* name = "promisqs";
    static constexpr bool crosses_processes = true;

    static promisqs_queue create(const std::string& segment, std::uint64_t capacity) {
        promisqs::options wanted;
        wanted.memory.prefault = true;
        return promisqs_queue(queue::create(segment, capacity, wanted));
    }
    static promisqs_queue open(const std::string& segment) {
        return promisqs_queue(queue::open(segment, {.prefault = true}));
    }

    bool push(const T& message) { return queue_.push(message); }
    bool pop(T& out) { return queue_.try_pop(out) == promisqs::status::ok; }

protected:
    using queue = promisqs::shmem_queue<T>;

    explicit promisqs_queue(queue opened) : queue_(std::move(opened)) {}

    queue queue_;
};

/// The same, popping by the call that returns the message.
template <class T>
class promisqs_queue_pop : promisqs_queue<T> {
    using base = promisqs_queue<T>;

public:
    using value_type = T;
    static constexpr const char* name = "promisqs_pop";
    static constexpr bool crosses_processes = true;

    static promisqs_queue_pop create(const std::string& segment, std::uint64_t capacity) {
        return promisqs_queue_pop(base::create(segment, capacity));
    }
    static promisqs_queue_pop open(const std::string& segment) { return promisqs_queue_pop(base::open(segment)); }

    using base::push;
    std::optional<T> pop() { return this->queue_.pop(); }

private:
    explicit promisqs_queue_pop(base opened) : base(std::move(opened)) {}
};

}  // namespace bench
