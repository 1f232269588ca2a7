// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace promisqs_tool {

/// The text as one word of a shell's command line, fit for a terminal, so that advice can be pasted whatever a name
/// holds: as it is, in '...', or in $'...'.
[[nodiscard]] std::string shell_word(std::string_view text);

/// Of a queue of this name.
[[nodiscard]] inline std::string path_of_queue(std::string_view name) { return "/dev/shm/" + std::string(name); }

/// A queue's name as an argument of this program: behind `--` if it would be taken for an option.
[[nodiscard]] inline std::string queue_argument(std::string_view name) {
    return (name.starts_with('-') ? "-- " : "") + shell_word(name);
}

}  // namespace promisqs_tool
