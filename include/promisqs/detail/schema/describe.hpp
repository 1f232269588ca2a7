// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a T looks like, as a text and its fingerprint. With them, two programs can tell whether they mean the same T.
// docs/schema.md has the grammar of the text and the algorithm of the fingerprint.

#include <promisqs/detail/schema/fields.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#if __has_include(<boost/describe/members.hpp>)
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#endif

namespace promisqs::detail {

/// What the user says of T, beside its structure: `opaque`, not to take T apart; `named`, whether T has a name; and
/// then `name` and `version`. Defined in element.hpp, from the templates that users specialise.
template <class T>
struct type_hints;

/// The result of make_schema(); element.hpp explains it.
struct schema_parts {
    std::string_view text;
    std::uint64_t fingerprint;
    std::uint64_t name_fingerprint;
};

// C arrays, and std::array in the same way.
template <class T>
struct array_traits : std::false_type {};
template <class T, std::size_t Size>
struct array_traits<T[Size]> : std::true_type {
    using element = std::remove_cv_t<T>;
    using size = std::integral_constant<std::size_t, Size>;
};
template <class T, std::size_t Size>
struct array_traits<std::array<T, Size>> : array_traits<T[Size]> {};
template <class T>
struct array_traits<std::array<T, 0>> : std::false_type {};  // it has no elements, but a size

// Where the text goes: it is counted, hashed (FNV-1a, 64 bits), and stored if there is a place for it.
struct schema_writer {
    char* out = nullptr;
    bool with_names = false;
    std::size_t size = 0;
    std::uint64_t hash = 14695981039346656037u;

    constexpr void put(char c) {
        if (out != nullptr) out[size] = c;
        ++size;
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
    constexpr void put(std::string_view text) {
        for (const char c : text) put(c);
    }
    constexpr void put(std::size_t number) {
        if (number >= 10) put(number / 10);
        put(static_cast<char>('0' + number % 10));
    }
    // Never 0, which means unknown.
    [[nodiscard]] constexpr std::uint64_t fingerprint() const { return hash == 0 ? 1 : hash; }
};

#if defined(__SIZEOF_INT128__)
__extension__ typedef __int128 int128;            // NOLINT(modernize-use-using): __extension__ does not go with using
__extension__ typedef unsigned __int128 uint128;  // NOLINT(modernize-use-using)
#else
using int128 = void;
using uint128 = void;
#endif

// By format, not by name: `long double` is one of three, `std::float64_t` is the same as `double`.
template <class T>
consteval std::string_view float_kind() {
    switch (std::numeric_limits<T>::digits) {
        case 8: return "bf16";
        case 11: return "f16";
        case 24: return "f32";
        case 53: return "f64";
        case 64: return "f80";
        case 113: return "f128";
        default: return {};
    }
}

// The word for T's kind, in which '#' stands for the number of its bits. Empty if T is no arithmetic type.
template <class T>
consteval std::string_view kind() {
    // Standard libraries and language modes disagree on whether these are arithmetic.
    if constexpr (std::is_same_v<T, int128>) return "i#";
    if constexpr (std::is_same_v<T, uint128>) return "u#";
#if defined(__SIZEOF_FLOAT128__)
    if constexpr (std::is_same_v<T, __float128>) return "f128";
#endif
    if constexpr (std::is_same_v<T, bool>) return "bool";
    if constexpr (std::is_same_v<T, char>) return "char";
    if constexpr (std::is_same_v<T, wchar_t>) return "wchar#";
#if defined(__cpp_char8_t)
    if constexpr (std::is_same_v<T, char8_t>) return "char#";
#endif
    if constexpr (std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>) return "char#";
    if constexpr (std::is_integral_v<T>) return std::is_signed_v<T> ? "i#" : "u#";
    if constexpr (std::is_floating_point_v<T>) return float_kind<T>();
    return {};
}

// Declared here because the functions below call it for the parts of T.
template <class T>
constexpr void describe(schema_writer& out);

template <class T>
constexpr void describe_scalar(schema_writer& out) {
    constexpr std::string_view word = kind<T>();
    if constexpr (word.ends_with('#')) {
        out.put(word.substr(0, word.size() - 1));
        out.put(sizeof(T) * 8);
    } else {
        out.put(word);
    }
}

template <class T>
constexpr void describe_opaque(schema_writer& out) {
    out.put("opaque:");
    out.put(sizeof(T));
    out.put(':');
    out.put(alignof(T));
}

// The name that Boost.Describe gives to the field of that type and offset; empty if none. The order does not tell: a
// description may leave fields out, or list them in another order.
template <class T, class Field>
constexpr std::string_view field_name([[maybe_unused]] std::size_t offset) {
    std::string_view name;
#if defined(BOOST_DESCRIBE_CXX14)
    if constexpr (boost::describe::has_describe_members<T>::value) {
        using members = boost::describe::describe_members<T, boost::describe::mod_public>;
        boost::mp11::mp_for_each<members>([&](auto member) {
            if (is_field_at<T, Field>(decltype(member)::pointer, offset)) name = member.name;
        });
    }
#endif
    return name;
}

template <class T, class... Fields>
constexpr void describe_fields(schema_writer& out, const field_list<Fields...>& fields) {
    [[maybe_unused]] std::size_t i = 0;
    [[maybe_unused]] const auto describe_field = [&]<class Field>(std::type_identity<Field>) {
        const std::size_t offset = fields.offsets[i++];
        if (i > 1) out.put(' ');
        if (const auto name = out.with_names ? field_name<T, Field>(offset) : std::string_view(); !name.empty()) {
            out.put(name);
            out.put(':');
        }
        describe<Field>(out);
        out.put('@');
        out.put(offset);
    };
    out.put('{');
    (describe_field(std::type_identity<Fields>()), ...);
    out.put("}:");
    out.put(sizeof(T));
    out.put(':');
    out.put(alignof(T));
}

// How T is described.
enum class form { opaque, scalar, enumeration, array, aggregate };

template <class T>
consteval form form_of() {
    if constexpr (type_hints<T>::opaque)
        return form::opaque;
    else if constexpr (!kind<T>().empty())
        return form::scalar;
    else if constexpr (std::is_enum_v<T>)
        return form::enumeration;
    else if constexpr (array_traits<T>::value)
        return form::array;
    else if constexpr (!std::is_same_v<decltype(fields_of<T>), const no_fields>)
        return form::aggregate;
    else
        return form::opaque;
}

// Is more known of T than its size and alignment? An array is as known as its elements.
template <class T>
consteval bool is_known() {
    if constexpr (form_of<T>() == form::array)
        return is_known<typename array_traits<T>::element>();
    else
        return form_of<T>() != form::opaque;
}

// The extents follow the innermost element, the outermost first, as in C: std::array<std::array<u8, 3>, 2> and u8[2][3]
// have the same bytes.
template <class T>
struct innermost {
    using type = T;
};
template <class T>
requires(form_of<T>() == form::array) struct innermost<T> : innermost<typename array_traits<T>::element> {
};

template <class T>
constexpr void describe_extents([[maybe_unused]] schema_writer& out) {
    if constexpr (form_of<T>() == form::array) {
        out.put('[');
        out.put(array_traits<T>::size::value);
        out.put(']');
        describe_extents<typename array_traits<T>::element>(out);
    }
}

// Only such names leave the text parsable.
consteval bool is_plain_name(std::string_view name) {
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '_' && c != '.' && c != ':' && c != '-') return false;
    }
    return !name.empty();
}

