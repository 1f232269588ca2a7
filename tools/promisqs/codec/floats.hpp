// SPDX-License-Identifier: Apache-2.0
#pragma once

// Floating-point numbers as JSON, each to be read back as the same bits. JSON has no number for some of them.

#include "codec/plan.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// Appends the shortest number that reads back as these bits; or "NaN", "Infinity", "-Infinity", "NaN:0x…" as a string.
///
/// \param form  f16, bf16, f32 or f64
void append_float(fmt::memory_buffer& to, value_form form, std::uint64_t bits);

/// Reads a number. What is between two values becomes the nearest one.
///
/// \param digits  as JSON writes numbers
/// \return        whether the format has it; false: it is too large
[[nodiscard]] bool read_float(value_form form, const std::string& digits, std::uint64_t& bits);

/// Reads what `append_float` writes as a string.
[[nodiscard]] bool read_special_float(value_form form, std::string_view text, std::uint64_t& bits);

}  // namespace promisqs_tool
