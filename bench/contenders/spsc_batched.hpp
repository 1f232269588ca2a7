// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "counted_ring.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

namespace bench {

/// A ring for one producer and one consumer that tells the other side of a batch of messages at once, as MCRingBuffer
/// does (P. Lee, T. Bu, G. Chandranmenon, "A lock-free, cache-efficient multi-core synchronization mechanism for
/// line-rate network traffic monitoring", 2010). So each counter's line moves once in a batch.
///
/// A side also tells when it finds the ring full, or empty: the other one may be waiting for that. A producer that pauses
/// has to call `flush`. Until then the consumer does not see the messages of an unfinished batch, which is why this is
/// for streams only.
template <class T>
class spsc_batched {
public:
    using value_type = T;
    static constexpr const char* name = "spsc_batched";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;
    static constexpr bool streams_only = true;

    static spsc_batched create(const std::string& segment, std::uint64_t capacity) {
        return spsc_batched(counted_ring<T>::create(segment, capacity));
    }
    static spsc_batched open(const std::string& segment, side /*either*/) {
        return spsc_batched(counted_ring<T>::open(segment));
    }

    bool push(const T& message) {
        if (room() == 0) return false;
        std::memcpy(ring_.element(mine_++), &message, sizeof message);
        if (mine_ - told_ == batch) flush();
        return true;
    }
    bool pop(T& out) {
        if (ready() == 0) return false;
        std::memcpy(&out, ring_.element(mine_++), sizeof out);
        if (mine_ - told_ == batch) tell(ring_.head());
        return true;
    }

    /// The caller's batches are those of which it tells.
    std::size_t push_some(std::span<const T> messages) {
        const auto size = std::min<std::size_t>(messages.size(), room());
        for (const T& message : messages.first(size)) std::memcpy(ring_.element(mine_++), &message, sizeof message);
        flush();
        return size;
    }
    std::size_t pop_some(std::span<T> out) {
        const auto size = std::min<std::size_t>(out.size(), ready());
        for (T& message : out.first(size)) std::memcpy(&message, ring_.element(mine_++), sizeof message);
        tell(ring_.head());
        return size;
    }

    /// Lets the consumer see all that was pushed.
    void flush() { tell(ring_.tail()); }

private:
    using word = typename counted_ring<T>::word;

    static constexpr std::uint64_t batch = 32;

    explicit spsc_batched(counted_ring<T> ring) : ring_(std::move(ring)) {}

    std::uint64_t room() {
        if (mine_ - others_ == ring_.capacity()) {
            flush();
            others_ = ring_.head().load(std::memory_order_acquire);
        }
        return others_ + ring_.capacity() - mine_;
    }
    std::uint64_t ready() {
        if (mine_ == others_) {
            tell(ring_.head());
            others_ = ring_.tail().load(std::memory_order_acquire);
        }
        return others_ - mine_;
    }

    void tell(word& counter) {
        if (told_ == mine_) return;
        told_ = mine_;
        counter.store(mine_, std::memory_order_release);
    }

    counted_ring<T> ring_;
    std::uint64_t mine_ = 0;    // how many this side has moved
    std::uint64_t told_ = 0;    // of how many of them the other side knows
    std::uint64_t others_ = 0;  // what this side knows of the other one
};

}  // namespace bench
