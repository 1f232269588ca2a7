// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <string>

namespace promisqs_tool {

/// Checks an option that is a number of seconds. Other than `CLI::Range`, it refuses "nan".
[[nodiscard]] inline CLI::Validator seconds_between(double least, double most) {
    const auto check = [least, most](const std::string& text) -> std::string {
        double value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= least && value <= most) return {};
        return fmt::format("expected {} to {} seconds, found {}", least, most, text);
    };
    return {check, ""};
}

}  // namespace promisqs_tool
