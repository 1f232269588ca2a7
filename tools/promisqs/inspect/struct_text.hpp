// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/schema.hpp>

#include <string>
#include <string_view>

namespace promisqs_tool {

/// A type of C++ with these fields at these places, as source text. Comments have the offsets, and show where padding
/// is. Field names are those of the schema; where it has none, `field_0` and so on. Printable.
///
/// Of a hostile schema, aggregates that are nested deeper than 32 are shown as bytes, and no more than some thousand
/// lines are.
[[nodiscard]] std::string struct_text(const promisqs::element_fields& fields);

/// What a type is called in one short text: the schema's first name, or the beginning of the schema, or "opaque 64 B".
/// Printable.
[[nodiscard]] std::string type_name(std::string_view schema);

}  // namespace promisqs_tool
