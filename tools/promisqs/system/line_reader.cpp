// SPDX-License-Identifier: Apache-2.0

#include "system/line_reader.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::size_t first_buffer = std::size_t{1} << 16;

// Until there is something to read, or the program is to end.
void wait_for_input(int descriptor) {
    std::array<::pollfd, 2> both{{{descriptor, POLLIN, 0}, {interruption_descriptor(), POLLIN, 0}}};
    while (::poll(both.data(), both.size(), -1) < 0 && errno == EINTR && !is_interrupted()) {}
}

}  // namespace

line_reader::line_reader(int descriptor, std::string name, std::size_t longest)
    : descriptor_(descriptor), name_(std::move(name)), longest_(longest), buffer_(first_buffer) {}

std::optional<std::string_view> line_reader::next() {
    for (;;) {
        const void* const found = std::memchr(buffer_.data() + searched_, '\n', end_ - searched_);
        if (found != nullptr) {
            const auto end = static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
            return take(end, end + 1);
        }
        searched_ = end_;
        if (at_end_ || !read_more()) break;
    }
    if (!at_end_ || begin_ == end_) return std::nullopt;
    return take(end_, end_);
}

std::string_view line_reader::take(std::size_t size, std::size_t end) {
    const std::string_view line(buffer_.data() + begin_, size - begin_);
    begin_ = searched_ = end;
    ++number_;
    return line;
}

void line_reader::make_room() {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    searched_ -= begin_;
    begin_ = 0;
    if (end_ < buffer_.size() / 2) return;
    if (end_ >= longest_) {
        throw failure(exit_code::wrong_use,
                      fmt::format("{}, line {}: expected less than {} bytes, found more; write each message "
                                  "on a line of its own",
                                  name_, number_ + 1, longest_));
    }
    buffer_.resize(2 * buffer_.size());
}

// False: the program is to end.
bool line_reader::read_more() {
    if (end_ == buffer_.size()) make_room();
    wait_for_input(descriptor_);
    if (is_interrupted()) return false;
    const auto size = ::read(descriptor_, buffer_.data() + end_, buffer_.size() - end_);
    if (size < 0) {
        if (errno == EINTR || errno == EAGAIN) return true;
        throw failure(exit_code::broken,
                      fmt::format("{} can't be read: {}; give another file", name_, std::strerror(errno)));
    }
    at_end_ = size == 0;
    end_ += static_cast<std::size_t>(size);
    return true;
}

}  // namespace promisqs_tool
