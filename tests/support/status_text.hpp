// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a failed check shows a status.

#include <promisqs/status.hpp>

#include <ostream>

namespace promisqs {

inline std::ostream& operator<<(std::ostream& out, status value) { return out << to_string(value); }

}  // namespace promisqs
