// SPDX-License-Identifier: Apache-2.0

#include "system/output.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

// Of a descriptor that does not wait: some other program has set it so.
void wait_for_room(int descriptor) {
    std::array<::pollfd, 2> both{{{descriptor, POLLOUT, 0}, {interruption_descriptor(), POLLIN, 0}}};
    while (::poll(both.data(), both.size(), -1) < 0 && errno == EINTR) {}
    if (both[0].revents == 0) throw output_interrupted();
}

}  // namespace

output::output(int descriptor)
    : descriptor_(descriptor),
      is_terminal_(::isatty(descriptor) == 1),
      is_coloured_(is_terminal_ && !is_set("NO_COLOR")) {}

void output::flush() {
    const char* next = buffer_.data();
    std::size_t left = buffer_.size();
    buffer_.clear();  // what can't be written now is not tried again; the bytes stay where they are
    while (left > 0) {
        const auto written = ::write(descriptor_, next, left);
        if (written >= 0) {
            next += written;
            left -= static_cast<std::size_t>(written);
            continue;
        }
        switch (errno) {
            case EINTR:
                if (is_interrupted()) throw output_interrupted();
                break;
            case EAGAIN: wait_for_room(descriptor_); break;
            case EPIPE: throw output_closed();
            default:
                throw failure(exit_code::broken,
                              fmt::format("standard output can't be written: {}. Nothing more is written to it",
                                          std::strerror(errno)));
        }
    }
}

std::size_t output::width() const {
    ::winsize size{};
    if (is_terminal_ && ::ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    std::size_t columns = 80;
    if (const char* const text = std::getenv("COLUMNS")) std::from_chars(text, text + std::strlen(text), columns);
    return std::clamp<std::size_t>(columns, 20, 1000);
}

output& standard_output() {
    static output only(STDOUT_FILENO);
    return only;
}

}  // namespace promisqs_tool
