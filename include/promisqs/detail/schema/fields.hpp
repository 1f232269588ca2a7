// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finds the fields of an aggregate at compile time: how many, of which types, at which offsets. C++20 has no
// reflection. Three things that every aggregate can do stand in for it:
//
//   1. the count: `T{{}, {}, {}}` is valid as long as T has that many fields (`takes`, `field_count`);
//   2. the types: a structured binding with that many names yields an address of each (`bind_fields`);
//   3. the offsets: that address is compared with those of T's bytes (`find_offsets`). Sizes and alignments alone would
//      not do: packed fields, alignas and [[no_unique_address]] lie elsewhere.
//
// A structured binding of a type that it can't take apart is an error that no `requires` can catch. So step 2 is only
// for types that passed `separable`, which calls a type opaque when in doubt. Two kinds of types escape it, and need
// `treat_as_opaque`: those with a flexible array member (g++ only), and those with an array that has an initialiser of
// its own and elements without a default constructor.

#include <promisqs/detail/schema/probes.hpp>

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#if defined(__clang__)
// The probes and `specimen` are meant to have no definition, also where T is local to a file.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

namespace promisqs::detail {

inline constexpr std::size_t no_offset = static_cast<std::size_t>(-1);

// The types of a type's fields, without const, and the offset of each.
template <class... Fields>
struct field_list {
    std::array<std::size_t, sizeof...(Fields)> offsets;
};

// How many fields T has, up to the first that `{}` can't initialise. Counting ends at max_fields + 1.
template <class T, std::size_t Count = 0>
consteval std::size_t field_count() {
    if constexpr (Count <= max_fields && takes<T, Count + 1>())
        return field_count<T, Count + 1>();
    else
        return Count;
}

// Is field `Index` of T of a class or union type without a name, and so perhaps an anonymous one?
template <class T, std::size_t Index>
consteval bool is_unnamed_field() {
    if constexpr (takes<T, Index, anything_named<T>>())
        return false;
    else
        return takes<T, Index, anything<T>>();  // an array takes neither
}

template <class T, std::size_t... Index>
consteval bool has_unnamed_fields(std::index_sequence<Index...>) {
    return (is_unnamed_field<T, Index>() || ...);
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

// Where in T the address is, most likely at or after `from`. The first guess, the next multiple of the field's own
// alignment, is nearly always right. With packed fields or alignas it is another power of two. Only
// [[no_unique_address]] and unnamed bit-fields need a search. The search is short, because each step costs compile
// time.
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
    for (const std::size_t offset : find_offsets<T>(bind_fields<T, Count>().addresses).offsets)
        if (offset == no_offset) return false;
    return true;
}

// False also where `all_found` is no constant: a reference has no address inside of T, nor a known one.
template <class T, std::size_t Count>
concept locatable = std::bool_constant < all_found<T, Count>()
> ::value;

template <class T>
consteval auto find_fields() {
    if constexpr (!separable<T>()) {
        return no_fields{};
    } else {
        constexpr std::size_t count = field_count<T>();
        if constexpr (std::is_same_v<decltype(bind_fields<T, count>().addresses), no_fields>)
            return no_fields{};
        else if constexpr (locatable<T, count>)
            return find_offsets<T>(bind_fields<T, count>().addresses);
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
