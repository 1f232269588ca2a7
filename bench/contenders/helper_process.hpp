// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace bench {

/// A program that a contender needs to be running, such as a message broker. Ended, by its id, with this, or with its
/// parent.
class helper_process {
public:
    /// \param command   the program, looked for in PATH, and its arguments
    /// \param expected  a part of the line of its output that says that it is ready
    /// \par Blocks      until it has said so, ten seconds at most
    /// \par Throws      `std::runtime_error`: it could not be started, or ended, or has not said so
    helper_process(const std::vector<std::string>& command, const std::string& expected);
    ~helper_process();
    helper_process(const helper_process&) = delete;
    helper_process& operator=(const helper_process&) = delete;

    /// The line that said it.
    [[nodiscard]] const std::string& ready_line() const noexcept { return ready_line_; }

private:
    ::pid_t owner_;
    ::pid_t pid_;
    std::string ready_line_;
};

}  // namespace bench
