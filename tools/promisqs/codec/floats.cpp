// SPDX-License-Identifier: Apache-2.0

#include "codec/floats.hpp"

#include <fmt/compile.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>

namespace promisqs_tool {

namespace {

struct float_format {
    unsigned bits;
    unsigned fraction_bits;

    [[nodiscard]] std::uint64_t sign() const noexcept { return std::uint64_t{1} << (bits - 1); }
    [[nodiscard]] std::uint64_t fraction() const noexcept { return (std::uint64_t{1} << fraction_bits) - 1; }
    /// Of a number that is none, or infinite, all bits of the exponent are set.
    [[nodiscard]] std::uint64_t infinity() const noexcept { return (sign() - 1) & ~fraction(); }
    [[nodiscard]] std::uint64_t usual_nan() const noexcept { return infinity() | (fraction() + 1) >> 1; }
    [[nodiscard]] bool is_finite(std::uint64_t value) const noexcept { return (value & infinity()) != infinity(); }
};

constexpr float_format format_of(value_form form) noexcept {
    switch (form) {
        case value_form::f16: return {16, 10};
        case value_form::bf16: return {16, 7};
        case value_form::f32: return {32, 23};
        default: return {64, 52};
    }
}

const promisqs::detail::half_format& half_of(value_form form) noexcept {
    return form == value_form::f16 ? promisqs::detail::f16_format : promisqs::detail::bf16_format;
}

// The number without an end that shows that it is no integer gets one: so -0.0 keeps its sign.
template <class Float>
void append_number(fmt::memory_buffer& to, Float value) {
    const std::size_t begin = to.size();
    fmt::format_to(std::back_inserter(to), FMT_COMPILE("{}"), value);
    const std::string_view text(to.data() + begin, to.size() - begin);
    if (text.find_first_of(".e") == text.npos) to.append(std::string_view(".0"));
}

void append_half(fmt::memory_buffer& to, value_form form, std::uint64_t bits) {
    const double value = half_of(form).widen(static_cast<std::uint16_t>(bits));
    std::string text;
    for (int digits = 1; digits <= 9; ++digits) {
        text = fmt::format("{:.{}g}", value, digits);
        std::uint64_t read = 0;
        if (read_float(form, text, read) && read == bits) break;
    }
    if (text.find_first_of(".e") == text.npos) text += ".0";
    to.append(text);
}

void append_special(fmt::memory_buffer& to, const float_format& format, std::uint64_t bits) {
    if (bits == format.usual_nan()) {
        to.append(std::string_view(R"("NaN")"));
    } else if ((bits & format.fraction()) == 0) {
        to.append(bits == format.infinity() ? std::string_view(R"("Infinity")") : std::string_view(R"("-Infinity")"));
    } else {
        fmt::format_to(std::back_inserter(to), R"("NaN:{:#0{}x}")", bits, 2 + format.bits / 4);
    }
}

}  // namespace

void append_float(fmt::memory_buffer& to, value_form form, std::uint64_t bits) {
    const float_format format = format_of(form);
    if (!format.is_finite(bits)) return append_special(to, format, bits);
    switch (form) {
        case value_form::f32: return append_number(to, std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
        case value_form::f64: return append_number(to, std::bit_cast<double>(bits));
        default: return append_half(to, form, bits);
    }
}

bool read_float(value_form form, const std::string& digits, std::uint64_t& bits) {
    switch (form) {
        case value_form::f32: bits = std::bit_cast<std::uint32_t>(std::strtof(digits.c_str(), nullptr)); break;
        case value_form::f64: bits = std::bit_cast<std::uint64_t>(std::strtod(digits.c_str(), nullptr)); break;
        default: bits = half_of(form).narrow(std::strtod(digits.c_str(), nullptr));
    }
    return format_of(form).is_finite(bits);
}

bool read_special_float(value_form form, std::string_view text, std::uint64_t& bits) {
    const float_format format = format_of(form);
    bits = format.infinity();
    if (text == "Infinity") return true;
    bits |= format.sign();
    if (text == "-Infinity") return true;
    bits = format.usual_nan();
    if (text == "NaN") return true;
    constexpr std::string_view with_bits = "NaN:0x";
    if (!text.starts_with(with_bits)) return false;
    text.remove_prefix(with_bits.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits, 16);
    const bool is_read = error == std::errc() && end == text.data() + text.size();
    const bool fits = format.bits == 64 || bits >> format.bits == 0;
    return is_read && fits && !format.is_finite(bits) && (bits & format.fraction()) != 0;
}

}  // namespace promisqs_tool
