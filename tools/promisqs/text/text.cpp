// SPDX-License-Identifier: Apache-2.0

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace promisqs_tool {

namespace {

// How many bytes the character at the beginning has; 0: it is none, or must not go to a terminal.
std::size_t character_size(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
    const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
    if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return 0;
    std::uint32_t code = byte(0) & (0xffU >> (size + 1));
    for (std::size_t at = 1; at < size; ++at) {
        if ((byte(at) & 0xc0) != 0x80) return 0;
        code = code << 6 | (byte(at) & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    const bool is_control = code < 0xa0 || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[size] || code > 0x10ffff || is_control || is_surrogate ? 0 : size;
}

std::string three_digits(double number) {
    if (number >= 99.95) return fmt::format("{:.0f}", number);
    return number >= 9.995 ? fmt::format("{:.1f}", number) : fmt::format("{:.2f}", number);
}

struct unit {
    double size;
    const char* name;
};

// In the largest unit of which there is one; the units are listed from the largest.
template <std::size_t Count>
std::string in_units(double number, const std::array<unit, Count>& units) {
    const auto chosen = std::find_if(units.begin(), units.end() - 1, [&](const unit& u) { return number >= u.size; });
    return fmt::format("{} {}", three_digits(number / chosen->size), chosen->name);
}

}  // namespace

bool is_printable(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string printable(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t size = character_size(text);
        if (size == 0) {
            result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
        } else if (text.front() == '\\') {
            result += "\\\\";
        } else {
            result += text.substr(0, size);
        }
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return result;
}

std::size_t columns_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string count_of(std::uint64_t number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

std::string short_count(std::uint64_t number) {
    if (number < 1000) return std::to_string(number);
    static constexpr std::array<unit, 5> units{{{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
    return in_units(static_cast<double>(number), units);
}

std::string short_bytes(std::uint64_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    static constexpr std::array<unit, 4> units{{{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}}};
    return in_units(static_cast<double>(bytes), units);
}

std::string short_time(std::chrono::nanoseconds time) {
    static constexpr std::array<unit, 7> units{
        {{86400e9, "d"}, {3600e9, "h"}, {60e9, "min"}, {1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};
    const auto number = static_cast<double>(time.count());
    if (std::abs(number) < 1000) return fmt::format("{} ns", time.count());
    return fmt::format("{}{}", number < 0 ? "-" : "", in_units(std::abs(number), units));
}

std::string hexadecimal(std::span<const std::byte> bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * bytes.size());
    for (const std::byte one : bytes) {
        text += digits[std::to_integer<unsigned>(one) >> 4];
        text += digits[std::to_integer<unsigned>(one) & 15];
    }
    return text;
}

}  // namespace promisqs_tool
