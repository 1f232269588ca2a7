// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/layout.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/ring.hpp>
#include <promisqs/segment.hpp>
#include <promisqs/sides.hpp>
#include <promisqs/validation.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace promisqs {

/// How far apart slots are, where that is known at compile time.
template <std::uint64_t Stride, std::uint64_t PayloadOffset>
struct fixed_geometry {
    static constexpr std::uint64_t stride = Stride;
    static constexpr std::uint64_t payload_offset = PayloadOffset;
};
/// Likewise, where it is not.
struct planned_geometry {
    std::uint64_t stride;
    std::uint64_t payload_offset;
};

/// Where a ring finds its words and bytes in a segment: the `Memory` of ring.hpp.
template <class Geometry>
class slot_memory : private Geometry {  // a base, so that an empty one takes no room
public:
    slot_memory(layout::counters& counters, std::byte* first, Geometry geometry = {}) noexcept
        : Geometry(geometry), counters_(&counters), first_(first) {}

    /// What stands for a light barrier where the kernel has no heavy ones.
    void use_full_barriers() noexcept { full_barriers_ = true; }
    void light_barrier() const noexcept {
        platform::compiler_barrier();
        if (full_barriers_) [[unlikely]]
            platform::full_barrier();
    }

    /// What the participants of a side sleep on.
    [[nodiscard]] std::atomic<std::uint32_t>& wait_word(side whose) const noexcept {
        return whose == side::consumers ? counters_->consumers_wait : counters_->producers_wait;
    }

    [[nodiscard]] std::atomic<std::uint64_t>& tail() const noexcept { return counters_->tail; }
    [[nodiscard]] std::atomic<std::uint64_t>& head() const noexcept { return counters_->head; }
    [[nodiscard]] std::atomic<std::uint64_t>& disturbances() const noexcept { return counters_->disturbances; }
    [[nodiscard]] std::atomic<std::uint64_t>& calm_at() const noexcept { return counters_->calm_at; }
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

/// A ring whose element type is not known.
using untyped_ring = ring<slot_memory<planned_geometry>>;

inline untyped_ring ring_of(const segment& object, const checked_header& header) noexcept {
    const layout::plan& plan = header.plan;
    return {slot_memory<planned_geometry>(object.counters(), object.at<std::byte>(plan.slots_offset),
                                          {plan.slot_stride, plan.payload_offset}),
            header.capacity, header.sides};
}

}  // namespace promisqs
