// SPDX-License-Identifier: Apache-2.0

#include "command_line/arguments.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string>
#include <system_error>

namespace promisqs_tool {

namespace {

template <class Number>
std::optional<Number> number_in(const std::string& text) {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return value;
}

}  // namespace

CLI::Validator whole_number(std::uint64_t least) {
    const auto check = [least](const std::string& text) {
        const auto value = number_in<std::uint64_t>(text);
        if (value && *value >= least) return std::string();
        return fmt::format("expected a whole number from {} up, found \"{}\"", least, printable(text));
    };
    return {check, {}};
}

CLI::Validator number_between(double least, double most) {
    const auto check = [least, most](const std::string& text) {
        const auto value = number_in<double>(text);
        if (value && *value >= least && *value <= most) return std::string();
        return fmt::format("expected a number from {} to {}, found \"{}\"", least, most, printable(text));
    };
    return {check, {}};
}

}  // namespace promisqs_tool
