// SPDX-License-Identifier: Apache-2.0

#include "command_line/values.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace promisqs_tool {

namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return value;
}

template <class Number>
CLI::Validator accepts(Number least, Number most, const std::string& what) {
    const auto check = [least, most, what](std::string& text) {
        const auto value = number_in<Number>(text);
        if (!value || !(*value >= least && *value <= most)) return fmt::format("expected {}, found \"{}\"", what, text);
        text = fmt::format("{}", *value);
        return std::string();
    };
    return {check, {}};
}

}  // namespace

CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
    const bool has_end = most != std::numeric_limits<std::uint64_t>::max();
    return accepts(least, most,
                   has_end ? fmt::format("a whole number from {} to {}", least, most)
                           : fmt::format("a whole number from {} up", least));
}

CLI::Validator number_between(double least, double most) {
    return accepts(least, most, fmt::format("a number from {} to {}", least, most));
}

CLI::Validator seconds_between(double least, double most) {
    return accepts(least, most, fmt::format("{} to {} seconds", least, most));
}

}  // namespace promisqs_tool
