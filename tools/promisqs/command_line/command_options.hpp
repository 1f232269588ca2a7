// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace promisqs_tool {

/// An option or argument of a command, as help, manual page and completions need it.
struct command_option {
    std::vector<std::string> names;    ///< "-n", "--count"; of an argument: "NAME"
    std::string value;                 ///< what stands for its value, such as "N"; empty: it takes none
    std::vector<std::string> choices;  ///< the values that it can have, if they are listed
    std::string description;
    bool is_argument;  ///< it has no name to be typed
    bool is_required;
    bool is_repeated;  ///< it can be given several times
};

/// Those of a command that are not hidden, the arguments first.
[[nodiscard]] std::vector<command_option> options_of(const CLI::App& app);

/// "promisqs create [OPTIONS] NAME".
[[nodiscard]] std::string usage_of(const CLI::App& app);

}  // namespace promisqs_tool
