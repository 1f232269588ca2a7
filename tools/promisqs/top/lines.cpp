// SPDX-License-Identifier: Apache-2.0

#include "top/lines.hpp"

#include "text/columns.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string_view>

namespace promisqs_tool {

namespace {

constexpr std::size_t least_name = 10;
constexpr std::size_t most_name = 40;
constexpr std::size_t most_bar = 20;

std::string rate_text(const std::optional<double>& rate) {
    return rate ? short_count(static_cast<std::uint64_t>(std::llround(*rate))) : "-";
}

std::string bar_of(double fraction, std::size_t width) {
    const double part = std::clamp(fraction, 0.0, 1.0);
    if (!has_utf8()) {
        const auto filled = static_cast<std::size_t>(std::ceil(part * static_cast<double>(width)));
        return std::string(filled, '#') + std::string(width - filled, '.');
    }
    static constexpr std::array<std::string_view, 9> eighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    auto left = static_cast<std::size_t>(std::ceil(part * 8 * static_cast<double>(width)));
    std::string text;
    for (std::size_t i = 0; i < width; ++i) {
        const std::size_t here = std::min<std::size_t>(left, 8);
        text += here == 0 ? "·" : eighths[here];
        left -= here;
    }
    return text;
}

std::string trace_of(const minute_trace& trace, std::size_t width) {
    static constexpr std::array<std::string_view, 10> blocks{" ", "_", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static constexpr std::string_view letters = " _.:-=+*#@";
    std::string text;
    for (std::size_t i = 0; i < width; ++i) {
        const unsigned level = trace.level(i, width);
        text += has_utf8() ? blocks[level] : letters.substr(level, 1);
    }
    return text;
}

// Columns that have no room are left out.
class line_of_columns {
public:
    void left(std::string_view text, std::size_t width) {
        if (width > 0) next() += to_the_left(text, width);
    }
    void right(std::string_view text, std::size_t width) {
        if (width > 0) next() += to_the_right(text, width);
    }
    void whole(std::string_view text, std::size_t width) {
        if (width > 0) next() += text;
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

private:
    std::string& next() { return text_.empty() ? text_ : text_ += ' '; }

    std::string text_;
};

}  // namespace

top_layout layout_for(std::size_t columns, std::size_t longest_name) {
    top_layout widths{.name = least_name};
    std::size_t left = columns > least_name ? columns - least_name : 0;
    const auto grant = [&](std::size_t& width, std::size_t wanted) {
        if (width == 0 && left < wanted + 1) return;  // with the space before it
        const std::size_t more = width == 0 ? wanted : std::min(wanted - std::min(wanted, width), left);
        left -= width == 0 ? more + 1 : more;
        width += more;
    };
    grant(widths.in, 7);
    grant(widths.out, 7);
    grant(widths.size, 13);
    grant(widths.bar, 8);
    grant(widths.users, 9);
    grant(widths.trace, 12);
    grant(widths.name, std::min(longest_name, most_name));
    if (widths.trace > 0) grant(widths.trace, minute_trace::seconds);
    if (widths.bar > 0) grant(widths.bar, most_bar);
    widths.name += left;
    return widths;
}

top_layout layout_for(std::size_t columns, const std::vector<const top_row*>& rows) {
    std::size_t longest = least_name;
    for (const top_row* row : rows) longest = std::max(longest, shown_columns(row->name));
    return layout_for(columns, longest);
}

std::string top_summary(const std::vector<const top_row*>& rows) {
    double in = 0;
    double out = 0;
    std::size_t stalled = 0;
    for (const top_row* row : rows) {
        in += row->in.value_or(0);
        out += row->out.value_or(0);
        stalled += row->is_stalled ? 1 : 0;
    }
    return fmt::format("promisqs: {} {}, {}/s in, {}/s out, {} stalled", rows.size(),
                       rows.size() == 1 ? "queue" : "queues", rate_text(in), rate_text(out), stalled);
}

std::string top_heading(const top_layout& widths) {
    line_of_columns line;
    line.left("NAME", widths.name);
    line.right("IN/S", widths.in);
    line.right("OUT/S", widths.out);
    line.left("DEPTH", widths.bar);
    line.left("LAST MINUTE", widths.trace);
    line.right("SIZE/CAPACITY", widths.size);
    line.right("PROD/CONS", widths.users);
    return line.text();
}

std::vector<std::string> top_lines(const top_row& row, const top_layout& widths, std::size_t columns) {
    line_of_columns line;
    line.left(row.name, widths.name);
    if (!row.problem.empty()) {
        return {cut(line.text() + ' ' + row.problem, columns)};
    }
    line.right(rate_text(row.in), widths.in);
    line.right(rate_text(row.out), widths.out);
    line.whole(bar_of(row.fullness(), widths.bar), widths.bar);
    line.whole(trace_of(row.trace, widths.trace), widths.trace);
    line.right(fmt::format("{}/{}", short_count(row.size), short_count(row.capacity)), widths.size);
    line.right(row.users, widths.users);
    std::vector<std::string> lines{cut(line.text(), columns)};
    if (!row.note.empty()) lines.push_back(cut((has_utf8() ? "  └ " : "  ! ") + row.note, columns));
    return lines;
}

}  // namespace promisqs_tool
