// SPDX-License-Identifier: Apache-2.0

#include "codec/json_writer.hpp"

#include "codec/floats.hpp"
#include "text/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>

namespace promisqs_tool {

namespace {

__extension__ using wide_signed = __int128;
__extension__ using wide_unsigned = unsigned __int128;

template <class T>
T load(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

void put(fmt::memory_buffer& to, std::string_view text) { to.append(text.data(), text.data() + text.size()); }

template <class Integer>
void append_integer(fmt::memory_buffer& to, const std::byte* at) {
    const fmt::format_int digits(load<Integer>(at));
    put(to, {digits.data(), digits.size()});
}

void append_hex(fmt::memory_buffer& to, const std::byte* at, std::size_t size) {
    static constexpr char digits[] = "0123456789abcdef";
    const std::size_t begin = to.size();
    to.resize(begin + 2 * size);
    char* next = to.data() + begin;
    for (std::size_t i = 0; i < size; ++i) {
        const auto byte = std::to_integer<unsigned>(at[i]);
        *next++ = digits[byte >> 4];
        *next++ = digits[byte & 15];
    }
}

template <class Integer>
void append_wide(fmt::memory_buffer& to, const std::byte* at) {
    fmt::format_to(std::back_inserter(to), "\"{}\"", load<Integer>(at));
}

bool append_number(fmt::memory_buffer& to, value_form form, const std::byte* at) {
    switch (form) {
        case value_form::i8: append_integer<std::int8_t>(to, at); return true;
        case value_form::i16: append_integer<std::int16_t>(to, at); return true;
        case value_form::i32: append_integer<std::int32_t>(to, at); return true;
        case value_form::i64: append_integer<std::int64_t>(to, at); return true;
        case value_form::i128: append_wide<wide_signed>(to, at); return true;
        case value_form::u8: append_integer<std::uint8_t>(to, at); return true;
        case value_form::u16: append_integer<std::uint16_t>(to, at); return true;
        case value_form::u32: append_integer<std::uint32_t>(to, at); return true;
        case value_form::u64: append_integer<std::uint64_t>(to, at); return true;
        case value_form::u128: append_wide<wide_unsigned>(to, at); return true;
        case value_form::f16:
        case value_form::bf16: append_float(to, form, load<std::uint16_t>(at)); return true;
        case value_form::f32: append_float(to, form, load<std::uint32_t>(at)); return true;
        case value_form::f64: append_float(to, form, load<std::uint64_t>(at)); return true;
        default: return false;
    }
}

// All but what JSON escapes, and what is no ASCII.
bool is_simple(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

}  // namespace

void append_json_text(fmt::memory_buffer& to, std::string_view text) {
    if (is_simple(text)) {
        to.push_back('"');
        put(to, text);
        return to.push_back('"');
    }
    try {
        // What would move a terminal's cursor, or turn its text round, is escaped.
        const bool escape_all = !is_printable(text);
        put(to, nlohmann::json(text).dump(-1, ' ', escape_all));
    } catch (const nlohmann::json::type_error&) {  // it is no UTF-8
        put(to, R"({"hex":")");
        append_hex(to, reinterpret_cast<const std::byte*>(text.data()), text.size());
        put(to, R"("})");
    }
}

void json_writer::append_from(fmt::memory_buffer& to, const plan_node& field, std::uint32_t extent,
                              const std::byte* at) const {
    if (extent == field.extents) return append_one(to, field, at);
    const plan_extent array = plan_->extents(field)[extent];
    to.push_back('[');
    for (std::uint64_t i = 0; i < array.count; ++i) {
        if (to.size() >= enough_) return;
        if (i != 0) to.push_back(',');
        append_from(to, field, extent + 1, at + i * array.stride);
    }
    to.push_back(']');
}

void json_writer::append_aggregate(fmt::memory_buffer& to, const plan_node& field, const std::byte* at) const {
    char before = '{';
    for (const plan_node& one : plan_->children(field)) {
        if (to.size() >= enough_) return;
        to.push_back(before);
        before = ',';
        put(to, one.key);
        append_from(to, one, 0, at + one.offset);
    }
    put(to, field.children == 0 ? "{}" : "}");
}

void json_writer::append_one(fmt::memory_buffer& to, const plan_node& field, const std::byte* at) const {
    if (append_number(to, field.form, at)) return;
    switch (field.form) {
        case value_form::boolean: return put(to, at[0] == std::byte{0} ? "false" : "true");
        case value_form::text: {
            std::string_view text(reinterpret_cast<const char*>(at), static_cast<std::size_t>(field.size));
            while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
            return append_json_text(to, text);
        }
        case value_form::aggregate: return append_aggregate(to, field, at);
        default: break;
    }
    to.push_back('"');
    append_hex(to, at, static_cast<std::size_t>(field.size));
    to.push_back('"');
}

}  // namespace promisqs_tool
