// SPDX-License-Identifier: Apache-2.0

#include "system/output_file.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "text/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::uint64_t reserve_step = std::uint64_t{8} << 20;  // bytes; the system takes less than a millisecond
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::chrono::milliseconds patience{200};  // with a pipe's reader, after a signal

std::uint64_t largest_file() {
    std::signal(SIGXFSZ, SIG_IGN);  // NOLINT(cert-err33-c): writing then fails
    ::rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
    return limit.rlim_cur;
}

exit_code code_of(int why) {
    switch (why) {
        case EACCES:
        case EPERM:
        case EROFS: return exit_code::not_allowed;
        case ENOENT:
        case EISDIR:
        case ENOTDIR: return exit_code::wrong_use;
        default: return exit_code::broken;
    }
}

// A pipe with a name can be opened once it has a reader.
int open_to_write(const std::string& path, const std::string& shown) {
    constexpr ::mode_t mode = 0600;  // as private as a queue is, unless it says otherwise
    constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    for (;;) {
        const int descriptor = ::open(path.c_str(), flags, mode);
        struct ::stat found {};
        if (descriptor >= 0 || errno != ENXIO) return descriptor;
        const bool waits = ::stat(path.c_str(), &found) == 0 && S_ISFIFO(found.st_mode);
        errno = ENXIO;
        if (!waits) return -1;
        constexpr int pause = 20;  // milliseconds
        ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
        static_cast<void>(::poll(&interrupted, 1, pause));
        if (is_interrupted())
            throw failure(exit_code::done,
                          fmt::format("interrupted; the pipe {} had no reader, so nothing was done", shown));
    }
}

int open_file(const std::string& path, const std::string& shown, bool overwrite) {
    constexpr ::mode_t mode = 0600;  // as private as a queue is, unless it says otherwise
    int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, mode);
    if (descriptor < 0 && errno == EEXIST) {
        struct ::stat found {};
        const bool is_file = ::stat(path.c_str(), &found) != 0 || S_ISREG(found.st_mode);
        if (is_file && !overwrite) {
            throw failure(exit_code::wrong_use,
                          fmt::format("the file {} exists; give --force to write over it, or another name", shown));
        }
        descriptor = open_to_write(path, shown);
    }
    if (descriptor >= 0) return descriptor;
    const int why = errno;
    throw failure(code_of(why), fmt::format("the file {} can't be made: {}", shown, std::strerror(why)));
}

[[noreturn]] void raise_unwritten(const std::string& name, int why) {
    if (why == EPIPE) throw output_closed();
    throw failure(exit_code::broken, fmt::format("{} can't be written: {}", name, std::strerror(why)));
}

}  // namespace

output_file::output_file(const std::string& path, bool overwrite)
    : name_(path == "-" ? "standard output" : printable(path)), is_ours_(path != "-"), limit_(largest_file()) {
    descriptor_ = is_ours_ ? open_file(path, name_, overwrite) : STDOUT_FILENO;
    struct ::stat found {};
    is_on_disk_ = ::fstat(descriptor_, &found) == 0 && S_ISREG(found.st_mode);
    if (!is_on_disk_) return;
    const bool appends = (::fcntl(descriptor_, F_GETFL) & O_APPEND) != 0;
    begin_ =
        static_cast<std::uint64_t>(appends ? found.st_size : std::max<::off_t>(::lseek(descriptor_, 0, SEEK_CUR), 0));
    can_cut_ = begin_ >= static_cast<std::uint64_t>(found.st_size);
}

output_file::~output_file() {
    if (descriptor_ < 0) return;
    cut_back();
    if (is_ours_) ::close(descriptor_);
}

void output_file::reserve(std::uint64_t bytes) {
    if (!is_on_disk_) return;
    const std::uint64_t end = begin_ + size_;
    if (bytes > limit_ || end > limit_ - bytes) raise_unwritten(name_, EFBIG);
    if (end + bytes <= reserved_) return;
    for (const std::uint64_t step : {std::max(bytes, reserve_step), bytes}) {
        // The size stays: a program that is killed leaves no zeroes at the end.
        if (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, static_cast<::off_t>(end), static_cast<::off_t>(step)) == 0) {
            reserved_ = end + step;
            return;
        }
        if (errno != ENOSPC && errno != EDQUOT && errno != EFBIG) {  // the file system can't do it
            reserved_ = unlimited;
            return;
        }
    }
    raise_unwritten(name_, errno);
}

void output_file::write(std::span<const std::byte> bytes) {
    const std::uint64_t end = size_ + bytes.size();
    while (!bytes.empty()) {
        try {
            bytes = bytes.subspan(write_some(bytes));
        } catch (...) {
            cut_back();
            throw;
        }
    }
    size_ = end;
}

std::size_t output_file::write_some(std::span<const std::byte> bytes) {
    if (!is_on_disk_) {
        // A pipe that is writable takes so much, and does not block.
        constexpr std::size_t atom = 4096;
        bytes = bytes.first(std::min(bytes.size(), atom));
        wait_until_writable();
    }
    const auto written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR && errno != EAGAIN) raise_unwritten(name_, errno);
    return written < 0 ? 0 : static_cast<std::size_t>(written);
}

void output_file::wait_until_writable() {
    std::array<::pollfd, 2> looks{{{descriptor_, POLLOUT, 0}, {interruption_descriptor(), POLLIN, 0}}};
    for (;;) {
        int timeout = -1;
        if (is_interrupted()) {
            const auto now = std::chrono::steady_clock::now();
            if (!last_moment_) last_moment_ = now + patience;
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(*last_moment_ - now);
            timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
        }
        const ::nfds_t watched = last_moment_ ? 1 : 2;
        const int found = ::poll(looks.data(), watched, timeout);
        if (looks[0].revents != 0) return;
        if (found == 0 && last_moment_) {
            throw failure(
                exit_code::broken,
                fmt::format("{} can't be written: its reader does not read; the program was interrupted", name_));
        }
    }
}

void output_file::cut_back() const noexcept {
    if (!can_cut_) return;
    // It can't fail in a way that matters: readers stop at the last whole block.
    const auto end = static_cast<::off_t>(begin_ + size_);
    if (::ftruncate(descriptor_, end) == 0 && !is_ours_) static_cast<void>(::lseek(descriptor_, end, SEEK_SET));
}

void output_file::close() {
    cut_back();
    can_cut_ = false;  // what comes now, others write
    if (!is_ours_) return;
    if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) raise_unwritten(name_, errno);
}

}  // namespace promisqs_tool
