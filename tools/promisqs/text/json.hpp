// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace promisqs_tool {

/// With its members in the order in which they were added.
using json = nlohmann::ordered_json;

/// One line, without its end. What is no UTF-8 in a foreign text is replaced.
[[nodiscard]] inline std::string line_of(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace promisqs_tool
