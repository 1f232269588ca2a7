// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {

/// The capacity of contenders for which it must be known when they are compiled.
inline constexpr std::size_t fixed_capacity = 1024;

/// A queue that was written for threads, but has no pointers in it, so that it can be placed into shared memory as it
/// is.
template <class Queue>
class placed_queue {
public:
    static placed_queue create(const std::string& segment, std::uint64_t capacity) {
        if (capacity != fixed_capacity) {
            throw std::runtime_error("its capacity is compiled in, and is " + std::to_string(fixed_capacity));
        }
        placed_queue result(shared_object::create(segment, sizeof(Queue)));
        std::construct_at(result.queue_);
        return result;
    }
    static placed_queue open(const std::string& segment) { return placed_queue(shared_object::open(segment)); }

    // No destructor: all is gone with the memory, and those who opened the queue may outlive the one who created it.

    [[nodiscard]] Queue& operator*() const noexcept { return *queue_; }

private:
    // Mapped memory begins with a page.
    static_assert(alignof(Queue) <= 4096);

    explicit placed_queue(shared_object memory)
        : memory_(std::move(memory)), queue_(reinterpret_cast<Queue*>(memory_.data())) {}

    shared_object memory_;
    Queue* queue_;
};

}  // namespace bench
