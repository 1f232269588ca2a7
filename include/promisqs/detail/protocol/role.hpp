// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>

#include <cstdint>

namespace promisqs::detail {

/// What a participant does in a queue: it pushes, or it pops.
enum class role : std::uint8_t { producer = 0, consumer = 1 };

constexpr role opposite(role one) noexcept { return one == role::producer ? role::consumer : role::producer; }

/// Which roles of a queue are declared to have a single participant at a time.
struct single_roles {
    bool producer = false;
    bool consumer = false;

    [[nodiscard]] static constexpr single_roles of_bits(std::uint32_t bits) noexcept {
        return {(bits & layout::single_producer) != 0, (bits & layout::single_consumer) != 0};
    }
    [[nodiscard]] constexpr bool is_single(role which) const noexcept {
        return which == role::producer ? producer : consumer;
    }
};

}  // namespace promisqs::detail
