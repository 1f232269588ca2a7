// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_line/program.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// What --help shows: of the program, and of a command.
[[nodiscard]] std::string help_of(const program& all);
[[nodiscard]] std::string help_of(const command& one);

/// Commands that belong together.
struct command_group {
    std::string_view title;
    std::vector<const command*> commands;
};
/// All commands, each in one group.
[[nodiscard]] std::vector<command_group> groups_of(const program& all);

/// What the exit codes mean.
struct exit_meaning {
    int code;
    std::string_view meaning;
};
[[nodiscard]] const std::vector<exit_meaning>& exit_meanings();

/// The text in lines of at most so many columns. Each line begins with so many spaces, but the first one.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

}  // namespace promisqs_tool
