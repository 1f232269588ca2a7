// SPDX-License-Identifier: Apache-2.0

#include "system/output.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace promisqs_tool {

namespace {

bool is_set(const char* variable) {
    const char* const value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

bool is_file(int descriptor) {
    struct ::stat found {};
    return ::fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode);
}

}  // namespace

output::output(int descriptor)
    : descriptor_(descriptor),
      may_block_(!is_file(descriptor)),
      is_terminal_(::isatty(descriptor) == 1),
      is_coloured_(is_terminal_ && !is_set("NO_COLOR")) {}

// A reader that does not read must not keep the program from ending. A pipe that has room takes PIPE_BUF bytes.
void output::wait_for_room(std::size_t size) {
    if (!may_block_ || room_ >= size) return;
    std::array<::pollfd, 2> both{{{descriptor_, POLLOUT, 0}, {interruption_descriptor(), POLLIN, 0}}};
    while (::poll(both.data(), both.size(), -1) < 0 && errno == EINTR) {}
    if (both[0].revents == 0 && both[1].revents != 0) {
        buffer_.clear();
        throw output_closed();
    }
    room_ = PIPE_BUF;
}

void output::flush() {
    const char* next = buffer_.data();
    std::size_t left = buffer_.size();
    while (left > 0) {
        const std::size_t size = may_block_ ? std::min<std::size_t>(left, PIPE_BUF) : left;
        wait_for_room(size);
        const auto written = ::write(descriptor_, next, size);
        if (written < 0) {
            if (errno == EINTR) continue;
            const int why = errno;
            buffer_.clear();
            if (why == EPIPE) throw output_closed();
            throw failure(exit_code::broken, fmt::format("standard output can't be written: {}", std::strerror(why)));
        }
        next += written;
        left -= static_cast<std::size_t>(written);
        room_ -= std::min(room_, static_cast<std::size_t>(written));
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
