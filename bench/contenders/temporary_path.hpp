// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

namespace bench {

/// Where a contender that needs a name in the file system has it: among the shared memory objects, so that whoever
/// cleans up after a segment has cleaned up after such a contender too.
inline std::string path_of(const std::string& segment) { return "/dev/shm/" + segment; }

/// A path that is removed with this, unless that happens in a child of the process that made it.
class temporary_path {
public:
    explicit temporary_path(std::string path) : path_(std::move(path)), owner_(::getpid()) {}
    temporary_path(temporary_path&& other) noexcept
        : path_(std::move(other.path_)), owner_(std::exchange(other.owner_, 0)) {}
    temporary_path& operator=(temporary_path&&) = delete;
    ~temporary_path() {
        if (owner_ == ::getpid()) ::unlink(path_.c_str());
    }

    [[nodiscard]] const std::string& get() const noexcept { return path_; }

private:
    std::string path_;
    ::pid_t owner_;
};

}  // namespace bench
