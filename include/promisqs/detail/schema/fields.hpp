// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finds the fields of an aggregate at compile time: how many, of which types, at which offsets. C++20 has no
// reflection, so three things every aggregate can do stand in for it:
//
//   1. the count: `T{{}, {}, {}}` is valid as long as T has that many fields (`takes`, `field_count`);
//   2. the types: a structured binding with that many names yields an address of each (`bind_fields`);
//   3. the offsets: that address is compared with those of T's bytes (`find_offsets`). Computing them from sizes and
//      alignments instead would be wrong for packed fields, alignas and [[no_unique_address]].
//
// A structured binding of what it can't take apart is an error that no `requires` can catch. So step 2 is only reached
// by types that passed `separable`, which errs on the side of calling a type opaque. Two oddities escape it, and need
// `treat_as_opaque`: a flexible array member under g++, and an array with an initialiser of its own, of elements that
// have no default constructor.

#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__clang__)
// The probes and `specimen` are meant to have no definition, also where T is local to a file.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

namespace promisqs::detail {

/// More fields than this, and the type is opaque. The tables below are written for exactly this number.
inline constexpr std::size_t max_fields = 64;

inline constexpr std::size_t no_offset = static_cast<std::size_t>(-1);

// Is U a class or union without a name? A member of such a type may be an anonymous union or struct, whose members a
// structured binding refuses to see. No trait tells, but the compiler's spelling of the type does: "T::<unnamed union>]"
// from g++, "(anonymous union at f.cpp:7:5)]" from clang. A typedef's name counts as a name.
template <class U>
consteval bool is_unnamed() {
    if constexpr (std::is_class_v<U> || std::is_union_v<U>) {
        const std::string_view spelled = __PRETTY_FUNCTION__;
        return spelled.ends_with(")]") || spelled.ends_with("<unnamed union>]") ||
               spelled.ends_with("<unnamed struct>]") || spelled.ends_with("<unnamed class>]");
    } else {
        return false;
    }
}

template <class U, class T>
concept other_than = !std::is_same_v<U, T>;
template <class U, class T>
concept strict_base_of = other_than<U, T> && std::is_base_of_v<U, T>;

// What a field can be initialised from, never from T itself: `T{probe}` would be a copy then. The conversions are
// never defined. `const&` makes a constructor template of the field's type, if it has one, the better match rather than
// an ambiguous one.
template <class T>
struct anything {
    template <other_than<T> U>
    operator U() const&;
};
// Refuses types without a name, but only once it was chosen for them. Were it no candidate at all, the braces around the
// unnamed type's first member would be taken as left out, and the probe be tried on that.
template <class T>
class anything_named {
public:
    template <other_than<T> U>
    requires(!is_unnamed<U>()) operator U() const&;

private:
    template <other_than<T> U>
    requires(is_unnamed<U>()) operator U() const&;
};
template <class T>
struct any_base {
    template <strict_base_of<T> U>
    operator U() const&;
};
struct any_reference {
    template <class U>
    operator U&() const&;
    template <class U>
    operator U&&() const&;
};

// T seen as bytes and as fields at once. Declared only, and used only in constant expressions for addresses: no object
// of it exists, and T needs no constructor.
template <class T>
union overlay {
    char bytes[sizeof(T)];
    T value;
    constexpr overlay() : bytes{} {}
};
template <class T>
extern overlay<T> specimen;

// The types of a type's fields, without const, and the offset of each.
template <class... Fields>
struct field_list {
    std::array<std::size_t, sizeof...(Fields)> offsets;
};
struct no_fields {};

// The same while the offsets are being found: addresses inside `specimen`.
template <class... Fields>
struct bound_fields {
    std::array<const void*, sizeof...(Fields)> addresses;
};

// volatile fields: g++ does not take them as constants. Arrays without a bound, or of none: extensions, without a size.
template <class Field>
concept describable = !std::is_volatile_v<Field> && !std::is_unbounded_array_v<Field> &&
                      (sizeof(Field) > 0);  // NOLINT(bugprone-sizeof-expression)

template <describable... Fields>
constexpr bound_fields<std::remove_const_t<Fields>...> list_fields(Fields*... fields) {
    return {{fields...}};
}

// A structured binding and an initialiser list can't be of generic length, so every length is written down, by macros:
// PROMISQS_LIST(of, block, n, stem) is of(a0), of(a1), ... for 8 * block + n fields, of which the last n are stem0 ...
// clang-format off
#define PROMISQS_1(of, s) of(s##0)
#define PROMISQS_2(of, s) PROMISQS_1(of, s), of(s##1)
#define PROMISQS_3(of, s) PROMISQS_2(of, s), of(s##2)
#define PROMISQS_4(of, s) PROMISQS_3(of, s), of(s##3)
#define PROMISQS_5(of, s) PROMISQS_4(of, s), of(s##4)
#define PROMISQS_6(of, s) PROMISQS_5(of, s), of(s##5)
#define PROMISQS_7(of, s) PROMISQS_6(of, s), of(s##6)
#define PROMISQS_8(of, s) PROMISQS_7(of, s), of(s##7)
#define PROMISQS_BEFORE_0(of)
#define PROMISQS_BEFORE_1(of) PROMISQS_8(of, a),
#define PROMISQS_BEFORE_2(of) PROMISQS_BEFORE_1(of) PROMISQS_8(of, b),
#define PROMISQS_BEFORE_3(of) PROMISQS_BEFORE_2(of) PROMISQS_8(of, c),
#define PROMISQS_BEFORE_4(of) PROMISQS_BEFORE_3(of) PROMISQS_8(of, d),
#define PROMISQS_BEFORE_5(of) PROMISQS_BEFORE_4(of) PROMISQS_8(of, e),
#define PROMISQS_BEFORE_6(of) PROMISQS_BEFORE_5(of) PROMISQS_8(of, f),
#define PROMISQS_BEFORE_7(of) PROMISQS_BEFORE_6(of) PROMISQS_8(of, g),
#define PROMISQS_LIST(of, block, n, s) PROMISQS_BEFORE_##block(of) PROMISQS_##n(of, s)
#define PROMISQS_BLOCK(row, block, s)                                                        \
    if constexpr ((N - 1) / 8 == (block)) {                                                  \
        row(block, 1, s) row(block, 2, s) row(block, 3, s) row(block, 4, s)                  \
        row(block, 5, s) row(block, 6, s) row(block, 7, s) row(block, 8, s)                  \
    }
#define PROMISQS_TABLE(row)                                                                  \
    PROMISQS_BLOCK(row, 0, a) PROMISQS_BLOCK(row, 1, b) PROMISQS_BLOCK(row, 2, c)            \
    PROMISQS_BLOCK(row, 3, d) PROMISQS_BLOCK(row, 4, e) PROMISQS_BLOCK(row, 5, f)            \
    PROMISQS_BLOCK(row, 6, g) PROMISQS_BLOCK(row, 7, h)
#define PROMISQS_NAME(field) field
#define PROMISQS_ADDRESS(field) __builtin_addressof(field)
#define PROMISQS_EMPTY(field) {}
// clang-format on

// Can T be initialised from N times `{}`, followed by `Last` if there is one?
#define PROMISQS_ROW(block, n, s)                                                      \
    if constexpr ((N - 1) % 8 + 1 == (n)) {                                            \
        return requires { T{PROMISQS_LIST(PROMISQS_EMPTY, block, n, s), Last()...}; }; \
    }
template <class T, std::size_t N, class... Last>
consteval bool takes() {  // NOLINT(readability-function-size): a table
    if constexpr (N == 0) {
        return requires { T{Last()...}; };
    } else if constexpr (N > max_fields) {
        return requires { T{PROMISQS_LIST(PROMISQS_EMPTY, 7, 8, h), {}}; };
    } else {
        PROMISQS_TABLE(PROMISQS_ROW)
    }
}
#undef PROMISQS_ROW

// The first N fields of T, or no_fields: bit-fields, for one, have no address.
#define PROMISQS_ROW(block, n, s)                                                              \
    if constexpr ((N - 1) % 8 + 1 == (n)) {                                                    \
        auto& [PROMISQS_LIST(PROMISQS_NAME, block, n, s)] = specimen<T>.value;                 \
        if constexpr (requires { list_fields(PROMISQS_LIST(PROMISQS_ADDRESS, block, n, s)); }) \
            return list_fields(PROMISQS_LIST(PROMISQS_ADDRESS, block, n, s));                  \
        else                                                                                   \
            return no_fields{};                                                                \
    }
template <class T, std::size_t N>
constexpr auto bind_fields() {  // NOLINT(readability-function-size): a table
    if constexpr (N == 0) {
        return bound_fields<>{};
    } else {
        PROMISQS_TABLE(PROMISQS_ROW)
    }
}
#undef PROMISQS_ROW

#undef PROMISQS_EMPTY
#undef PROMISQS_ADDRESS
#undef PROMISQS_NAME
#undef PROMISQS_TABLE
#undef PROMISQS_BLOCK
#undef PROMISQS_LIST
#undef PROMISQS_BEFORE_7
#undef PROMISQS_BEFORE_6
#undef PROMISQS_BEFORE_5
#undef PROMISQS_BEFORE_4
#undef PROMISQS_BEFORE_3
#undef PROMISQS_BEFORE_2
#undef PROMISQS_BEFORE_1
#undef PROMISQS_BEFORE_0
#undef PROMISQS_8
#undef PROMISQS_7
#undef PROMISQS_6
#undef PROMISQS_5
#undef PROMISQS_4
#undef PROMISQS_3
#undef PROMISQS_2
#undef PROMISQS_1

// How many fields T has, as far as `{}` initialises them; counting ends at max_fields + 1.
template <class T, std::size_t N = 0>
consteval std::size_t field_count() {
    if constexpr (N <= max_fields && takes<T, N + 1>())
        return field_count<T, N + 1>();
    else
        return N;
}

// Is field N of T of a class or union type without a name, and so perhaps an anonymous one?
template <class T, std::size_t N>
consteval bool is_unnamed_field() {
    if constexpr (takes<T, N, anything_named<T>>())
        return false;
    else
        return takes<T, N, anything<T>>();  // an array takes neither
}

template <class T, std::size_t... I>
consteval bool has_unnamed_fields(std::index_sequence<I...>) {
    return (is_unnamed_field<T, I>() || ...);
}

// Is it certain that a structured binding of T with `field_count` names is valid?
template <class T>
consteval bool separable() {
    if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>) {
        return false;
    } else if constexpr (requires { std::tuple_size<T>::value; } || !takes<T, 0>()) {
        return false;  // bound as a tuple, or with a field that `{}` can't initialise
    } else if constexpr (takes<T, 0, any_base<T>>()) {
        return false;  // fields of base classes may not be bound together with T's own
    } else if constexpr (constexpr std::size_t count = field_count<T>(); count > max_fields) {
        return false;
    } else if constexpr (takes<T, count, anything<T>>() || takes<T, count, any_reference>()) {
        return false;  // one more field, which has an initialiser of its own and refuses `{}`
    } else {
        return !has_unnamed_fields<T>(std::make_index_sequence<count>());
    }
}

