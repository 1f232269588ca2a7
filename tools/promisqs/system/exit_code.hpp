// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace promisqs_tool {

/// How the program ends.
enum class exit_code : int {
    done = 0,
    answer_is_no = 1,  ///< nothing to pop, no room, problems found
    wrong_use = 2,     ///< of the command line, or input that does not fit
    no_such_queue = 3,
    not_allowed = 4,
    broken = 5  ///< anything else
};

/// Ends the program with this exit code, after this sentence on standard error.
class failure : public std::runtime_error {
public:
    failure(exit_code code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}

    [[nodiscard]] exit_code code() const noexcept { return code_; }

private:
    exit_code code_;
};

}  // namespace promisqs_tool
