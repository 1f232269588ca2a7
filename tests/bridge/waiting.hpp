// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <string_view>

namespace promisqs_test {

[[nodiscard]] inline bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// Waits for something that another process does, for a minute at most.
template <class Condition>
bool wait_until(Condition holds) {
    for (int looks = 0; looks < 100 * 60 && !holds(); ++looks) ::poll(nullptr, 0, 10);
    return holds();
}

}  // namespace promisqs_test
