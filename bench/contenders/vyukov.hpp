// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <promisqs/detail/layout.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {

enum class slots {
    packed,  // those of promisqs, so that what differs is the algorithm
    padded   // each begins at a cache line, with its sequence number, as most implementations have it
};

/// The ring that promisqs is built on (Dmitry Vyukov, 1024cores.net, "Bounded MPMC queue"), as the textbook has it:
/// nobody registers, nobody can be found dead, the capacity is a power of two. Its counters lie as far apart as those
/// of promisqs.
template <class T, slots Slots = slots::packed>
class vyukov {
public:
    using value_type = T;
    static constexpr const char* name = Slots == slots::packed ? "vyukov_packed" : "vyukov_padded";
    static constexpr bool crosses_processes = true;

    static vyukov create(const std::string& segment, std::uint64_t capacity) {
        if (!std::has_single_bit(capacity)) throw std::invalid_argument("the capacity must be a power of two");
        vyukov result(shared_object::create(segment, first_slot + capacity * stride));
        for (std::uint64_t i = 0; i < capacity; ++i) result.sequence(i).store(i, std::memory_order_relaxed);
        return result;
    }
    static vyukov open(const std::string& segment, side /*either*/) { return vyukov(shared_object::open(segment)); }

    bool push(const T& message) {
        std::uint64_t position = tail().load(std::memory_order_relaxed);
        for (;;) {
            // Acquire, pairs with the store at the end of `pop`: the slot's old element has been read.
            const std::uint64_t found = sequence(position).load(std::memory_order_acquire);
            if (found == position) {
                if (tail().compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) break;
            } else if (static_cast<std::int64_t>(found - position) < 0) {
                return false;
            } else {
                position = tail().load(std::memory_order_relaxed);
            }
        }
        std::memcpy(payload(position), &message, sizeof message);
        // Release, pairs with the acquire in `pop`: who reads this sees the whole element.
        sequence(position).store(position + 1, std::memory_order_release);
        return true;
    }

    bool pop(T& out) {
        std::uint64_t position = head().load(std::memory_order_relaxed);
        for (;;) {
            // Acquire, pairs with the store at the end of `push`.
            const std::uint64_t found = sequence(position).load(std::memory_order_acquire);
            if (found == position + 1) {
                if (head().compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) break;
            } else if (static_cast<std::int64_t>(found - (position + 1)) < 0) {
                return false;
            } else {
                position = head().load(std::memory_order_relaxed);
            }
        }
        std::memcpy(&out, payload(position), sizeof out);
        // Release, pairs with the acquire in `push`.
        sequence(position).store(position + mask_ + 1, std::memory_order_release);
        return true;
    }

private:
    using word = std::atomic<std::uint64_t>;

    static constexpr bool packed = Slots == slots::packed;
    // Of a padded slot, as of promisqs's, a large element begins at a cache line, too.
    static constexpr std::uint64_t padded_offset = sizeof(T) >= 256 ? 64 : 8;
    static constexpr std::uint64_t offset =
        packed ? promisqs::detail::layout::payload_offset(sizeof(T), alignof(T)) : padded_offset;
    static constexpr std::uint64_t sequence_offset = packed ? promisqs::detail::layout::stamp_offset(sizeof(T)) : 0;
    static constexpr std::uint64_t stride = packed ? promisqs::detail::layout::slot_stride(sizeof(T), alignof(T))
                                                   : (padded_offset + sizeof(T) + 63) / 64 * 64;
    static constexpr std::uint64_t first_slot = 2 * promisqs::detail::layout::line;

    explicit vyukov(shared_object memory)
        : memory_(std::move(memory)), bytes_(memory_.data()), mask_((memory_.size() - first_slot) / stride - 1) {}

    [[nodiscard]] word& tail() const { return *reinterpret_cast<word*>(bytes_); }
    [[nodiscard]] word& head() const { return *reinterpret_cast<word*>(bytes_ + promisqs::detail::layout::line); }
    [[nodiscard]] std::byte* slot(std::uint64_t position) const {
        return bytes_ + first_slot + (position & mask_) * stride;
    }
    [[nodiscard]] word& sequence(std::uint64_t position) const {
        return *reinterpret_cast<word*>(slot(position) + sequence_offset);
    }
    [[nodiscard]] std::byte* payload(std::uint64_t position) const { return slot(position) + offset; }

    shared_object memory_;
    std::byte* bytes_;
    std::uint64_t mask_;
};

}  // namespace bench
