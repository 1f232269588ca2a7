// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace bench {

/// A message of so many bytes.
template <std::size_t Size>
struct element {
    static_assert(Size % 8 == 0 && Size > 0);
    std::array<std::uint64_t, Size / 8> words;
};

/// Where a message has its number: its first word. A message may be a word, too.
template <std::size_t Size>
std::uint64_t& number_in(element<Size>& message) {
    return message.words[0];
}
inline std::uint64_t& number_in(std::uint64_t& message) { return message; }

/// Messages ready to be sent, numbered, several at once. The number is written several messages ahead: written right
/// before the push, it could not be read back in the wide pieces that a copy uses, which would stall every contender and
/// hide the differences.
template <class T, std::size_t Batch = 1>
class outgoing {
public:
    explicit outgoing(std::uint64_t first_number) : number_(first_number) {
        for (std::uint64_t i = 0; i < ahead; ++i) write_number(number_ + i);
    }

    [[nodiscard]] const T& next() requires(Batch == 1) { return next_batch()[0]; }
    /// \par Requires  the first number is a multiple of `Batch`
    [[nodiscard]] std::span<const T, Batch> next_batch() {
        for (std::uint64_t i = 0; i < Batch; ++i) write_number(number_ + ahead + i);
        const std::span<const T, Batch> result(&at(number_), Batch);
        number_ += Batch;
        return result;
    }

private:
    static constexpr std::uint64_t ahead = Batch < 4 ? 4 : Batch;
    static_assert(ahead % Batch == 0);

    T& at(std::uint64_t number) { return messages_[number % messages_.size()]; }
    void write_number(std::uint64_t number) { number_in(at(number)) = number; }

    std::array<T, 2 * ahead> messages_{};
    std::uint64_t number_;
};

}  // namespace bench
