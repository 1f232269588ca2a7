// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// What elements look like, for programs that do not have their type: which fields a schema text lists, where they lie,
/// and their values. docs/schema.md has the grammar of the text.
///
/// \code
/// const promisqs::element_fields fields("{id:u64@0 levels:{price:f64@0 count:u32@8}:16:8[3]@8}:56:8");
/// for (const promisqs::field& one : fields.list()) { … }  // "id", "levels[].price", "levels[].count"
/// const auto price = std::get<double>(fields.get(message, "levels[2].price"));
/// \endcode

#include <promisqs/detail/schema/field_path.hpp>
#include <promisqs/detail/schema/field_value.hpp>
#include <promisqs/detail/schema/schema_reader.hpp>
#include <promisqs/detail/schema/type_tree.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs {

/// What a field holds: `boolean`, `signed_integer`, `unsigned_integer`, `floating_point`, `text`, `opaque`, or
/// `aggregate`, which has fields of its own.
using field_kind = detail::field_kind;

/// The value of a field.
///
/// | field | |
/// |---|---|
/// | `bool` | `bool` |
/// | integers of up to 64 bits, enums, `char16`, `char32`, `wchar` | `std::int64_t` or `std::uint64_t`, by their sign |
/// | `f16`, `bf16`, `f32`, `f64` | `double` |
/// | `char`, `char8`, and an array of them | `std::string`, without the zeroes at its end |
/// | all others: 128-bit integers, `f80`, `f128`, opaque bytes, aggregates, other arrays | `std::string`: the bytes |
using field_value = detail::field_value;

/// One of the arrays that a field is in, or that it is: `count`, `stride`.
using field_extent = detail::field_extent;

/// A field of an element: a value, an array of values, or an aggregate.
///
/// | member | |
/// |---|---|
/// | `path` | as `element_fields::at` takes it; `[]` stands for an index that is left open |
/// | `name` | the last part of it; of a field without a name, its number, counted from 0 |
/// | `type` | the schema's word, such as `u32`; empty for opaque bytes and aggregates |
/// | `kind`, `is_enum` | what it holds; of an enum, its underlying type |
/// | `offset`, `size` | where the first value lies in the element, and how large it is, in bytes |
/// | `alignment` | of its type, in bytes |
/// | `extents` | of the indices that are left open, the outermost first; none: it is one value |
using field = detail::located_field;

/// The value of a field in a message.
///
/// \param message   the bytes of an element
/// \param which     a field, of which no index is left open but those of an array that it is itself
/// \throws schema_error  the message is too short; or an index is left open
[[nodiscard]] inline field_value get(std::span<const std::byte> message, const field& which) {
    const std::uint64_t bytes = detail::checked_bytes(which, message.size());
    const std::byte* const at = message.data() + which.offset;
    if (which.extents.empty()) return detail::load_value(which.kind, which.type, which.size, at);
    const bool is_text = which.kind == field_kind::text && which.extents.size() == 1;
    return is_text ? detail::text_of(at, bytes) : detail::bytes_of(at, bytes);
}

/// Writes the value of a field into a message.
///
/// \param value     an integer of either sign, if it fits; for a floating-point field, an integer that a `double`
///                  holds, too. A `double` is rounded to the nearest number that the field has. A text may be shorter
///                  than its field: zeroes follow. Bytes must be as many as the field has
/// \throws schema_error  as `get`; or the value does not fit. Then nothing is written
inline void set(std::span<std::byte> message, const field& which, const field_value& value) {
    const std::uint64_t bytes = detail::checked_bytes(which, message.size());
    std::byte* const at = message.data() + which.offset;
    const bool is_text = which.kind == field_kind::text && which.extents.size() == 1;
    const std::string expected = which.extents.empty()
                                     ? detail::store_value(which.kind, which.type, which.size, at, value)
                                 : is_text ? detail::store_text(at, bytes, value)
                                           : detail::store_bytes(at, bytes, value);
    if (!expected.empty()) detail::raise_no_field(which.path, expected + ", found " + detail::shown(value));
}

/// The fields of an element, from its schema text. The text may come from shared memory, and be anything: reading it
/// takes time and memory that grow with its length alone.
class element_fields {
public:
    /// The longest text, in bytes.
    static constexpr std::size_t most_text = std::size_t{1} << 20;

