// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>

namespace promisqs_tool {

/// Accepts whole numbers that are not less, and says of others what was expected.
[[nodiscard]] CLI::Validator whole_number(std::uint64_t least);

/// Accepts numbers between the two.
[[nodiscard]] CLI::Validator number_between(double least, double most);

}  // namespace promisqs_tool
