// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the language tells of an aggregate without reflection: how many initialisers it takes, of which kinds, and where
// the fields lie that a structured binding names.

#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>

#if defined(__clang__)
// The probes and `specimen` are meant to have no definition, also where T is local to a file.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

namespace promisqs::detail {

/// More fields than this, and the type is opaque. The tables below are written for exactly this number.
inline constexpr std::size_t max_fields = 64;

// Is `Other` a class or union without a name? A member of such a type may be an anonymous union or struct, whose
// members a structured binding refuses to see. No trait tells. The compiler's spelling of the type does: "T::<unnamed
// union>]" from g++, "(anonymous union at f.cpp:7:5)]" from clang. A typedef's name counts as a name.
template <class Other>
consteval bool is_unnamed() {
    if constexpr (std::is_class_v<Other> || std::is_union_v<Other>) {
        const std::string_view spelled = __PRETTY_FUNCTION__;
        return spelled.ends_with(")]") || spelled.ends_with("<unnamed union>]") ||
               spelled.ends_with("<unnamed struct>]") || spelled.ends_with("<unnamed class>]");
    } else {
        return false;
    }
}

template <class Other, class T>
concept other_than = !std::is_same_v<Other, T>;
template <class Other, class T>
concept strict_base_of = other_than<Other, T> && std::is_base_of_v<Other, T>;

// Initialises a field of any type but T itself: `T{probe}` would be a copy then. The conversions are never defined. The
// `const&` is for fields whose type has a constructor template: it makes that the better match, not an ambiguous one.
template <class T>
struct anything {
    template <other_than<T> Other>
    operator Other() const&;
};
// Refuses types without a name, but only once it has been chosen for them. Were it no candidate at all, the compiler
// would assume that braces were left out, and try the probe on the unnamed type's first member.
template <class T>
class anything_named {
public:
    template <other_than<T> Other>
    requires(!is_unnamed<Other>()) operator Other() const&;

private:
    template <other_than<T> Other>
    requires(is_unnamed<Other>()) operator Other() const&;
};
template <class T>
struct any_base {
    template <strict_base_of<T> Other>
    operator Other() const&;
};
struct any_reference {
    template <class Other>
    operator Other&() const&;
    template <class Other>
    operator Other&&() const&;
};

// T as bytes and as fields at once. It is only declared, and its addresses are only used in constant expressions: no
// object of it exists, and T needs no constructor.
template <class T>
union overlay {
    char bytes[sizeof(T)];
    T value;
    constexpr overlay() : bytes{} {}
};
template <class T>
extern overlay<T> specimen;

struct no_fields {};

// The types of a type's fields, without const, and the address of each inside `specimen`.
template <class... Fields>
struct bound_fields {
    std::array<const void*, sizeof...(Fields)> addresses;
};

// Not volatile fields, which g++ does not take as constants. Nor arrays without a bound or elements: these are
// extensions of the language, and have no size.
template <class Field>
concept describable = !std::is_volatile_v<Field> && !std::is_unbounded_array_v<Field> &&
                      (sizeof(Field) > 0);  // NOLINT(bugprone-sizeof-expression)

// What a structured binding tells: the types of the fields, as they are declared, and their addresses, or no_fields.
template <class Addresses, class... Declared>
struct bindings {
    Addresses addresses;
};
template <class... Declared, class Addresses>
constexpr bindings<Addresses, Declared...> bind(Addresses addresses) {
    return {addresses};
}

template <describable... Fields>
constexpr bound_fields<std::remove_const_t<Fields>...> list_fields(Fields*... fields) {
    return {{fields...}};
}

// A structured binding and an initialiser list can't be of generic length. So macros write down every length:
// PROMISQS_LIST(of, block, n, stem) is of(a0), of(a1), ... for 8 * block + n fields, of which the last n are stem0, ...
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
    if constexpr ((Count - 1) / 8 == (block)) {                                              \
        row(block, 1, s) row(block, 2, s) row(block, 3, s) row(block, 4, s)                  \
        row(block, 5, s) row(block, 6, s) row(block, 7, s) row(block, 8, s)                  \
    }
#define PROMISQS_TABLE(row)                                                                  \
    PROMISQS_BLOCK(row, 0, a) PROMISQS_BLOCK(row, 1, b) PROMISQS_BLOCK(row, 2, c)            \
    PROMISQS_BLOCK(row, 3, d) PROMISQS_BLOCK(row, 4, e) PROMISQS_BLOCK(row, 5, f)            \
    PROMISQS_BLOCK(row, 6, g) PROMISQS_BLOCK(row, 7, h)
#define PROMISQS_NAME(field) field
#define PROMISQS_ADDRESS(field) __builtin_addressof(field)
#define PROMISQS_TYPE(field) decltype(field)
#define PROMISQS_EMPTY(field) {}
// clang-format on

// Can T be initialised from `Count` times `{}`, followed by `Last` if there is one?
#define PROMISQS_ROW(block, n, s)                                                      \
    if constexpr ((Count - 1) % 8 + 1 == (n)) {                                        \
        return requires { T{PROMISQS_LIST(PROMISQS_EMPTY, block, n, s), Last()...}; }; \
    }
template <class T, std::size_t Count, class... Last>
consteval bool takes() {  // NOLINT(readability-function-size): a table
    if constexpr (Count == 0) {
        return requires { T{Last()...}; };
    } else if constexpr (Count > max_fields) {
        return requires { T{PROMISQS_LIST(PROMISQS_EMPTY, 7, 8, h), {}}; };
    } else {
        PROMISQS_TABLE(PROMISQS_ROW)
    }
}
#undef PROMISQS_ROW

// The first `Count` fields of T. Bit-fields, for one, have no address.
#define PROMISQS_ROW(block, n, s)                                                              \
    if constexpr ((Count - 1) % 8 + 1 == (n)) {                                                \
        auto& [PROMISQS_LIST(PROMISQS_NAME, block, n, s)] = specimen<T>.value;                 \
        if constexpr (requires { list_fields(PROMISQS_LIST(PROMISQS_ADDRESS, block, n, s)); }) \
            return bind<PROMISQS_LIST(PROMISQS_TYPE, block, n, s)>(                            \
                list_fields(PROMISQS_LIST(PROMISQS_ADDRESS, block, n, s)));                    \
        else                                                                                   \
            return bind<PROMISQS_LIST(PROMISQS_TYPE, block, n, s)>(no_fields{});               \
    }
template <class T, std::size_t Count>
constexpr auto bind_fields() {  // NOLINT(readability-function-size): a table
    if constexpr (Count == 0) {
        return bind<>(bound_fields<>{});
    } else {
        PROMISQS_TABLE(PROMISQS_ROW)
    }
}
#undef PROMISQS_ROW

#undef PROMISQS_EMPTY
#undef PROMISQS_TYPE
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

}  // namespace promisqs::detail

#if defined(__clang__)
#pragma clang diagnostic pop
#endif
