// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace bench {

[[noreturn]] inline void throw_errno(const std::string& call) {
    throw std::system_error(errno, std::generic_category(), call);
}

/// A file descriptor, closed with this; or none.
class descriptor {
public:
    descriptor() = default;
    /// \param opened  what a system call has returned
    /// \param call    its name, for the error if it has failed
    descriptor(int opened, const std::string& call) : opened_(opened) {
        if (opened_ < 0) throw_errno(call);
    }
    descriptor(descriptor&& other) noexcept : opened_(std::exchange(other.opened_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(opened_, other.opened_);
        return *this;
    }
    ~descriptor() {
        if (opened_ >= 0) ::close(opened_);
    }

    [[nodiscard]] int get() const noexcept { return opened_; }

private:
    int opened_ = -1;
};

}  // namespace bench
