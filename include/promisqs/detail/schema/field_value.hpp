// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values of fields at run time: from their bytes, and into them.

#include <promisqs/detail/schema/type_tree.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <variant>

namespace promisqs::detail {

using field_value = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

// f64's own numbers.
inline constexpr unsigned f64_fraction_bits = 52;
inline constexpr std::uint64_t f64_fraction = (std::uint64_t{1} << f64_fraction_bits) - 1;
inline constexpr std::uint64_t f64_exponents = 0x7FF;
inline constexpr int f64_bias = 1023;

[[nodiscard]] inline bool is_finite(double value) noexcept {
    return (std::bit_cast<std::uint64_t>(value) >> f64_fraction_bits & f64_exponents) != f64_exponents;
}

/// A floating-point format of 16 bits.
struct half_format {
    unsigned fraction_bits;
    int bias;

    /// The value of these bits.
    [[nodiscard]] double widen(std::uint16_t bits) const noexcept {
        const std::uint64_t sign = std::uint64_t{bits} >> 15 << 63;
        const std::uint64_t fraction = bits & ((1U << fraction_bits) - 1);
        const auto exponent = static_cast<int>((bits & 0x7FFFU) >> fraction_bits);
        const std::uint64_t wide_fraction = fraction << (f64_fraction_bits - fraction_bits);
        if (exponent == 2 * bias + 1)  // infinite, or no number
            return std::bit_cast<double>(sign | f64_exponents << f64_fraction_bits | wide_fraction);
        const auto wide = [&](int e) { return static_cast<std::uint64_t>(e + f64_bias) << f64_fraction_bits; };
        if (exponent != 0) return std::bit_cast<double>(sign | wide(exponent - bias) | wide_fraction);
        const double smallest = std::bit_cast<double>(wide(1 - bias - static_cast<int>(fraction_bits)));
        const double value = static_cast<double>(fraction) * smallest;
        return sign != 0 ? -value : value;
    }

