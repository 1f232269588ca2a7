// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/color.h>
#include <fmt/format.h>

#include <cstddef>
#include <exception>
#include <iterator>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// No more can be written to standard output: its reader has gone. There is nobody to tell, so the program ends without
/// a word.
class output_closed : public std::exception {};

/// No more can be written to standard output: its reader does not read, and the program is to end.
class output_interrupted : public output_closed {};

/// Standard output, buffered.
class output {
public:
    /// \param descriptor  stays the caller's
    explicit output(int descriptor);
    output(const output&) = delete;
    output& operator=(const output&) = delete;
    ~output() = default;

    template <class... Arguments>
    void print(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
        fmt::format_to(std::back_inserter(buffer_), text, std::forward<Arguments>(arguments)...);
        flush_if_long();
    }
    void write(std::string_view text) {
        buffer_.append(text.data(), text.data() + text.size());
        flush_if_long();
    }
    /// For what is written in pieces. `flush_if_long`, or `flush`, is to be called then.
    [[nodiscard]] fmt::memory_buffer& buffer() noexcept { return buffer_; }

    void flush_if_long() {
        if (buffer_.size() >= long_buffer) flush();
    }
    /// \throws output_closed       the reader has gone
    /// \throws output_interrupted  the reader does not read, and the program is to end
    /// \throws failure             it can't be written, because a disk is full, for instance
    void flush();

    [[nodiscard]] bool is_terminal() const noexcept { return is_terminal_; }
    /// The text in this style, if colours are wanted: on a terminal, unless NO_COLOR is set.
    [[nodiscard]] std::string styled(const fmt::text_style& style, std::string_view text) const {
        return is_coloured_ ? fmt::format(style, "{}", text) : std::string(text);
    }
    /// Columns of the terminal; elsewhere 80, or what COLUMNS says, within reason.
    [[nodiscard]] std::size_t width() const;

private:
    static constexpr std::size_t long_buffer = std::size_t{1} << 16;

    int descriptor_;
    bool is_terminal_;
    bool is_coloured_;
    fmt::memory_buffer buffer_;
};

/// Of the process. What is left in it when the program ends is written.
[[nodiscard]] output& standard_output();

}  // namespace promisqs_tool
