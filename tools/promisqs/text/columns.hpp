// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// Takes over what the environment says of characters (LC_ALL, LC_CTYPE, LANG). To be called before what follows.
void use_locale();

/// Whether the terminal shows UTF-8.
[[nodiscard]] bool has_utf8();

/// The printable text in exactly so many columns: cut, or with spaces behind it. Characters that take two columns, or
/// none, count as that many.
[[nodiscard]] std::string to_the_left(std::string_view text, std::size_t columns);

/// The same, with spaces before it.
[[nodiscard]] std::string to_the_right(std::string_view text, std::size_t columns);

/// As many columns of the text as there is room for.
[[nodiscard]] std::string cut(std::string_view text, std::size_t columns);

/// How many columns the printable text takes on this terminal.
[[nodiscard]] std::size_t shown_columns(std::string_view text);

}  // namespace promisqs_tool
