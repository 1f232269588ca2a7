// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <promisqs/detail/layout.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {

/// The least that a ring of messages between one producer and one consumer needs: Lamport's ring, where each side has
/// the other's counter in a copy, and reads it again only when that says full or empty.
///
/// \tparam Most  room for so many messages at most; few of them stay in the caches, whatever their size
template <class T, std::uint64_t Most = ~std::uint64_t{0}>
class bare_ring {
public:
    using value_type = T;
    static constexpr const char* name = Most == ~std::uint64_t{0} ? "bare_ring" : "memcpy";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;

    static bare_ring create(const std::string& segment, std::uint64_t capacity) {
        if (!std::has_single_bit(capacity)) throw std::invalid_argument("the capacity must be a power of two");
        return bare_ring(shared_object::create(segment, first + std::min(capacity, Most) * sizeof(T)));
    }
    static bare_ring open(const std::string& segment, side /*either*/) {
        return bare_ring(shared_object::open(segment));
    }

    bool push(const T& message) {
        if (mine_ - others_ > mask_) {
            others_ = head().load(std::memory_order_acquire);
            if (mine_ - others_ > mask_) return false;
        }
        std::memcpy(element(mine_), &message, sizeof message);
        tail().store(++mine_, std::memory_order_release);
        return true;
    }
    bool pop(T& out) {
        if (mine_ == others_) {
            others_ = tail().load(std::memory_order_acquire);
            if (mine_ == others_) return false;
        }
        std::memcpy(&out, element(mine_), sizeof out);
        head().store(++mine_, std::memory_order_release);
        return true;
    }

private:
    using word = std::atomic<std::uint64_t>;

    static constexpr std::size_t first = 2 * promisqs::detail::layout::line;

    explicit bare_ring(shared_object memory)
        : memory_(std::move(memory)), bytes_(memory_.data()), mask_((memory_.size() - first) / sizeof(T) - 1) {}

    [[nodiscard]] word& tail() const { return *reinterpret_cast<word*>(bytes_); }
    [[nodiscard]] word& head() const { return *reinterpret_cast<word*>(bytes_ + promisqs::detail::layout::line); }
    [[nodiscard]] std::byte* element(std::uint64_t number) const {
        return bytes_ + first + (number & mask_) * sizeof(T);
    }

    shared_object memory_;
    std::byte* bytes_;
    std::uint64_t mask_;
    std::uint64_t mine_ = 0;
    std::uint64_t others_ = 0;
};

}  // namespace bench
