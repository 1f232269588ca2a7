// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/layout.hpp>

#include <cstdint>

namespace promisqs {

/// The two sides of a queue.
enum class side : std::uint8_t { producers = 0, consumers = 1 };

constexpr side other(side one) noexcept { return one == side::producers ? side::consumers : side::producers; }

/// Which sides of a queue are declared to have a single participant at a time.
struct single_sides {
    bool producer = false;
    bool consumer = false;

    [[nodiscard]] static constexpr single_sides of_bits(std::uint32_t bits) noexcept {
        return {(bits & layout::single_producer) != 0, (bits & layout::single_consumer) != 0};
    }
    [[nodiscard]] constexpr std::uint32_t bits() const noexcept {
        return (producer ? layout::single_producer : 0U) | (consumer ? layout::single_consumer : 0U);
    }
    [[nodiscard]] constexpr bool is_single(side which) const noexcept {
        return which == side::producers ? producer : consumer;
    }
};

}  // namespace promisqs
