// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace promisqs_tool {

/// Writes the text to standard error. If that can't be written, or nobody reads it and the program is to end, the text
/// is lost: there is no other place for it.
void write_error(std::string_view text) noexcept;

/// As `fmt::print(stderr, …)`, which throws where standard error can't be written, and waits for ever for a reader that
/// does not read.
template <class... Arguments>
void say(fmt::format_string<Arguments...> text, Arguments&&... arguments) noexcept {
    try {
        write_error(fmt::format(text, std::forward<Arguments>(arguments)...));
    } catch (...) {  // there is no memory
        write_error("promisqs: there is not enough memory\n");
    }
}

}  // namespace promisqs_tool
