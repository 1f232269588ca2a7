// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <limits>

namespace promisqs_tool {

// What options that are numbers take. To be given to an option by `transform`: the number is handed on as the library
// reads it best, in decimal digits without zeros in front, which would make it octal.

/// Whole numbers in decimal digits.
[[nodiscard]] CLI::Validator whole_number(std::uint64_t least,
                                          std::uint64_t most = std::numeric_limits<std::uint64_t>::max());

/// Numbers, not "nan" or "inf".
[[nodiscard]] CLI::Validator number_between(double least, double most);

/// The same, of seconds.
[[nodiscard]] CLI::Validator seconds_between(double least, double most);

/// The longest wait that an option can ask for.
inline constexpr double most_seconds = 1e9;

}  // namespace promisqs_tool
