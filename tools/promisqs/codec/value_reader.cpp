// SPDX-License-Identifier: Apache-2.0

#include "codec/value_reader.hpp"

#include "codec/floats.hpp"

#include <fmt/format.h>

#include <cstring>

namespace promisqs_tool {

namespace {

__extension__ using wide_unsigned = unsigned __int128;

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool store_hex(std::byte* at, std::string_view digits) {
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        const int high = digit_of(digits[i]);
        const int low = digit_of(digits[i + 1]);
        if (high < 0 || low < 0) return false;
        at[i / 2] = static_cast<std::byte>(high << 4 | low);
    }
    return true;
}

bool store_wide_bits(value_form form, std::byte* at, bool is_negative, wide_unsigned amount) {
    const bool has_sign = form == value_form::i128;
    const wide_unsigned most = ~wide_unsigned{0} >> (has_sign ? 1U : 0U);
    if (is_negative ? !has_sign || amount > most + 1 : amount > most) return false;
    const wide_unsigned bits = is_negative ? 0 - amount : amount;
    std::memcpy(at, &bits, sizeof bits);
    return true;
}

bool store_wide(value_form form, std::byte* at, std::string_view digits) {
    const bool is_negative = digits.starts_with('-');
    if (is_negative) digits.remove_prefix(1);
    wide_unsigned amount = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9' || __builtin_mul_overflow(amount, wide_unsigned{10}, &amount)) return false;
        if (__builtin_add_overflow(amount, static_cast<wide_unsigned>(c - '0'), &amount)) return false;
    }
    return !digits.empty() && store_wide_bits(form, at, is_negative, amount);
}

struct integer_format {
    bool has_sign;
    unsigned bits;  // 0: it is no integer, or has 128

    [[nodiscard]] std::uint64_t most() const noexcept {
        return ~std::uint64_t{0} >> (64 - bits + (has_sign ? 1U : 0U));
    }
};

constexpr integer_format integer_format_of(value_form form) noexcept {
    switch (form) {
        case value_form::i8: return {true, 8};
        case value_form::i16: return {true, 16};
        case value_form::i32: return {true, 32};
        case value_form::i64: return {true, 64};
        case value_form::u8: return {false, 8};
        case value_form::u16: return {false, 16};
        case value_form::u32: return {false, 32};
        case value_form::u64: return {false, 64};
        default: return {false, 0};
    }
}

bool is_wide(value_form form) noexcept { return form == value_form::i128 || form == value_form::u128; }
bool is_float(value_form form) noexcept {
    return form == value_form::f16 || form == value_form::bf16 || form == value_form::f32 || form == value_form::f64;
}

}  // namespace

std::string expected_of(const plan_node& field) {
    const integer_format integer = integer_format_of(field.form);
    if (integer.bits != 0) {
        const std::string least = integer.has_sign ? fmt::format("-{}", integer.most() + 1) : "0";
        return fmt::format("an integer from {} to {}", least, integer.most());
    }
    switch (field.form) {
        case value_form::boolean: return "true or false";
        case value_form::i128: return "an integer of 128 bits, as a string of decimal digits";
        case value_form::u128: return "an integer of 128 bits, 0 or more, as a string of decimal digits";
        case value_form::f16: return "a number that f16 has, \"NaN\", \"Infinity\" or \"-Infinity\"";
        case value_form::bf16: return "a number that bf16 has, \"NaN\", \"Infinity\" or \"-Infinity\"";
        case value_form::f32: return "a number that f32 has, \"NaN\", \"Infinity\" or \"-Infinity\"";
        case value_form::f64: return "a number that f64 has, \"NaN\", \"Infinity\" or \"-Infinity\"";
        case value_form::text: return fmt::format("a text of at most {} bytes", field.size);
        case value_form::aggregate: return "an object";
        default: return fmt::format("a string of {} hexadecimal digits", 2 * field.size);
    }
}

bool store_integer(value_form form, std::byte* at, bool is_negative, std::uint64_t bits) {
    if (is_wide(form)) return store_wide_bits(form, at, is_negative, is_negative ? 0 - bits : bits);
    if (is_float(form)) {
        const auto value = static_cast<std::int64_t>(bits);
        return store_number(form, at, is_negative ? std::to_string(value) : std::to_string(bits));
    }
    const integer_format format = integer_format_of(form);
    if (format.bits == 0 || (is_negative && !format.has_sign)) return false;
    const std::uint64_t amount = is_negative ? ~bits : bits;  // of a negative one: one less
    if (amount > format.most()) return false;
    std::memcpy(at, &bits, format.bits / 8);
    return true;
}

bool store_number(value_form form, std::byte* at, const std::string& digits) {
    std::uint64_t bits = 0;
    if (!is_float(form) || !read_float(form, digits, bits)) return false;
    std::memcpy(at, &bits, form == value_form::f64 ? 8 : form == value_form::f32 ? 4 : 2);
    return true;
}

bool store_string(const plan_node& field, std::byte* at, std::string_view text) {
    if (field.form == value_form::hex) return text.size() == 2 * field.size && store_hex(at, text);
    if (is_wide(field.form)) return store_wide(field.form, at, text);
    if (field.form == value_form::text) {
        if (text.size() > field.size) return false;
        if (!text.empty()) std::memcpy(at, text.data(), text.size());
        return true;
    }
    std::uint64_t bits = 0;
    if (!is_float(field.form) || !read_special_float(field.form, text, bits)) return false;
    std::memcpy(at, &bits, field.size);
    return true;
}

bool store_hex_text(const plan_node& field, std::byte* at, std::string_view digits) {
    return digits.size() % 2 == 0 && digits.size() / 2 <= field.size && store_hex(at, digits);
}

}  // namespace promisqs_tool
