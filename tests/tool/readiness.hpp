// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>

namespace promisqs_test {

/// Waits until the program handles signals, which is when it has a second thread; for a minute at most.
inline bool comes_to_handle_signals(::pid_t process) {
    for (int looks = 0; looks < 1000 * 60; ++looks) {
        std::error_code error;
        const std::filesystem::directory_iterator threads("/proc/" + std::to_string(process) + "/task", error);
        if (!error && std::distance(begin(threads), end(threads)) > 1) return true;
        ::poll(nullptr, 0, 1);
    }
    return false;
}

}  // namespace promisqs_test
