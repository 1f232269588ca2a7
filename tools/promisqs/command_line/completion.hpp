// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_line/program.hpp"

#include <string>

namespace promisqs_tool {

// Scripts that make shells complete the program's commands, options, and the names of queues.
[[nodiscard]] std::string bash_completion(const program& all);
[[nodiscard]] std::string zsh_completion(const program& all);
[[nodiscard]] std::string fish_completion(const program& all);

}  // namespace promisqs_tool
