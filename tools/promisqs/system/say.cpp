// SPDX-License-Identifier: Apache-2.0

#include "system/say.hpp"

#include "system/interruption.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace promisqs_tool {

void write_error(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0) {
            if (errno != EINTR || is_interrupted()) return;
            continue;
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace promisqs_tool
