// SPDX-License-Identifier: Apache-2.0

#include "bridge/ack_subject.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace promisqs_tool {

namespace {

template <class Number>
bool read_number(std::string_view text, Number& into) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::optional<delivery> delivery_of_ack(std::string_view subject) {
    constexpr std::size_t short_form = 9;
    constexpr std::size_t long_form = 11;  // at least
    constexpr std::uint64_t most_sequence = (std::uint64_t{1} << 60) - 1;
    std::array<std::string_view, long_form> parts;
    std::size_t count = 0;
    for (std::string_view left = subject; count < parts.size();) {
        const std::size_t end = left.find('.');
        parts[count++] = left.substr(0, end);
        if (end == left.npos) break;
        left.remove_prefix(end + 1);
    }
    if ((count != short_form && count != long_form) || parts[0] != "$JS" || parts[1] != "ACK") return std::nullopt;
    const std::size_t first = count == short_form ? 4 : 6;
    delivery found{};
    const bool is_read = read_number(parts[first], found.deliveries) && read_number(parts[first + 1], found.sequence) &&
                         read_number(parts[first + 2], found.consumer_sequence) &&
                         read_number(parts[first + 3], found.timestamp);
    return is_read && found.sequence <= most_sequence ? std::optional(found) : std::nullopt;
}

std::string ack_subject_of(std::string_view stream, std::string_view consumer, const delivery& of) {
    return fmt::format("$JS.ACK.{}.{}.{}.{}.{}.{}.0", stream, consumer, of.deliveries, of.sequence,
                       of.consumer_sequence, of.timestamp);
}

}  // namespace promisqs_tool
