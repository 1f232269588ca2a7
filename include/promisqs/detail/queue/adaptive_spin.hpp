// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace promisqs::detail {

/// Whether to look once more for what is not there yet, and how often. A thread learns that for each queue and role
/// from how it went lately. Where at least one occasion of seven is worth while, it takes all of them, and looks about
/// as often as it took the last time. Where nearly all are in vain, it takes one of 64.
///
/// All bytes are zero at first: nothing is known.
class adaptive_spin {
public:
    static constexpr std::uint16_t most_looks = 1024;
    static constexpr std::uint8_t left_out = 63;

    /// How many looks to make on this occasion; 0: none.
    [[nodiscard]] constexpr std::uint32_t looks() noexcept {
        if (vain_ >= too_vain) {
            if (to_leave_out_ != 0) {
                --to_leave_out_;
                return 0;
            }
            to_leave_out_ = left_out;
            return most_looks;
        }
        return enough_ != 0 ? enough_ : most_looks;
    }
    /// Notes that something was found, after so many looks in vain.
    constexpr void found_after(std::uint32_t looks) noexcept {
        enough_ = looks < most_looks / 4 ? static_cast<std::uint16_t>(4 * (looks + 1)) : most_looks;
        vain_ = static_cast<std::uint8_t>(vain_ < worth_while ? vain_ - vain_ / step : worth_while);
    }
    /// Notes that nothing was found.
    constexpr void found_nothing() noexcept {
        enough_ = 0;
        vain_ = static_cast<std::uint8_t>(vain_ + (all_vain - vain_) / step);
    }

private:
    // The part of occasions in vain, of 256, as an average in which each one counts an eighth.
    static constexpr std::uint8_t step = 8;
    static constexpr std::uint8_t all_vain = 255;
    static constexpr std::uint8_t too_vain = 220;
    static constexpr std::uint8_t worth_while = 168;  // after one success; so the next six occasions are taken, too

    std::uint16_t enough_ = 0;  // looks; 0: unknown
    std::uint8_t vain_ = 0;
    std::uint8_t to_leave_out_ = 0;  // occasions
};

}  // namespace promisqs::detail
