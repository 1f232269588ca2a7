// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace bench {

/// A message of so many bytes.
template <std::size_t Size>
struct element {
    static_assert(Size % 8 == 0 && Size > 0);
    std::array<std::uint64_t, Size / 8> words;
};

/// Messages ready to be sent, numbered. The number is written several messages ahead: written right before the push, it
/// could not be read back in the wide pieces that a copy uses, which would stall every contender and hide the
/// differences.
template <class T>
class outgoing {
public:
    explicit outgoing(std::uint64_t first_number) : number_(first_number) {
        for (std::uint64_t i = 0; i < ahead; ++i) at(number_ + i).words[0] = number_ + i;
    }

    [[nodiscard]] const T& next() {
        at(number_ + ahead).words[0] = number_ + ahead;
        return at(number_++);
    }

private:
    static constexpr std::uint64_t ahead = 4;

    T& at(std::uint64_t number) { return messages_[number % messages_.size()]; }

    std::array<T, 2 * ahead> messages_{};
    std::uint64_t number_;
};

}  // namespace bench