    /// The bits of the nearest value; of two, of the even one. What is too large becomes infinite.
    [[nodiscard]] std::uint16_t narrow(double value) const noexcept {
        const auto bits = std::bit_cast<std::uint64_t>(value);
        const std::uint64_t sign = bits >> 63 << 15;
        const std::uint64_t infinite = (2 * static_cast<std::uint64_t>(bias) + 1) << fraction_bits;
        const std::uint64_t fraction = bits & f64_fraction;
        const int exponent = static_cast<int>(bits >> f64_fraction_bits & f64_exponents) - f64_bias;
        const unsigned dropped = f64_fraction_bits - fraction_bits;
        if (!is_finite(value)) {
            const std::uint64_t quiet = fraction != 0 ? std::uint64_t{1} << (fraction_bits - 1) : 0;
            return static_cast<std::uint16_t>(sign | infinite | quiet | fraction >> dropped);
        }
        if (exponent > bias) return static_cast<std::uint16_t>(sign | infinite);
        const bool is_subnormal = exponent < 1 - bias;
        const unsigned shift = dropped + (is_subnormal ? static_cast<unsigned>(1 - bias - exponent) : 0);
        if (shift > f64_fraction_bits + 1) return static_cast<std::uint16_t>(sign);
        const std::uint64_t significand = fraction | (f64_fraction + 1);
        std::uint64_t rounded = significand >> shift;
        const std::uint64_t rest = significand & ((std::uint64_t{1} << shift) - 1);
        const std::uint64_t middle = std::uint64_t{1} << (shift - 1);
        if (rest > middle || (rest == middle && rounded % 2 != 0)) ++rounded;
        // The leading one of a normal number counts as one exponent.
        const std::uint64_t base = is_subnormal ? 0 : static_cast<std::uint64_t>(exponent + bias - 1) << fraction_bits;
        return static_cast<std::uint16_t>(sign | (base + rounded));
    }
};
inline constexpr half_format f16_format{10, 15};
inline constexpr half_format bf16_format{7, 127};

[[nodiscard]] inline std::string bytes_of(const std::byte* at, std::uint64_t size) {
    if (size == 0) return {};  // then `at` may be null
    return {reinterpret_cast<const char*>(at), size};
}

/// Bytes as a text: without the zeroes at the end.
[[nodiscard]] inline std::string text_of(const std::byte* at, std::uint64_t size) {
    while (size != 0 && at[size - 1] == std::byte{0}) --size;
    return bytes_of(at, size);
}

template <class T>
[[nodiscard]] T load_as(const std::byte* at) noexcept {
    T value{};
    std::memcpy(&value, at, sizeof value);
    return value;
}
template <class T>
void store_as(std::byte* at, T value) noexcept {
    std::memcpy(at, &value, sizeof value);
}

/// What a field holds is its bytes, if no alternative of `field_value` has all of its values.
[[nodiscard]] constexpr bool is_bytes(field_kind kind, std::uint64_t size) noexcept {
    return kind == field_kind::opaque || kind == field_kind::aggregate || size > 8;
}

/// The value of one field.
[[nodiscard]] inline field_value load_value(field_kind kind, std::string_view word, std::uint64_t size,
                                            const std::byte* at) {
    if (is_bytes(kind, size)) return bytes_of(at, size);
    std::uint64_t bits = 0;
    std::memcpy(&bits, at, size);
    const auto above = static_cast<unsigned>(64 - 8 * size);
    switch (kind) {
        case field_kind::boolean: return bits != 0;
        case field_kind::signed_integer: return static_cast<std::int64_t>(bits << above) >> above;
        case field_kind::unsigned_integer: return bits;
        case field_kind::text: return text_of(at, size);
        case field_kind::floating_point:
            if (size == 8) return std::bit_cast<double>(bits);
            if (size == 4) return static_cast<double>(load_as<float>(at));
            return (word == "bf16" ? bf16_format : f16_format).widen(static_cast<std::uint16_t>(bits));
        case field_kind::opaque:
        case field_kind::aggregate: break;
    }
    return bytes_of(at, size);
}

// Each of these stores a value and returns nothing, or returns what it had expected instead.

[[nodiscard]] inline std::string store_bytes(std::byte* at, std::uint64_t size, const field_value& value) {
    const auto* const bytes = std::get_if<std::string>(&value);
    if (bytes == nullptr || bytes->size() != size) return std::to_string(size) + " bytes";
    if (size != 0) std::memcpy(at, bytes->data(), bytes->size());
    return {};
}

[[nodiscard]] inline std::string store_text(std::byte* at, std::uint64_t size, const field_value& value) {
    const auto* const text = std::get_if<std::string>(&value);
    if (text == nullptr || text->size() > size) return "a text of at most " + std::to_string(size) + " bytes";
    if (size == 0) return {};  // then `at` may be null
    std::memset(at, 0, size);
    std::memcpy(at, text->data(), text->size());
    return {};
}

[[nodiscard]] inline std::string store_integer(bool has_sign, std::uint64_t size, std::byte* at,
                                               const field_value& value) {
    const auto above = static_cast<unsigned>(64 - 8 * size);
    const std::uint64_t most = ~std::uint64_t{0} >> above >> (has_sign ? 1U : 0U);
    const std::int64_t least = has_sign ? -static_cast<std::int64_t>(most) - 1 : 0;
    const auto* const with_sign = std::get_if<std::int64_t>(&value);
    const auto* const without = std::get_if<std::uint64_t>(&value);
    const bool is_negative = with_sign != nullptr && *with_sign < 0;
    const std::uint64_t bits = with_sign != nullptr ? static_cast<std::uint64_t>(*with_sign)
                               : without != nullptr ? *without
                                                    : 0;
    const bool fits = is_negative ? *with_sign >= least : bits <= most;
    if ((with_sign == nullptr && without == nullptr) || !fits)
        return "an integer from " + std::to_string(least) + " to " + std::to_string(most);
    std::memcpy(at, &bits, size);
    return {};
}

// Whether a double holds it.
[[nodiscard]] inline bool is_exact(std::uint64_t number) noexcept {
    return number == 0 ||
           static_cast<int>(std::bit_width(number)) - std::countr_zero(number) <= std::numeric_limits<double>::digits;
}

[[nodiscard]] inline std::string store_float(std::string_view word, std::uint64_t size, std::byte* at,
                                             const field_value& value) {
    std::string expected = "a number that " + std::string(word) + " has";
    double number = 0;
    if (const auto* const given = std::get_if<double>(&value)) {
        number = *given;
    } else if (const auto* const with_sign = std::get_if<std::int64_t>(&value)) {
        const auto bits = static_cast<std::uint64_t>(*with_sign);
        if (!is_exact(*with_sign < 0 ? 0 - bits : bits)) return expected;
        number = static_cast<double>(*with_sign);
    } else if (const auto* const without = std::get_if<std::uint64_t>(&value)) {
        if (!is_exact(*without)) return expected;
        number = static_cast<double>(*without);
    } else {
        return expected;
    }
    if (size == 8) {
        store_as(at, number);
        return {};
    }
    // A finite number must not become infinite.
    if (size == 4) {
        constexpr double rounds_up = 0x1.ffffffp127;  // to infinity: half-way from the largest float to 2^128
        if (is_finite(number) && (number >= rounds_up || number <= -rounds_up)) return expected;
        store_as(at, static_cast<float>(number));
        return {};
    }
    const half_format& format = word == "bf16" ? bf16_format : f16_format;
    const std::uint16_t bits = format.narrow(number);
    if (is_finite(number) && !is_finite(format.widen(bits))) return expected;
    store_as(at, bits);
    return {};
}

[[nodiscard]] inline std::string store_value(field_kind kind, std::string_view word, std::uint64_t size, std::byte* at,
                                             const field_value& value) {
    if (is_bytes(kind, size)) return store_bytes(at, size, value);
    switch (kind) {
        case field_kind::boolean: break;
        case field_kind::signed_integer:
        case field_kind::unsigned_integer: return store_integer(kind == field_kind::signed_integer, size, at, value);
        case field_kind::floating_point: return store_float(word, size, at, value);
        case field_kind::text: return store_text(at, size, value);
        case field_kind::opaque:
        case field_kind::aggregate: return store_bytes(at, size, value);
    }
    const auto* const flag = std::get_if<bool>(&value);
    if (flag == nullptr) return "true or false";
    store_as(at, static_cast<std::uint8_t>(*flag ? 1 : 0));
    return {};
}

}  // namespace promisqs::detail