    /// \param text      as in `schema::text`, with names or without
    /// \throws schema_error  it is no schema, or longer than `most_text`
    explicit element_fields(std::string_view text)
        : text_(std::make_shared<const std::string>(text.substr(0, most_text + 1))) {
        detail::schema_reader reader(*text_);
        if (text.size() > most_text) {
            throw schema_error(detail::concat({"promisqs schema: expected at most ", std::to_string(most_text),
                                               " bytes of text, found ", std::to_string(text.size())}));
        }
        if (!reader.read_all(tree_)) raise(reader.failure());
        const detail::type_node& element = tree_.nodes.front();
        type_ = {*text_, element.total, element.alignment, tree_.fingerprint, tree_.name_fingerprint};
    }

    /// The element type: the text, and what follows from it.
    [[nodiscard]] const element_type& type() const noexcept { return type_; }

    /// All fields that are no aggregates, in the order of declaration. Each is listed once: where it is in an array of
    /// aggregates, its path has `[]`, and `extents` that array.
    ///
    /// \throws schema_error  the list would take more than 64 MiB
    [[nodiscard]] std::vector<field> list() const { return detail::leaves_of(tree_); }

    /// The element itself, which may be an aggregate.
    [[nodiscard]] field root() const { return detail::lone_field(tree_, 0, 0); }

    /// The fields of an aggregate. In an array of aggregates, indices are left open.
    ///
    /// \throws schema_error  as `list`
    [[nodiscard]] std::vector<field> children(const field& of) const { return detail::children_of(tree_, of); }

    /// The field at a path: names, or numbers of fields (counted from 0), with dots between them; behind an array, an
    /// index in brackets. `quote.levels[2].price`, `0.1[2].0`. An empty path stands for the element itself. Indices at
    /// the end of the path can be left out: then the field is the array.
    ///
    /// \throws schema_error  there is no such field
    [[nodiscard]] field at(std::string_view path) const { return detail::find_field(tree_, path); }

    /// The value at a path.
    ///
    /// \throws schema_error  as `at` and `promisqs::get`
    [[nodiscard]] field_value get(std::span<const std::byte> message, std::string_view path) const {
        return promisqs::get(message, at(path));
    }
    /// Writes the value at a path.
    ///
    /// \throws schema_error  as `at` and `promisqs::set`
    void set(std::span<std::byte> message, std::string_view path, const field_value& value) const {
        promisqs::set(message, at(path), value);
    }

private:
    [[noreturn, gnu::__cold__]] void raise(const detail::schema_failure& why) const {
        constexpr std::size_t most_shown = 40;
        std::string found = text_->substr(why.at, most_shown);
        for (char& c : found) {
            if (c < ' ' || c > '~') c = '?';
        }
        throw schema_error(detail::concat({"promisqs schema: expected ", why.expected, " at byte ",
                                           std::to_string(why.at), ", found \"", found, "\""}));
    }

    std::shared_ptr<const std::string> text_;  // at an address that stays: the tree has views of it
    element_type type_{};
    detail::type_tree tree_;
};

/// An element type from a schema text: of size, alignment and fingerprints that follow from the text.
///
/// | of | size and alignment |
/// |---|---|
/// | an aggregate, an opaque type | are in the text |
/// | a scalar, an enum | its bits; `bool` and `char` take 1 byte, `f80` 16. It is aligned to its size |
/// | an array | its element's, and as many |
///
/// The name's fingerprint is that of the first name. For an array with one name it is 0, as the text does not tell
/// whether the array has that name, or its element.
///
/// \throws schema_error  as `element_fields`; or the element has no size, is aligned to more than 4096 bytes, or its
///                       size is no multiple of its alignment
[[nodiscard]] inline element_type parse_element_type(std::string_view text) {
    element_type type = element_fields(text).type();
    constexpr std::uint64_t most_alignment = 4096;
    if (type.size == 0 || type.alignment > most_alignment || type.size % type.alignment != 0) {
        throw schema_error(
            detail::concat({"promisqs schema: expected a size of 1 or more that is a multiple of the ",
                            "alignment, which is at most 4096, found a size of ", std::to_string(type.size),
                            " and an alignment of ", std::to_string(type.alignment)}));
    }
    return type;
}

/// An element type of which nothing is known but this, in bytes.
///
/// \throws schema_error  as `parse_element_type`
[[nodiscard]] inline element_type opaque_element_type(std::uint64_t size, std::uint64_t alignment) {
    return parse_element_type("opaque:" + std::to_string(size) + ":" + std::to_string(alignment));
}

}  // namespace promisqs
