// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a schema text says, at run time: the types in it, and where they lie. schema_reader.hpp makes it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace promisqs::detail {

/// What a field holds.
enum class field_kind : std::uint8_t {
    boolean,
    signed_integer,
    unsigned_integer,  ///< also the code units char16, char32, wchar16 and wchar32
    floating_point,
    text,      ///< char or char8; an array of them is a text
    opaque,    ///< nothing is known of its bytes
    aggregate  ///< it has fields of its own
};

/// A scalar of the grammar. It is aligned to its size.
struct scalar_type {
    std::string_view word;
    field_kind kind;
    std::uint8_t size;  // bytes
};
inline constexpr std::array scalar_types{
    scalar_type{"bool", field_kind::boolean, 1},
    scalar_type{"char", field_kind::text, 1},
    scalar_type{"i8", field_kind::signed_integer, 1},
    scalar_type{"i16", field_kind::signed_integer, 2},
    scalar_type{"i32", field_kind::signed_integer, 4},
    scalar_type{"i64", field_kind::signed_integer, 8},
    scalar_type{"i128", field_kind::signed_integer, 16},
    scalar_type{"u8", field_kind::unsigned_integer, 1},
    scalar_type{"u16", field_kind::unsigned_integer, 2},
    scalar_type{"u32", field_kind::unsigned_integer, 4},
    scalar_type{"u64", field_kind::unsigned_integer, 8},
    scalar_type{"u128", field_kind::unsigned_integer, 16},
    scalar_type{"char8", field_kind::text, 1},
    scalar_type{"char16", field_kind::unsigned_integer, 2},
    scalar_type{"char32", field_kind::unsigned_integer, 4},
    scalar_type{"wchar16", field_kind::unsigned_integer, 2},
    scalar_type{"wchar32", field_kind::unsigned_integer, 4},
    scalar_type{"f16", field_kind::floating_point, 2},
    scalar_type{"bf16", field_kind::floating_point, 2},
    scalar_type{"f32", field_kind::floating_point, 4},
    scalar_type{"f64", field_kind::floating_point, 8},
    scalar_type{"f80", field_kind::floating_point, 16},
    scalar_type{"f128", field_kind::floating_point, 16},
};

/// A type of the text: of the element, or of a field.
struct type_node {
    std::uint32_t parent = 0;  // the root is its own
    std::uint32_t first_child = 0;
    std::uint32_t next_sibling = 0;  // 0: none
    std::uint32_t last_child = 0;
    std::uint32_t children = 0;
    std::uint32_t first_extent = 0;
    std::uint32_t extents = 0;
    field_kind kind = field_kind::opaque;
    bool is_enum = false;
    std::string_view word;     // of a scalar: a literal
    std::string_view name;     // of the field, in the text; empty: none
    std::uint64_t offset = 0;  // in the type around it, bytes
    std::uint64_t size = 0;    // of one value
    std::uint64_t alignment = 1;
    std::uint64_t end = 0;    // of its fields: the largest offset behind one
    std::uint64_t total = 0;  // of all values of an array
};

/// What a schema text says. Views lead into the text, which must outlive it.
struct type_tree {
    std::vector<type_node> nodes;  // the root first; a type before its fields
    std::vector<std::uint64_t> extents;
    std::uint64_t fingerprint = 0;
    std::uint64_t name_fingerprint = 0;  // 0, too, where the text does not tell
};

}  // namespace promisqs::detail