// Where in T the address is, most likely at or after `from`. Nearly always the first guess, the next multiple of the
// field's own alignment; with packed fields or alignas another power of two. Only [[no_unique_address]] and unnamed
// bit-fields leave anything to search for, and that search is short, because each step costs compile time.
template <class T>
constexpr std::size_t find_offset(const void* address, std::size_t from, std::size_t alignment) {
    const auto is_at = [address](std::size_t offset) {
        return offset < sizeof(T) && address == static_cast<const void*>(&specimen<T>.bytes[offset]);
    };
    const auto aligned = [from](std::size_t to) { return (from + to - 1) / to * to; };
    if (is_at(aligned(alignment))) return aligned(alignment);
    for (std::size_t power = 1; power <= sizeof(T); power *= 2)
        if (is_at(aligned(power))) return aligned(power);
    constexpr std::size_t search_limit = 4096;
    for (std::size_t offset = 0; offset < search_limit; ++offset)
        if (is_at(offset)) return offset;
    return no_offset;
}

template <class T, class Field, class Member>
constexpr bool is_field_at(Member T::*member, std::size_t offset) {
    if constexpr (std::is_same_v<std::remove_const_t<Member>, Field>)
        return static_cast<const void*>(__builtin_addressof(specimen<T>.value.*member)) ==
               static_cast<const void*>(&specimen<T>.bytes[offset]);
    else
        return false;
}

