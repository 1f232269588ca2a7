// SPDX-License-Identifier: Apache-2.0

#include "text/table.hpp"

#include "text/text.hpp"

#include <algorithm>
#include <cstddef>

namespace promisqs_tool {

std::string table::text(const std::string& indent) const {
    constexpr std::size_t widest = 40;
    std::vector<std::vector<std::string>> lines(1);
    for (const column& one : columns_) lines[0].push_back(one.title);
    lines.insert(lines.end(), rows_.begin(), rows_.end());
    std::vector<std::size_t> widths(columns_.size());
    for (const auto& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::size_t columns = columns_of(line[i]);
            if (columns <= widest) widths[i] = std::max(widths[i], columns);
        }
    }
    std::string all;
    for (const auto& line : lines) {
        std::string text = indent;
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::size_t columns = columns_of(line[i]);
            const std::string gap(columns < widths[i] ? widths[i] - columns : 0, ' ');
            text += columns_[i].is_number ? gap + line[i] : line[i] + gap;
            text += "  ";
        }
        text.erase(text.find_last_not_of(' ') + 1);
        all += text + '\n';
    }
    return all;
}

}  // namespace promisqs_tool
