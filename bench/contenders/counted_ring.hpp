// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "shared_object.hpp"

#include <promisqs/detail/layout.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {

/// The shared memory of a ring between one producer and one consumer: two counters, each on a line of its own, and the
/// messages.
template <class T>
class counted_ring {
public:
    using word = std::atomic<std::uint64_t>;

    static counted_ring create(const std::string& segment, std::uint64_t capacity) {
        if (!std::has_single_bit(capacity)) throw std::invalid_argument("the capacity must be a power of two");
        return counted_ring(shared_object::create(segment, first + capacity * sizeof(T)));
    }
    static counted_ring open(const std::string& segment) { return counted_ring(shared_object::open(segment)); }

    [[nodiscard]] std::uint64_t capacity() const { return mask_ + 1; }
    [[nodiscard]] word& tail() const { return *reinterpret_cast<word*>(bytes_); }
    [[nodiscard]] word& head() const { return *reinterpret_cast<word*>(bytes_ + promisqs::detail::layout::line); }
    [[nodiscard]] std::byte* element(std::uint64_t number) const {
        return bytes_ + first + (number & mask_) * sizeof(T);
    }

private:
    static constexpr std::size_t first = 2 * promisqs::detail::layout::line;

    explicit counted_ring(shared_object memory)
        : memory_(std::move(memory)), bytes_(memory_.data()), mask_((memory_.size() - first) / sizeof(T) - 1) {}

    shared_object memory_;
    std::byte* bytes_;
    std::uint64_t mask_;
};

}  // namespace bench
