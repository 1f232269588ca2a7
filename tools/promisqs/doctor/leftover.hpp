// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace promisqs_tool {

/// Removes what is left of a queue whose creator died, if it still is that, and nobody builds a queue of it.
///
/// \return  whether it was removed
[[nodiscard]] bool remove_leftover(const std::string& name);

}  // namespace promisqs_tool
