// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "top/rows.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace promisqs_tool {

/// How wide each column of `top` is; 0: there is no room for it.
struct top_layout {
    std::size_t name = 0;
    std::size_t in = 0;
    std::size_t out = 0;
    std::size_t bar = 0;
    std::size_t trace = 0;
    std::size_t size = 0;
    std::size_t users = 0;
};

/// \param columns       of the terminal
/// \param longest_name  in columns
[[nodiscard]] top_layout layout_for(std::size_t columns, std::size_t longest_name);

/// What is above all: how many queues, and their totals.
[[nodiscard]] std::string top_summary(const std::vector<const top_row*>& rows);

/// The names of the columns.
[[nodiscard]] std::string top_heading(const top_layout& widths);

/// A queue's line, and a second one if there is something to say of it. None is wider than the terminal.
[[nodiscard]] std::vector<std::string> top_lines(const top_row& row, const top_layout& widths, std::size_t columns);

/// The same, as wide as the longest names need.
[[nodiscard]] top_layout layout_for(std::size_t columns, const std::vector<const top_row*>& rows);

}  // namespace promisqs_tool
