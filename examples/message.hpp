// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

/// What the examples send: 64 bytes without a pointer in them, so that they mean the same in every process.
struct Message {
    std::uint64_t id;
    std::array<char, 24> address;
    std::array<std::uint8_t, 32> payload;

    friend bool operator==(const Message&, const Message&) = default;
};

/// The id of the message after the last.
inline constexpr std::uint64_t end_id = std::numeric_limits<std::uint64_t>::max();

/// Fills bytes with words that follow from a seed, cut down to the bits of a mask and raised by a base.
template <class Byte, std::size_t Size>
void fill(std::array<Byte, Size>& bytes, std::uint64_t seed, std::uint64_t mask, std::uint64_t base) {
    static_assert(Size % sizeof seed == 0);
    for (std::size_t at = 0; at < Size; at += sizeof seed) {
        seed = (seed + at + 1) * 0x9E37'79B9'7F4A'7C15;
        const std::uint64_t word = ((seed ^ (seed >> 29)) & mask) + base;
        std::memcpy(bytes.data() + at, &word, sizeof word);
    }
}

/// The one right message of this id: whoever receives another one with it knows that something went wrong.
inline Message make_message(std::uint64_t id) {
    Message message;
    message.id = id;
    fill(message.address, id, 0x0F0F'0F0F'0F0F'0F0F, 0x4141'4141'4141'4141);  // letters from A to P
    fill(message.payload, ~id, ~std::uint64_t{0}, 0);
    return message;
}
