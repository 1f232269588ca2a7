// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inspect/queue_look.hpp"
#include "text/json.hpp"

namespace promisqs_tool {

/// What `show` has found, for programs.
[[nodiscard]] json json_of(const queue_look& seen);

}  // namespace promisqs_tool
