// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// The text, fit for a terminal: what is no printable character of UTF-8 is shown as `\xNN`, and a backslash as `\\`.
/// Names and schemas come from shared memory, and may hold anything.
[[nodiscard]] std::string printable(std::string_view text);

/// Whether a terminal shows all of the text, and obeys none of it. Other than with `printable`, a backslash is nothing
/// special.
[[nodiscard]] bool is_printable(std::string_view text);

/// How many columns of a terminal the text takes, which is printable.
[[nodiscard]] std::size_t columns_of(std::string_view text);

/// "1 message", "17 messages".
[[nodiscard]] std::string count_of(std::uint64_t number, std::string_view what);

/// "17", "1.2 k", "34 M": at most three digits.
[[nodiscard]] std::string short_count(std::uint64_t number);

/// "512 B", "34.3 KiB".
[[nodiscard]] std::string short_bytes(std::uint64_t bytes);

/// "350 ns", "1.2 s", "3 h".
[[nodiscard]] std::string short_time(std::chrono::nanoseconds time);

/// Two hexadecimal digits a byte.
[[nodiscard]] std::string hexadecimal(std::span<const std::byte> bytes);

}  // namespace promisqs_tool
