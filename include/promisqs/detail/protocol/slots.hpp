// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace promisqs::detail {

/// The distance of slots, and where their parts lie, where that is known at compile time.
template <std::uint64_t Stride, std::uint64_t PayloadOffset, std::uint64_t StampOffset>
struct static_stride {
    static constexpr std::uint64_t stride = Stride;
    static constexpr std::uint64_t payload_offset = PayloadOffset;
    static constexpr std::uint64_t stamp_offset = StampOffset;
};
/// The same, where it is not.
struct runtime_stride {
    std::uint64_t stride;
    std::uint64_t payload_offset;
    std::uint64_t stamp_offset;
};

/// The counters and slots of a segment: the `Memory` of ring_state.hpp. (Not named `slots`, which is a macro of Qt's.)
template <class Stride>
class slot_array : private Stride {  // a base, so that an empty one takes no room
public:
    slot_array(layout::counters& counters, std::byte* first, Stride distances = {}) noexcept
        : Stride(distances), counters_(&counters), first_(first) {}

    /// Fallback without membarrier(2): every light barrier is a full fence.
    void use_full_barriers() noexcept { full_barriers_ = true; }
    void light_barrier() const noexcept {
        asm volatile("" ::: "memory");  // for the compiler alone
        if (full_barriers_) [[unlikely]]
            __sync_synchronize();
    }

    /// The word on which the participants of a role sleep.
    [[nodiscard]] std::atomic<std::uint32_t>& wait_word(role whose) const noexcept {
        return whose == role::consumer ? counters_->consumers.word : counters_->producers.word;
    }
    /// When one of them will look for the dead next.
    [[nodiscard]] std::atomic<std::uint64_t>& look_due(role whose) const noexcept {
        return whose == role::consumer ? counters_->consumers.look_due : counters_->producers.look_due;
    }

    [[nodiscard]] std::atomic<std::uint64_t>& tail() const noexcept { return counters_->tail; }
    [[nodiscard]] std::atomic<std::uint64_t>& head() const noexcept { return counters_->head; }
    [[nodiscard]] std::atomic<std::uint64_t>& irregular_count() const noexcept { return counters_->irregular_count; }
    [[nodiscard]] std::atomic<std::uint64_t>& irregular_cleared_at() const noexcept {
        return counters_->irregular_cleared_at;
    }
    /// A tally.
    [[nodiscard]] std::atomic<std::uint64_t>& tombstones() const noexcept { return counters_->tombstones; }
    [[nodiscard]] std::atomic<std::uint64_t>& stamp(std::uint64_t index) const noexcept {
        std::byte* const place = first_ + index * Stride::stride + Stride::stamp_offset;
        return *static_cast<std::atomic<std::uint64_t>*>(static_cast<void*>(place));
    }
    [[nodiscard]] void* payload(std::uint64_t index) const noexcept {
        return first_ + index * Stride::stride + Stride::payload_offset;
    }

private:
    layout::counters* counters_;
    std::byte* first_;
    bool full_barriers_ = false;
};

}  // namespace promisqs::detail
