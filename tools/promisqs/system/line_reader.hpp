// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// Lines of a file, or of what another program writes, as soon as they are there.
class line_reader {
public:
    /// \param descriptor  stays the caller's
    /// \param name        for errors
    /// \param longest     line, in bytes
    line_reader(int descriptor, std::string name, std::size_t longest);

    /// The next line, without its end, until the next call. Waits for it. A last line needs no end.
    ///
    /// \return         nothing: there are no more, or the program is to end (`is_interrupted`)
    /// \throws failure it can't be read, or a line is longer than that
    [[nodiscard]] std::optional<std::string_view> next();

    /// The number of the last line, counted from 1.
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

private:
    bool read_more();
    void make_room();
    [[nodiscard]] std::string_view take(std::size_t size, std::size_t end);

    int descriptor_;
    std::string name_;
    std::size_t longest_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;     // of what has not been returned
    std::size_t searched_ = 0;  // there is no end of a line before this
    std::size_t end_ = 0;
    bool at_end_ = false;
    std::uint64_t number_ = 0;
};

}  // namespace promisqs_tool
