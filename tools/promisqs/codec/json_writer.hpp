// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/plan.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <span>

namespace promisqs_tool {

/// Writes messages as JSON, from which `json_reader` makes the same bytes (padding aside).
class json_writer {
public:
    /// \param enough  Once so many bytes are in the buffer, the rest of an array or aggregate may be left out: for what
    ///                is cut afterwards.
    explicit json_writer(std::shared_ptr<const message_plan> plan,
                         std::size_t enough = std::numeric_limits<std::size_t>::max())
        : plan_(std::move(plan)), enough_(enough) {}

    /// Appends the message, without the end of the line.
    ///
    /// \param message  of the plan's size
    void append(fmt::memory_buffer& to, std::span<const std::byte> message) const {
        append_field(to, plan_->root(), message.data());
    }
    /// Appends one field of it.
    ///
    /// \param at  where the field lies
    void append_field(fmt::memory_buffer& to, const plan_node& field, const std::byte* at) const {
        append_from(to, field, 0, at);
    }

    [[nodiscard]] const message_plan& plan() const noexcept { return *plan_; }

private:
    void append_from(fmt::memory_buffer& to, const plan_node& field, std::uint32_t extent, const std::byte* at) const;
    void append_one(fmt::memory_buffer& to, const plan_node& field, const std::byte* at) const;
    void append_aggregate(fmt::memory_buffer& to, const plan_node& field, const std::byte* at) const;

    std::shared_ptr<const message_plan> plan_;
    std::size_t enough_;
};

/// The text as a JSON string; `{"hex":"…"}` if it is not UTF-8.
void append_json_text(fmt::memory_buffer& to, std::string_view text);

}  // namespace promisqs_tool