template <class T>
constexpr void describe_name(schema_writer& out) {
    static_assert(is_plain_name(type_hints<T>::name),
                  "schema_name<T>::name must consist of letters, digits and any of _ . : -");
    out.put(std::string_view(type_hints<T>::name));
    out.put('#');
    out.put(std::size_t{std::uint32_t{type_hints<T>::version}});
}

template <class T>
constexpr void describe(schema_writer& out) {
    if constexpr (type_hints<T>::named)
        if (out.with_names) {
            describe_name<T>(out);
            out.put(' ');
        }
    constexpr form how = form_of<T>();
    if constexpr (how == form::scalar) {
        describe_scalar<T>(out);
    } else if constexpr (how == form::enumeration) {
        out.put("enum<");
        describe_scalar<std::underlying_type_t<T>>(out);
        out.put('>');
    } else if constexpr (how == form::array) {
        describe<typename innermost<T>::type>(out);
        describe_extents<T>(out);
    } else if constexpr (how == form::aggregate) {
        describe_fields<T>(out, fields_of<T>);
    } else {
        describe_opaque<T>(out);
    }
}

template <class T>
constexpr schema_writer written(schema_writer out) {
    describe<T>(out);
    return out;
}

template <class T>
inline constexpr auto schema_text = [] {
    std::array<char, written<T>({.with_names = true}).size> text{};
    written<T>({.out = text.data(), .with_names = true});
    return text;
}();

template <class T>
consteval std::uint64_t name_fingerprint() {
    schema_writer name;
    if constexpr (type_hints<T>::named) describe_name<T>(name);
    return type_hints<T>::named ? name.fingerprint() : 0;
}

template <class T>
consteval schema_parts make_schema() {
    return {{schema_text<T>.data(), schema_text<T>.size()},
            is_known<T>() ? written<T>({}).fingerprint() : 0,
            name_fingerprint<T>()};
}

}  // namespace promisqs::detail
