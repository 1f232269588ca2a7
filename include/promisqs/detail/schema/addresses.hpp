// SPDX-License-Identifier: Apache-2.0
#pragma once

// Refuses, at compile time, an element with an address in it, as far as the fields of aggregates can be seen.

#include <promisqs/detail/schema/describe.hpp>
#include <promisqs/detail/schema/fields.hpp>
#include <promisqs/detail/schema/probes.hpp>

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

namespace promisqs::detail {

template <class T>
struct is_view : std::false_type {};
template <class Char, class Traits>
struct is_view<std::basic_string_view<Char, Traits>> : std::true_type {};
template <class T, std::size_t Extent>
struct is_view<std::span<T, Extent>> : std::true_type {};
template <class T>
struct is_view<std::initializer_list<T>> : std::true_type {};
template <class T>
struct is_view<std::reference_wrapper<T>> : std::true_type {};

/// Whether values of T are addresses, or little more.
template <class T>
inline constexpr bool is_address = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T> ||
                                   std::is_reference_v<T> || is_view<std::remove_cv_t<T>>::value;

template <class Field>
// NOLINTNEXTLINE(misc-redundant-expression): the two differ for an array
inline constexpr bool has_address = is_address<Field> || is_address<typename innermost<std::remove_cv_t<Field>>::type>;

/// Refuses a field. The compiler's message names this: the number of the field, counted from 0, and its type.
template <class Element, std::size_t Number, class Field>
consteval bool field() {
    static_assert(!has_address<Field>,
                  "this field of an element is an address (a pointer, a reference, std::string_view, std::span), which "
                  "means nothing in another process: send an index, an offset, or the bytes themselves in a "
                  "std::array; or specialise promisqs::treat_as_opaque as true for the type that the field is in");
    return true;
}

// What follows is for aggregates that can't be taken apart, because of a reference, for one: such a field has no
// address of its own. They are tried with lvalues for fields, which everything takes. An array takes one for each of
// its elements, so the number of a field can come out too large.

template <class T>
struct any_lvalue {
    template <class Other>
    requires(!std::is_same_v<std::remove_cv_t<Other>, T>) operator Other&() const&;
};
struct any_address {
    template <class Other>
    requires(is_address<Other>) operator Other() const&;
};
template <class T, std::size_t>
using lvalue = any_lvalue<T>;

// Can T be initialised by so many lvalues, then by `Last` if there is one, then by so many lvalues?
template <class T, class... Last, std::size_t... Before, std::size_t... After>
consteval bool takes_between(std::index_sequence<Before...> /*before*/, std::index_sequence<After...> /*after*/) {
    return requires { T{lvalue<T, Before>()..., Last()..., lvalue<T, After>()...}; };
}
// The same with `{}` behind the lvalues.
template <class T, std::size_t... Before>
consteval bool takes_nothing_after(std::index_sequence<Before...> /*before*/) {
    return requires { T{lvalue<T, Before>()..., {}}; };
}
// The least number of lvalues that will do, up to max_fields + 1.
template <class T, std::size_t Count = 0>
consteval std::size_t fields_needed() {
    if constexpr (Count > max_fields || takes_between<T>(std::make_index_sequence<Count>(), std::index_sequence<>()))
        return Count;
    else
        return fields_needed<T, Count + 1>();
}
/// What a field that can't be bound is, if it is no good.
struct some_address {};
struct some_type;
template <>
inline constexpr bool is_address<some_address> = true;

template <class T, std::size_t Needed, std::size_t Number = 0>
consteval bool hidden_fields_may_be_sent() {
    using before = std::make_index_sequence<Number>;
    if constexpr (Needed > max_fields || Number > max_fields) {
        return true;
    } else if constexpr (!takes_between<T>(before(), std::index_sequence<>()) && Number >= Needed) {
        return true;  // there are no more
    } else {
        using after = std::make_index_sequence<(Number < Needed ? Needed - Number - 1 : 0)>;
        if constexpr (takes_between<T, any_address>(before(), after()))
            return field<T, Number, some_address>();
        else if constexpr (Number < Needed && !takes_between<T, anything<T>>(before(), after()))
            return field<T, Number, some_type&>();  // only an lvalue will do
        else if constexpr (Number + 1 == Needed && takes_nothing_after<T>(before()))
            return field<T, Number,
                         some_type&>();  // can't be left out, but can be initialised by nothing: by a temporary
        else
            return hidden_fields_may_be_sent<T, Needed, Number + 1>();
    }
}
// A reference with an initialiser of its own.
template <class T>
consteval bool has_initialised_reference() {
    if constexpr (takes<T, 0>()) {
        constexpr std::size_t count = field_count<T>();
        return count <= max_fields && takes<T, count, any_reference>() && !takes<T, count, anything<T>>();
    } else {
        return false;
    }
}

template <class T>
consteval bool holds_no_address();

template <class Element, std::size_t Number, class Field>
consteval bool may_be_sent() {
    using bare = std::remove_cv_t<Field>;
    if constexpr (type_hints<bare>::opaque)
        return true;
    else if constexpr (has_address<bare>)
        return field<Element, Number, Field>();
    else
        return holds_no_address<bare>();
}
template <class T, class Addresses, class... Declared, std::size_t... Number>
consteval bool fields_may_be_sent(bindings<Addresses, Declared...> (* /*fields*/)(),
                                  std::index_sequence<Number...> /*all*/) {
    return (may_be_sent<T, Number, Declared>() && ...);
}

/// Is true, or does not compile: then the message names the field.
template <class T>
consteval bool holds_no_address() {
    if constexpr (type_hints<T>::opaque) {
        return true;
    } else if constexpr (form_of<T>() == form::array) {
        return holds_no_address<typename innermost<T>::type>();
    } else if constexpr (separable<T>()) {
        constexpr std::size_t count = field_count<T>();
        return fields_may_be_sent<T>(&bind_fields<T, count>, std::make_index_sequence<count>());
    } else if constexpr (!std::is_class_v<T> || !std::is_aggregate_v<T>) {
        return true;
    } else if constexpr (has_initialised_reference<T>()) {
        return field<T, field_count<T>(), some_type&>();
    } else {
        return hidden_fields_may_be_sent<T, fields_needed<T>()>();
    }
}

}  // namespace promisqs::detail

#if defined(__clang__)
#pragma clang diagnostic pop
#endif
