// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace promisqs::detail {

/// How far apart slots are, where that is known at compile time.
template <std::uint64_t Stride, std::uint64_t PayloadOffset>
struct static_stride {
    static constexpr std::uint64_t stride = Stride;
    static constexpr std::uint64_t payload_offset = PayloadOffset;
};
/// Likewise, where it is not.
struct runtime_stride {
    std::uint64_t stride;
    std::uint64_t payload_offset;
};

/// Where a ring finds its words and bytes in a segment: the `Memory` of ring.hpp.
template <class Geometry>
class slots : private Geometry {  // a base, so that an empty one takes no room
public:
    slots(layout::counters& counters, std::byte* first, Geometry geometry = {}) noexcept
        : Geometry(geometry), counters_(&counters), first_(first) {}

    /// What stands for a light barrier where the kernel has no heavy ones.
    void use_full_barriers() noexcept { full_barriers_ = true; }
    void light_barrier() const noexcept {
        asm volatile("" ::: "memory");  // for the compiler alone
        if (full_barriers_) [[unlikely]]
            __sync_synchronize();
    }

    /// What the participants of a side sleep on.
    [[nodiscard]] std::atomic<std::uint32_t>& wait_word(role whose) const noexcept {
        return whose == role::consumer ? counters_->consumers_wait : counters_->producers_wait;
    }

    [[nodiscard]] std::atomic<std::uint64_t>& tail() const noexcept { return counters_->tail; }
    [[nodiscard]] std::atomic<std::uint64_t>& head() const noexcept { return counters_->head; }
    [[nodiscard]] std::atomic<std::uint64_t>& irregular_count() const noexcept { return counters_->irregular_count; }
    [[nodiscard]] std::atomic<std::uint64_t>& irregular_cleared_at() const noexcept {
        return counters_->irregular_cleared_at;
    }
    [[nodiscard]] std::atomic<std::uint64_t>& stamp(std::uint64_t index) const noexcept {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(first_ + index * Geometry::stride);
    }
    [[nodiscard]] void* payload(std::uint64_t index) const noexcept {
        return first_ + index * Geometry::stride + Geometry::payload_offset;
    }

private:
    layout::counters* counters_;
    std::byte* first_;
    bool full_barriers_ = false;
};

}  // namespace promisqs::detail
