// SPDX-License-Identifier: Apache-2.0
#pragma once

// How messages are copied. docs/decisions/10-every-call.md has the figures.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace promisqs::detail {

/// Up to this size, in bytes, a message is copied by moves in line.
inline constexpr std::size_t most_inline_bytes = 256;

/// Copies a message. A large one is copied by the C library, which has instructions for the processor at hand. g++ 12
/// would put `rep movsq` there.
template <class T>
[[gnu::__always_inline__]] inline void copy_bytes(void* to, const void* from) noexcept {
    if constexpr (sizeof(T) <= most_inline_bytes) {
        std::memcpy(to, from, sizeof(T));
    } else {
        std::size_t size = sizeof(T);
        asm("" : "+r"(size));  // so that the compiler does not know it
        std::memcpy(to, from, size);
    }
}

/// Copies a message of a size that is known at run time. The sizes that programs use most are copied by moves in line.
[[gnu::__always_inline__]] inline void copy_sized(void* to, const void* from, std::size_t size) noexcept {
    switch (size) {
        case 8: std::memcpy(to, from, 8); break;
        case 16: std::memcpy(to, from, 16); break;
        case 64: std::memcpy(to, from, 64); break;
        default: std::memcpy(to, from, size);
    }
}

// Neither of these two is inlined: g++ 12 would clear the optional first, or copy it once more.
template <class T>
[[gnu::__noinline__]] std::optional<T> empty_optional() noexcept {
    return std::nullopt;
}
template <class T>
[[gnu::__noinline__]] std::optional<T> large_optional_copy_of(const void* message) noexcept {
    std::optional<T> made = empty_optional<T>();
    auto* const bytes = reinterpret_cast<std::byte*>(std::addressof(made));
    copy_bytes<T>(bytes, message);
    bytes[sizeof(T)] = std::byte{1};
    return made;
}

/// An optional that holds a copy of a message.
///
/// One that g++ 12 would not make well is written as bytes: the value, and behind it the flag, as the C++ libraries of
/// the supported systems have it.
template <class T>
[[gnu::__always_inline__]] inline std::optional<T> optional_copy_of(const void* message) {
    using result = std::optional<T>;
    static_assert(sizeof(result) == (sizeof(T) + alignof(T)) / alignof(T) * alignof(T),
                  "the flag lies behind the value");
    constexpr bool is_small = sizeof(result) <= 2 * sizeof(std::uint64_t);
    if constexpr (!std::is_trivially_copyable_v<result> || (!is_small && sizeof(T) <= most_inline_bytes)) {
        return result(std::in_place, *static_cast<const T*>(message));
    } else if constexpr (is_small) {
        // It is returned in registers. g++ 12 writes its flag as a byte, and reads that again as a part of a wider
        // word. A processor can't forward that from one to the other, and waits for some 8 ns. So it is made of whole
        // words.
        std::array<std::uint64_t, 2> words{};
        copy_bytes<T>(words.data(), message);
        words[sizeof(T) / 8] |= std::uint64_t{1} << (sizeof(T) % 8 * 8);
        result made;
        std::memcpy(static_cast<void*>(std::addressof(made)), words.data(), sizeof(result));
        return made;
    } else {
        return large_optional_copy_of<T>(message);
    }
}

}  // namespace promisqs::detail
