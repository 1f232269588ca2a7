// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the messages of a queue are read and written: made once from the queue's schema, used for every message.

#include <promisqs/inspector.hpp>
#include <promisqs/schema.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// The JSON that a value becomes.
enum class value_form : std::uint8_t {
    boolean,
    i8,
    i16,
    i32,
    i64,
    i128,  ///< a string: readers of JSON can't be trusted with so many digits
    u8,
    u16,
    u32,
    u64,
    u128,
    f16,
    bf16,
    f32,
    f64,
    text,  ///< a string; `{"hex":"…"}` if it is not UTF-8
    hex,   ///< a string of two digits a byte
    aggregate
};

/// One of the arrays that a field is.
struct plan_extent {
    std::uint64_t count;
    std::uint64_t stride;  ///< bytes from one to the next
};

/// A field, or the message itself, which is number 0.
struct plan_node {
    value_form form = value_form::hex;
    std::uint32_t first_child = 0;  ///< the fields of an aggregate are `children` nodes in a row
    std::uint32_t children = 0;
    std::uint32_t first_extent = 0;  ///< the outermost first
    std::uint32_t extents = 0;
    std::uint32_t depth = 0;   ///< how many aggregates it is in
    std::uint64_t offset = 0;  ///< in the aggregate around it, bytes
    std::uint64_t size = 0;    ///< of one value, bytes; a text is one value
    std::string name;          ///< UTF-8; of a field without a name, its number
    std::string key;           ///< the name as JSON, and a colon
};

/// What is to be done for each message. Schemas come from shared memory: the work for a message is bounded.
class message_plan {
public:
    /// \throws promisqs::schema_error  no message looks like this, or it takes too much work
    explicit message_plan(const promisqs::element_fields& fields);

    [[nodiscard]] const plan_node& root() const noexcept { return nodes_.front(); }
    [[nodiscard]] const plan_node& node(std::uint32_t number) const noexcept { return nodes_[number]; }
    [[nodiscard]] std::size_t nodes() const noexcept { return nodes_.size(); }
    [[nodiscard]] std::uint32_t number_of(const plan_node& of) const noexcept {
        return static_cast<std::uint32_t>(&of - nodes_.data());
    }
    [[nodiscard]] std::span<const plan_node> children(const plan_node& of) const noexcept {
        return {nodes_.data() + of.first_child, of.children};
    }
    [[nodiscard]] std::span<const plan_extent> extents(const plan_node& of) const noexcept {
        return {extents_.data() + of.first_extent, of.extents};
    }
    /// The field of an aggregate that has this name; null: none.
    [[nodiscard]] const plan_node* find(const plan_node& aggregate, std::string_view name) const noexcept;

    /// Bytes of a message.
    [[nodiscard]] std::size_t message_size() const noexcept { return message_size_; }

private:
    void add_children(std::uint32_t of, const std::vector<promisqs::field>& fields);
    void add_node(const promisqs::field& from, std::uint32_t depth);
    void sort_names(const plan_node& of);
    void check_work() const;

    std::vector<plan_node> nodes_;
    std::vector<plan_extent> extents_;
    std::vector<std::uint32_t> by_name_;  // at the places of an aggregate's fields: their numbers, by their names
    std::size_t message_size_;
};

/// The plan for a queue of this schema text and element size, which is not to be trusted. If the text is of no use, the
/// messages are taken for opaque bytes.
struct plan_found {
    std::shared_ptr<const message_plan> plan;
    std::string problem;  ///< why the text is of no use, in a sentence; empty: it is used
};
[[nodiscard]] plan_found plan_for(std::string_view schema, std::uint64_t element_size);

/// Says on standard error that messages are shown as bytes, and why, if that is so.
void warn_if_opaque(std::string_view queue, const plan_found& found);

/// The plan for the messages of a queue that is looked at; with that warning.
[[nodiscard]] plan_found plan_of(const promisqs::inspector& queue);

}  // namespace promisqs_tool
