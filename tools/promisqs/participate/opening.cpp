// SPDX-License-Identifier: Apache-2.0

// The locks of a queue's file that tell who uses it, by the rules of lifecycle/open.hpp.

#include "participate/opening.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "text/shell.hpp"
#include "text/text.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/error.hpp>
#include <promisqs/inspector.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace promisqs_tool {

namespace {

namespace layout = promisqs::detail::layout;
namespace os = promisqs::detail::os;

constexpr int looks = 100;
constexpr int pause = 10;  // milliseconds

[[noreturn]] void raise_interrupted(const std::string& name) {
    throw failure(exit_code::done,
                  fmt::format("queue \"{}\": interrupted before it was opened; nothing was done", printable(name)));
}

[[noreturn]] void raise_busy(const std::string& name) {
    throw failure(exit_code::broken,
                  fmt::format("queue \"{}\": a process is building it, or ending it, and has not finished. If it is "
                              "stopped, let it go on, or end it: fuser -v {} shows it",
                              printable(name), shell_word(path_of_queue(name))));
}

void pause_for_others(const std::string& name) {
    ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
    static_cast<void>(::poll(&interrupted, 1, pause));
    if (is_interrupted()) raise_interrupted(name);
}

// -1: there is none, or it can't be opened, as errno says.
int open_file(const std::string& name) {
    if (name.find('/') != std::string::npos) {  // no queue has such a name
        errno = ENOENT;
        return -1;
    }
    return os::above_standard(::open(path_of_queue(name).c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

bool leads_to(const std::string& path, int file) {
    struct ::stat named {};
    return ::lstat(path.c_str(), &named) == 0 && os::is_file(file, named);
}

void close_file(int& file) {
    if (file >= 0) os::close(std::exchange(file, -1));
}

bool is_queue(int file) {
    std::uint64_t word = 0;
    if (!os::is_regular(file)) return false;
    if (os::size_of(file) == 0) return true;  // what is left of one
    return os::read_word(file, word) && (word == layout::magic || word == layout::unfinished_magic);
}

[[noreturn]] void raise_unopened(const std::string& name, int why) {
    if (why == ENOENT)
        throw failure(exit_code::no_such_queue, fmt::format("queue \"{}\": there is none any more", printable(name)));
    if (why == EACCES || why == EPERM)
        throw failure(exit_code::not_allowed,
                      fmt::format("queue \"{}\": this user may not write to it; ask its owner", printable(name)));
    throw failure(exit_code::broken,
                  fmt::format("queue \"{}\" can't be opened: {}", printable(name), std::strerror(why)));
}

}  // namespace

void wait_until_unlocked(const std::string& name) {
    std::optional<promisqs::inspector> from;
    try {
        from.emplace(name);
    } catch (const promisqs::queue_error&) {
        return;  // what comes next will say why
    }
    for (int i = 0; i < looks; ++i) {
        if (is_interrupted()) raise_interrupted(name);
        if (!from->look().locked || !from->is_named()) return;
        pause_for_others(name);
    }
    raise_busy(name);
}

users_lock::users_lock(const std::string& name) : path_(path_of_queue(name)) {
    wait_until_unlocked(name);
    for (int i = 0; i < looks; ++i) {
        file_ = open_file(name);
        if (file_ < 0) return;
        if (!os::is_regular(file_)) {
            close_file(file_);
            return;
        }
        const bool is_locked = os::lock_byte(file_, layout::users_byte, os::lock_kind::shared) == 0;
        if (is_locked && holds_named()) return;
        close_file(file_);  // its last user has removed it, or is about to
        if (!is_locked) pause_for_others(name);
    }
    raise_busy(name);
}

users_lock::users_lock(users_lock&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

users_lock& users_lock::operator=(users_lock&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(file_, other.file_);
    return *this;
}

users_lock::~users_lock() { close_file(file_); }

bool users_lock::holds_named() const { return file_ >= 0 && leads_to(path_, file_); }

std::optional<unused_queue> unused_queue::hold(const std::string& name) {
    for (int i = 0; i < looks; ++i) {
        unused_queue held(name);
        if (held.lock()) return held;
        if (held.is_used_) return std::nullopt;
        pause_for_others(name);
    }
    raise_busy(name);
}

unused_queue::unused_queue(const std::string& name) : name_(name), path_(path_of_queue(name)), file_(open_file(name)) {
    if (file_ < 0) raise_unopened(name, errno);
}

unused_queue::unused_queue(unused_queue&& other) noexcept
    : name_(std::move(other.name_)),
      path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      is_used_(other.is_used_) {}

unused_queue::~unused_queue() { close_file(file_); }

// False: a process uses it; or another one builds it, ends it, or has removed its name.
bool unused_queue::lock() {
    if (!is_queue(file_)) {
        close_file(file_);
        throw failure(exit_code::broken, fmt::format("\"{}\" is no queue any more", printable(name_)));
    }
    if (os::lock_byte(file_, layout::initialising_byte, os::lock_kind::exclusive) != 0) return false;
    if (!leads_to(path_, file_)) return false;
    if (os::lock_byte(file_, layout::users_byte, os::lock_kind::exclusive) == 0) return true;
    static_cast<void>(os::lock_byte(file_, layout::initialising_byte, os::lock_kind::none));
    // The last user may have left just now, and rely on us, who had the other lock.
    is_used_ = os::byte_is_locked(file_, layout::users_byte);
    return false;
}

void unused_queue::remove() {
    if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return;
    const exit_code code = errno == EACCES || errno == EPERM ? exit_code::not_allowed : exit_code::broken;
    throw failure(
        code, fmt::format("queue \"{}\" can't be removed: {}; ask its owner", printable(name_), std::strerror(errno)));
}

}  // namespace promisqs_tool
