// SPDX-License-Identifier: Apache-2.0

#include "output.hpp"

#include "exit_code.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace promisqs_tool {

namespace {

bool is_set(const char* variable) {
    const char* const value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

}  // namespace

output::output(int descriptor)
    : descriptor_(descriptor),
      is_terminal_(::isatty(descriptor) == 1),
      is_coloured_(is_terminal_ && !is_set("NO_COLOR")) {}

void output::flush() {
    const char* next = buffer_.data();
    std::size_t left = buffer_.size();
    while (left > 0) {
        const auto written = ::write(descriptor_, next, left);
        if (written < 0) {
            if (errno == EINTR) continue;
            const int why = errno;
            buffer_.clear();
            if (why == EPIPE) throw output_closed();
            throw failure(exit_code::broken, fmt::format("standard output can't be written: {}", std::strerror(why)));
        }
        next += written;
        left -= static_cast<std::size_t>(written);
    }
    buffer_.clear();
}

std::size_t output::width() const {
    ::winsize size{};
    if (is_terminal_ && ::ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    std::size_t columns = 80;
    if (const char* const text = std::getenv("COLUMNS")) std::from_chars(text, text + std::strlen(text), columns);
    return columns;
}

output& standard_output() {
    static output only(STDOUT_FILENO);
    return only;
}

}  // namespace promisqs_tool
