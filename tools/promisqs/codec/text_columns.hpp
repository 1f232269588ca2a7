// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/json_writer.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// Messages as lines of aligned columns, for people: one column a field. Long values are cut.
class text_columns {
public:
    /// \param leading  titles of columns before those of the fields
    text_columns(const std::shared_ptr<const message_plan>& plan, const std::vector<std::string>& leading);

    /// Adds a line.
    ///
    /// \param leading  what stands in the leading columns
    /// \param message  nothing: there is none
    void add(std::vector<std::string> leading, std::span<const std::byte> message);

    /// Appends the lines that were added, with a title the first time. Columns never become narrower.
    void append(fmt::memory_buffer& to);
    [[nodiscard]] std::size_t lines() const noexcept { return lines_.size(); }

private:
    struct column {
        std::string title;
        const plan_node* field;  // null: a leading one
        std::uint64_t offset;    // in the message, bytes
        bool to_the_right;
        std::size_t width;
    };

    void add_columns(const plan_node& of, const std::string& path, std::uint64_t offset);
    [[nodiscard]] std::string cell(const plan_node& field, const std::byte* at);
    void append_line(fmt::memory_buffer& to, const std::vector<std::string>& cells) const;

    json_writer writer_;
    std::vector<column> columns_;
    std::size_t fields_left_out_ = 0;
    std::vector<std::vector<std::string>> lines_;
    fmt::memory_buffer scratch_;
    bool has_title_ = false;
};

}  // namespace promisqs_tool