template <class T, class... Fields>
constexpr field_list<Fields...> find_offsets(const bound_fields<Fields...>& bound) {
    field_list<Fields...> found{};
    [[maybe_unused]] auto find = [&, i = std::size_t{0}, end = std::size_t{0}](auto field_type) mutable {
        using field = typename decltype(field_type)::type;
        found.offsets[i] = find_offset<T>(bound.addresses[i], end, alignof(field));
        end = found.offsets[i++] + sizeof(field);
    };
    (find(std::type_identity<Fields>()), ...);
    return found;
}

template <class T, std::size_t Count>
constexpr bool all_found() {
    for (const std::size_t offset : find_offsets<T>(bind_fields<T, Count>()).offsets)
        if (offset == no_offset) return false;
    return true;
}

// False also where `all_found` is no constant: a reference has no address inside of T, nor one that is known.
template <class T, std::size_t Count>
concept locatable = std::bool_constant < all_found<T, Count>()
> ::value;

template <class T>
consteval auto find_fields() {
    if constexpr (!separable<T>()) {
        return no_fields{};
    } else {
        constexpr std::size_t count = field_count<T>();
        if constexpr (std::is_same_v<decltype(bind_fields<T, count>()), no_fields>)
            return no_fields{};
        else if constexpr (locatable<T, count>)
            return find_offsets<T>(bind_fields<T, count>());
        else
            return no_fields{};
    }
}

/// The field_list of T, or no_fields if T is not to be taken apart.
template <class T>
inline constexpr auto fields_of = find_fields<T>();

}  // namespace promisqs::detail

#if defined(__clang__)
#pragma clang diagnostic pop
#endif
