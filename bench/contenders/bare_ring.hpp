// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "counted_ring.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
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
        return bare_ring(counted_ring<T>::create(segment, std::min(capacity, Most)));
    }
    static bare_ring open(const std::string& segment, side /*either*/) {
        return bare_ring(counted_ring<T>::open(segment));
    }

    bool push(const T& message) {
        if (mine_ - others_ == ring_.capacity()) {
            others_ = ring_.head().load(std::memory_order_acquire);
            if (mine_ - others_ == ring_.capacity()) return false;
        }
        std::memcpy(ring_.element(mine_), &message, sizeof message);
        ring_.tail().store(++mine_, std::memory_order_release);
        return true;
    }
    bool pop(T& out) {
        if (mine_ == others_) {
            others_ = ring_.tail().load(std::memory_order_acquire);
            if (mine_ == others_) return false;
        }
        std::memcpy(&out, ring_.element(mine_), sizeof out);
        ring_.head().store(++mine_, std::memory_order_release);
        return true;
    }

private:
    explicit bare_ring(counted_ring<T> ring) : ring_(std::move(ring)) {}

    counted_ring<T> ring_;
    std::uint64_t mine_ = 0;
    std::uint64_t others_ = 0;
};

}  // namespace bench
