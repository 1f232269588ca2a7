// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace promisqs_test {

/// An object whose bytes are numbered, from a seed, so that a byte out of place shows.
template <class T>
T patterned(std::uint64_t seed) {
    std::array<unsigned char, sizeof(T)> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(seed * 31 + i * 7 + i / 256);
    return std::bit_cast<T>(bytes);
}

}  // namespace promisqs_test
