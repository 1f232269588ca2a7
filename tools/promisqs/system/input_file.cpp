// SPDX-License-Identifier: Apache-2.0

#include "system/input_file.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "text/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace promisqs_tool {

namespace {

constexpr std::size_t read_ahead = std::size_t{1} << 18;

[[noreturn]] void raise_unreadable(const std::string& name, int why) {
    const exit_code code = why == EACCES || why == EPERM                      ? exit_code::not_allowed
                           : why == ENOENT || why == EISDIR || why == ENOTDIR ? exit_code::wrong_use
                                                                              : exit_code::broken;
    throw failure(code, fmt::format("the recording {} can't be read: {}", name, std::strerror(why)));
}

// False: a signal came first.
bool wait_until_readable(int descriptor) {
    std::array<::pollfd, 2> looks{{{descriptor, POLLIN, 0}, {interruption_descriptor(), POLLIN, 0}}};
    while (!is_interrupted()) {
        if (::poll(looks.data(), looks.size(), -1) > 0 && looks[0].revents != 0) return true;
    }
    return false;
}

}  // namespace

int open_to_read(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    struct ::stat found {};
    if (descriptor >= 0 && ::fstat(descriptor, &found) == 0 && S_ISDIR(found.st_mode)) {
        ::close(descriptor);
        errno = EISDIR;
        return -1;
    }
    return descriptor;
}

input_file::input_file(const std::string& path)
    : name_(path == "-" ? "on standard input" : printable(path)),
      is_ours_(path != "-"),
      descriptor_(is_ours_ ? open_to_read(path) : STDIN_FILENO) {
    if (descriptor_ < 0) raise_unreadable(name_, errno);
    struct ::stat found {};
    is_on_disk_ = ::fstat(descriptor_, &found) == 0 && S_ISREG(found.st_mode);
    // Only what was opened here can be read again from its beginning.
    if (is_on_disk_ && !is_ours_) is_on_disk_ = ::lseek(descriptor_, 0, SEEK_CUR) == 0;
    ahead_.resize(read_ahead);
}

input_file::~input_file() {
    if (is_ours_) ::close(descriptor_);
}

std::size_t input_file::read(std::span<std::byte> bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        if (next_ == end_) {
            const auto rest = bytes.subspan(done);
            if (rest.size() >= ahead_.size()) {
                const std::size_t size = read_some(rest);
                if (size == 0) break;
                done += size;
                continue;
            }
            next_ = 0;
            end_ = read_some(ahead_);
            if (end_ == 0) break;
        }
        const std::size_t size = std::min(bytes.size() - done, end_ - next_);
        std::memcpy(bytes.data() + done, ahead_.data() + next_, size);
        next_ += size;
        done += size;
    }
    return done;
}

std::size_t input_file::read_some(std::span<std::byte> bytes) const {
    for (;;) {
        if (!is_on_disk_ && !wait_until_readable(descriptor_)) return 0;
        const auto size = ::read(descriptor_, bytes.data(), bytes.size());
        if (size >= 0) return static_cast<std::size_t>(size);
        if (errno != EINTR && errno != EAGAIN) raise_unreadable(name_, errno);
    }
}

void input_file::rewind() {
    next_ = end_ = 0;
    if (::lseek(descriptor_, 0, SEEK_SET) != 0) raise_unreadable(name_, errno);
}

}  // namespace promisqs_tool
