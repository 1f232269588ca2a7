// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calls.hpp"
#include "element.hpp"
#include "segment_name.hpp"
#include "team.hpp"

#include <cstddef>
#include <cstdint>

namespace bench {

inline constexpr std::uint64_t capacity = 1024;

/// Calls `add.operator()<T>()` for the elements of all sizes.
template <class Add>
void for_each_size(Add add) {
    add.template operator()<element<8>>();
    add.template operator()<element<64>>();
    add.template operator()<element<256>>();
    add.template operator()<element<1024>>();
    add.template operator()<element<8192>>();
}

/// Has a message be in memory as a whole, as for somebody who uses it.
template <class T>
void use_whole(T& message) {
    asm volatile("" : : "r"(&message) : "memory");
}

/// The number of the message after which nobody has to wait for another one.
inline constexpr std::uint64_t last_message = ~std::uint64_t{0};

template <class T>
T make_last_message() {
    T message{};
    message.words[0] = last_message;
    return message;
}

}  // namespace bench
