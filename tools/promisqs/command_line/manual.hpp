// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_line/program.hpp"

#include <string>

namespace promisqs_tool {

/// The manual page, promisqs(1), for `man`.
[[nodiscard]] std::string manual_page(const program& all);

}  // namespace promisqs_tool
