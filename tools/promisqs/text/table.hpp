// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace promisqs_tool {

/// Text in aligned columns, for people.
class table {
public:
    struct column {
        std::string title;
        bool is_number = false;  ///< numbers stand at the right
    };

    explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

    /// Printable texts, one for each column.
    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

    /// All lines, each with its end. A text of more than 40 columns of the terminal makes its own line longer, not the
    /// others.
    [[nodiscard]] std::string text(const std::string& indent = {}) const;

private:
    std::vector<column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace promisqs_tool
