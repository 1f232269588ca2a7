// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values out of JSON, into a message. Each function returns whether the value fits; if not, what is there is left as it
// is, or begun.

#include "codec/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// \param bits  of a negative number, its two's complement
[[nodiscard]] bool store_integer(value_form form, std::byte* at, bool is_negative, std::uint64_t bits);

/// \param digits  a number that is no integer, or larger than 64 bits
[[nodiscard]] bool store_number(value_form form, std::byte* at, const std::string& digits);

[[nodiscard]] bool store_string(const plan_node& field, std::byte* at, std::string_view text);

/// \param digits  of a text that is no UTF-8
[[nodiscard]] bool store_hex_text(const plan_node& field, std::byte* at, std::string_view digits);

/// What fits into one value of a field, for an error's text.
[[nodiscard]] std::string expected_of(const plan_node& field);

}  // namespace promisqs_tool
