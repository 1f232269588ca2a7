// SPDX-License-Identifier: Apache-2.0

#include "../commands.hpp"

namespace promisqs_tool {

void add_top(program& all) { static_cast<void>(all); }

}  // namespace promisqs_tool
