// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/json_writer.hpp"
#include "codec/text_columns.hpp"

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// How messages are shown.
enum class message_format { columns, json, hex };

/// Adds the options that choose it.
void add_format_options(CLI::App& to, message_format& chosen);

/// Shows messages on standard output, with their numbers.
class message_printer {
public:
    /// \param with_states  in columns, there is one for what has become of the message
    message_printer(message_format format, const plan_found& found, bool with_states);

    /// \param message  nothing: there is none. Then only columns have a line for it
    void print(std::uint64_t number, std::string_view state, std::span<const std::byte> message);

    /// Writes what was printed.
    void flush();

private:
    void write_lines();

    message_format format_;
    bool with_states_;
    json_writer writer_;
    text_columns columns_;
};

}  // namespace promisqs_tool
