// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace promisqs_tool {

/// A number that this queue has, and no other: neither one of the same name that is created later, nor one of another
/// machine, or of this one after a restart.
///
/// \throws promisqs::queue_error  as the inspector
[[nodiscard]] std::uint64_t identity_of_queue(const std::string& name);

}  // namespace promisqs_tool
