// SPDX-License-Identifier: Apache-2.0

#include "codec/text_columns.hpp"

#include "text/text.hpp"

#include <algorithm>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::size_t most_columns = 64;
constexpr std::size_t most_width = 40;

bool is_number(const plan_node& field) {
    const bool is_text = field.form == value_form::text || field.form == value_form::hex;
    return field.extents == 0 && !is_text && field.form != value_form::aggregate;
}

// The text, which is printable, in that many columns at most.
std::string cut(std::string_view text) {
    if (columns_of(text) <= most_width) return std::string(text);
    std::size_t columns = 0;
    std::size_t end = 0;
    while (columns < most_width) {
        const bool begins_character = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
        if (begins_character && ++columns == most_width) break;
        ++end;
    }
    return std::string(text.substr(0, end)) + "…";
}

}  // namespace

text_columns::text_columns(const std::shared_ptr<const message_plan>& plan, const std::vector<std::string>& leading)
    : writer_(plan, 8 * most_width) {  // a character has up to four bytes, or six in an escape sequence of JSON
    for (const std::string& title : leading) columns_.push_back({title, nullptr, 0, title == "number", title.size()});
    add_columns(writer_.plan().root(), "", 0);
}

void text_columns::add_columns(const plan_node& of, const std::string& path, std::uint64_t offset) {
    if (of.form == value_form::aggregate && of.extents == 0 && of.children != 0) {
        for (const plan_node& one : writer_.plan().children(of)) {
            add_columns(one, path.empty() ? one.name : path + "." + one.name, offset + one.offset);
        }
    } else if (columns_.size() < most_columns) {
        const std::string title = path.empty() ? "message" : cut(printable(path));
        columns_.push_back({title, &of, offset, is_number(of), columns_of(title)});
    } else {
        ++fields_left_out_;
    }
}

std::string text_columns::cell(const plan_node& field, const std::byte* at) {
    const auto size = static_cast<std::size_t>(field.size);
    if (field.extents == 0 && field.form == value_form::hex) {
        return cut(hexadecimal({at, std::min(size, most_width)}));
    }
    if (field.extents == 0 && field.form == value_form::text) {
        std::string_view text(reinterpret_cast<const char*>(at), size);
        text = text.substr(0, text.find_last_not_of('\0') + 1);
        return cut(printable(text.substr(0, 4 * most_width)));
    }
    scratch_.clear();
    writer_.append_field(scratch_, field, at);
    std::string_view json(scratch_.data(), scratch_.size());
    if (is_number(field) && json.starts_with('"')) json = json.substr(1, json.size() - 2);
    return cut(json);
}

void text_columns::add(std::vector<std::string> leading, std::span<const std::byte> message) {
    std::vector<std::string> cells = std::move(leading);
    if (!message.empty()) {
        for (std::size_t i = cells.size(); i < columns_.size(); ++i) {
            cells.push_back(cell(*columns_[i].field, message.data() + columns_[i].offset));
        }
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
        columns_[i].width = std::max(columns_[i].width, columns_of(cells[i]));
    }
    lines_.push_back(std::move(cells));
}

void text_columns::append(fmt::memory_buffer& to) {
    if (!std::exchange(has_title_, true)) {
        std::vector<std::string> titles;
        for (const column& one : columns_) titles.push_back(one.title);
        if (fields_left_out_ != 0) titles.back() += fmt::format(" (and {} more fields)", fields_left_out_);
        append_line(to, titles);
    }
    for (const auto& cells : lines_) append_line(to, cells);
    lines_.clear();
}

void text_columns::append_line(fmt::memory_buffer& to, const std::vector<std::string>& cells) const {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::size_t width = columns_of(cells[i]);
        const std::string space(columns_[i].width - std::min(width, columns_[i].width), ' ');
        if (i != 0) line += "  ";
        line += columns_[i].to_the_right ? space + cells[i] : cells[i] + space;
    }
    line.resize(line.find_last_not_of(' ') + 1);
    line += '\n';
    to.append(line);
}

}  // namespace promisqs_tool
