// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace promisqs::detail {

/// Whether to look once more for what is not there yet, and how often. A thread learns that for each queue and role
/// from how it went lately. Looks that find something make it look for about as long the next time. Each time that they
/// find nothing, it leaves out twice as many occasions.
class adaptive_spin {
public:
    static constexpr std::uint32_t most_looks = 1024;

    /// How many looks to make on this occasion; 0: none.
    [[nodiscard]] constexpr std::uint32_t looks() noexcept {
        if (left_out_ != 0) {
            --left_out_;
            return 0;
        }
        return in_vain_ == 0 ? 4 * (std::uint32_t{took_} + 1) : most_looks;
    }
    /// Notes that something was found, after so many looks in vain.
    constexpr void found_after(std::uint32_t looks) noexcept {
        took_ = static_cast<std::uint16_t>(looks < most_looks / 4 ? looks : most_looks / 4 - 1);
        in_vain_ = 0;
    }
    /// Notes that nothing was found.
    constexpr void found_nothing() noexcept {
        if (in_vain_ < most_doublings) ++in_vain_;
        left_out_ = static_cast<std::uint8_t>((1U << in_vain_) - 1);
    }

private:
    static constexpr std::uint8_t most_doublings = 6;  // so one occasion of 64 is always taken

    std::uint16_t took_ = 15;    // how many looks it took lately
    std::uint8_t in_vain_ = 0;   // how many times in a row nothing was found
    std::uint8_t left_out_ = 0;  // how many occasions to leave out
};

}  // namespace promisqs::detail
