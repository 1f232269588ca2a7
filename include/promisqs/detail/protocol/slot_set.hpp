// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace promisqs::detail {

/// Places in a row, without `end`.
struct place_range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;

    [[nodiscard]] constexpr bool empty() const noexcept { return begin >= end; }
};

/// A set of slots, by their places in a row of slots. One bit for each, in memory that it is given: what is done with a
/// range costs one step for 64 places.
class slot_set {
public:
    /// How many words hold the bits of so many places.
    static constexpr std::size_t words_for(std::uint64_t places) noexcept { return (places + 63) / 64; }

    slot_set() noexcept = default;
    explicit slot_set(std::span<std::uint64_t> words) noexcept : words_(words) {}

    void clear() noexcept { std::fill(words_.begin(), words_.end(), 0); }
    void add(std::uint64_t place) noexcept { words_[place / 64] |= std::uint64_t{1} << (place % 64); }
    void remove(std::uint64_t place) noexcept { words_[place / 64] &= ~(std::uint64_t{1} << (place % 64)); }
    void add(place_range range) noexcept {
        for_each_word(range, [this](std::size_t word, std::uint64_t mask) {
            words_[word] |= mask;
            return true;
        });
    }

    [[nodiscard]] bool has_any(place_range range) const noexcept {
        return !for_each_word(range,
                              [this](std::size_t word, std::uint64_t mask) { return (words_[word] & mask) == 0; });
    }

    /// Moves what lies in the range to another set.
    void move(place_range range, slot_set& to) noexcept {
        for_each_word(range, [this, &to](std::size_t word, std::uint64_t mask) {
            to.words_[word] |= words_[word] & mask;
            words_[word] &= ~mask;
            return true;
        });
    }

    /// Calls `visit(place)` for each place, in order. It may change this set.
    template <class Visit>
    void for_each(Visit visit) const {
        for (std::size_t word = 0; word < words_.size(); ++word) {
            for (std::uint64_t left = words_[word]; left != 0; left &= left - 1) {
                visit(word * 64 + static_cast<std::uint64_t>(std::countr_zero(left)));
            }
        }
    }

private:
    // Calls `act(word, mask)` for the words of a range, as long as it returns true. False: it did not.
    template <class Act>
    static bool for_each_word(place_range range, Act act) {
        for (std::uint64_t place = range.begin; place < range.end;) {
            const std::uint64_t bits = layout::lesser(64 - place % 64, range.end - place);
            const std::uint64_t mask = ~std::uint64_t{0} >> (64 - bits) << (place % 64);
            if (!act(place / 64, mask)) return false;
            place += bits;
        }
        return true;
    }

    std::span<std::uint64_t> words_;
};

}  // namespace promisqs::detail
