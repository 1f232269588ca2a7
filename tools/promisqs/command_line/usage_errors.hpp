// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_line/program.hpp"

#include <string>

namespace promisqs_tool {

/// What is wrong with the command's name, in a sentence; nothing if there is such a command, or none was typed.
[[nodiscard]] std::string unknown_command(const program& all, int count, const char* const* arguments);

/// What is wrong with a command line, in a sentence. Printable.
[[nodiscard]] std::string sentence_of(const CLI::ParseError& error, const CLI::App& app);

}  // namespace promisqs_tool
