// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// What has happened while a screen waited.
enum class screen_event { time_is_over, key, resized, interrupted };

enum class key { none, up, down, page_up, page_down, character };

/// The whole terminal: another screen than the shell's, without a cursor, and keys that arrive at once. The terminal is
/// given back as it was when the object goes; when a signal ends the program; and while it is stopped by SIGTSTP.
/// After SIGKILL it is not: `reset` helps then. There may be one at a time.
class terminal_screen {
public:
    terminal_screen();
    terminal_screen(const terminal_screen&) = delete;
    terminal_screen& operator=(const terminal_screen&) = delete;
    ~terminal_screen();

    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }

    /// Shows these lines, none wider than the screen, and writes only those that have changed.
    void show(const std::vector<std::string>& lines);

    /// Waits for a key, another size, an interruption, or until the time is over.
    [[nodiscard]] screen_event wait(int milliseconds);

    /// The next key that was pressed.
    ///
    /// \param character  is assigned what was typed, if that is one character of ASCII
    [[nodiscard]] key next_key(char& character);

private:
    void measure();
    void stop_and_go_on();

    std::size_t columns_ = 80;
    std::size_t rows_ = 24;
    std::vector<std::string> shown_;
    std::string typed_;
};

}  // namespace promisqs_tool
