// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace promisqs_tool {

/// Text in aligned columns, for people.
class table {
public:
    struct column {
        std::string title;
        bool is_number = false;  ///< numbers stand at the right
        int spared = 0;          ///< where there is no room: 0: never; the larger, the sooner
    };

    explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

    /// Printable texts, one for each column.
    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

    /// All lines, each with its end. A text of more than 40 columns of the terminal makes its own line longer, not the
    /// others.
    ///
    /// \param room  columns of the terminal; columns of the table that can be spared are left out to fit
    [[nodiscard]] std::string text(const std::string& indent = {},
                                   std::size_t room = std::numeric_limits<std::size_t>::max()) const;

private:
    // Which columns of the table fit.
    [[nodiscard]] std::vector<bool> shown(const std::vector<std::size_t>& widths, std::size_t room) const;

    std::vector<column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace promisqs_tool
