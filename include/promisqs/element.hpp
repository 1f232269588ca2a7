// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

// What can be sent through a queue. Each requirement has a name of its own, which a compiler's message shows.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/schema/addresses.hpp>
#include <promisqs/detail/schema/describe.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace promisqs {

/// T is defined, not only declared.
template <class T>
concept complete_type = requires {
    sizeof(T);
};

/// The bytes of a T are its value: they can be copied to another process. T is neither const nor volatile.
template <class T>
concept trivially_copyable =
    std::is_trivially_copyable_v<T>  // no std::string or std::vector: use std::array, with a length
    && std::is_same_v<T, std::remove_cv_t<T>>;

/// A T can be copied and returned: its copy constructor is not explicit, and it is no C array (use `std::array`).
template <class T>
concept returnable_by_copy =
    std::is_trivially_copy_constructible_v<T> && std::is_convertible_v<const T&, T> && !std::is_array_v<T>;

/// A T means the same in another process. An address, a `std::string_view` and a `std::span` do not: send an index, an
/// offset, or the bytes themselves. A field of an aggregate must not be one, either.
template <class T>
concept meaningful_elsewhere = !detail::is_address<T>;

/// A T is aligned to no more than a page, 4096 bytes.
template <class T>
concept aligned_within_a_page = alignof(T) <= detail::layout::max_alignment;

/// What can be sent through a queue.
template <class T>
concept queue_element = complete_type<T> && trivially_copyable<T> && returnable_by_copy<T> && meaningful_elsewhere<T> &&
    aligned_within_a_page<T>;

/// Gives a type a name and a version, which are compared in addition to its structure. A type has none by default.
///
///     template <>
///     struct promisqs::schema_name<order> {
///         static constexpr std::string_view name = "acme.order";
///         static constexpr std::uint32_t version = 3;
///     };
///
/// The specialisation must stand before the first use of `schema_of<T>`, in all programs.
template <class T>
struct schema_name;

/// Specialise as true so that T is not taken apart: only its size and alignment, and its name if given, are compared.
/// Then it may have fields that are addresses, for the process that wrote them.
template <class T>
inline constexpr bool treat_as_opaque = false;

/// What a type looks like.
struct schema {
    /// The structure, with field names where they are known, and the names given by `schema_name`. For people.
    std::string_view text;
    /// The fingerprint of the structure without any names; 0 if it is unknown.
    std::uint64_t fingerprint;
    /// The fingerprint of the name and version given by `schema_name`; 0 if none is given.
    std::uint64_t name_fingerprint;
};

/// Can one type's memory be read as the other? A fingerprint that is unknown to one side is not compared. Compare sizes
/// and alignments in addition.
///
/// \return  whether each fingerprint that both sides know is the same
[[nodiscard]] constexpr bool compatible(const schema& a, const schema& b) noexcept {
    const auto agree = [](std::uint64_t x, std::uint64_t y) { return x == 0 || y == 0 || x == y; };
    return agree(a.fingerprint, b.fingerprint) && agree(a.name_fingerprint, b.name_fingerprint);
}

/// The type of a queue's elements, where it is known at run time alone. schema.hpp makes one from a text, and finds the
/// fields in it.
struct element_type {
    std::string text;                ///< the schema, as in `schema::text`
    std::uint64_t size;              ///< bytes
    std::uint64_t alignment;         ///< bytes; a power of two
    std::uint64_t fingerprint;       ///< as in `schema`; 0: unknown
    std::uint64_t name_fingerprint;  ///< 0: none is given

    friend bool operator==(const element_type&, const element_type&) = default;
};

namespace detail {

template <class T>
struct type_hints {
    static constexpr bool opaque = treat_as_opaque<T>;
    static constexpr bool named = false;
};
template <class T>
requires requires { sizeof(schema_name<T>); }
struct type_hints<T> {
    static constexpr bool opaque = treat_as_opaque<T>;
    static constexpr bool named = true;
    static constexpr std::string_view name = schema_name<T>::name;
    static constexpr std::uint32_t version = schema_name<T>::version;
};

constexpr schema to_schema(const schema_parts& parts) {
    return {parts.text, parts.fingerprint, parts.name_fingerprint};
}

}  // namespace detail

/// The schema of T, made at compile time. Const and volatile make no difference.
///
/// \tparam T  a trivially copyable type
template <class T>
requires std::is_trivially_copyable_v<T>
inline constexpr schema schema_of = detail::to_schema(detail::make_schema<std::remove_cv_t<T>>());

/// The same at run time.
template <queue_element T>
[[nodiscard]] element_type element_type_of() {
    const schema& type = schema_of<T>;
    return {std::string(type.text), sizeof(T), alignof(T), type.fingerprint, type.name_fingerprint};
}

namespace detail {

/// The type of a queue's elements, as far as two programs have to agree on it.
struct element_description {
    std::uint64_t size;  // bytes
    std::uint64_t alignment;
    schema type;

    [[nodiscard]] static element_description of(const element_type& type) noexcept {
        return {type.size, type.alignment, {type.text, type.fingerprint, type.name_fingerprint}};
    }
    /// Any element.
    [[nodiscard]] static element_description any() noexcept { return {0, 0, {{}, 0, 0}}; }
};

}  // namespace detail
}  // namespace promisqs
