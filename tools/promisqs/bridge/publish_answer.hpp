// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace promisqs_tool {

/// What a stream answers to a message.
struct publish_answer {
    bool is_stored = false;
    bool is_duplicate = false;  ///< it had it already
    int error = 0;              ///< one of `jsErrCode`; 0: none
    std::string why;            ///< it is not stored; printable
};

/// Reads an answer.
///
/// \param stream  that is to have the message
[[nodiscard]] publish_answer read_answer(std::string_view text, std::string_view stream);

}  // namespace promisqs_tool
