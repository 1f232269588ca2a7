// SPDX-License-Identifier: Apache-2.0

#include "text/table.hpp"

#include "text/text.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace promisqs_tool {

std::vector<bool> table::shown(const std::vector<std::size_t>& widths, std::size_t room) const {
    std::vector<bool> result(columns_.size(), true);
    for (;;) {
        std::size_t width = 0;
        std::size_t next = 0;  // to be left out
        int most = 0;
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            if (!result[i]) continue;
            width += widths[i] + (width == 0 ? 0 : 2);
            if (columns_[i].spared > most) {
                most = columns_[i].spared;
                next = i;
            }
        }
        if (width <= room || most == 0) return result;
        result[next] = false;
    }
}

std::string table::text(const std::string& indent, std::size_t room) const {
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
    const std::vector<bool> is_shown = shown(widths, room);
    std::string all;
    for (const auto& line : lines) {
        std::string text = indent;
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (!is_shown[i]) continue;
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
