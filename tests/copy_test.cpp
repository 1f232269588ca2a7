// SPDX-License-Identifier: Apache-2.0

// An optional that is made of bytes is what the language would have made.

#include "support/catch.hpp"

#include <promisqs/detail/queue/copy.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <utility>

namespace {

template <std::size_t Size, std::size_t Alignment>
struct alignas(Alignment) bytes {
    std::array<unsigned char, Size> data;
    friend bool operator==(const bytes&, const bytes&) = default;
};

/// Copies a message between bytes of another value.
template <class T>
bool is_copied(unsigned char value, unsigned char around) {
    struct {
        std::array<unsigned char, 64> before;
        T message;
        std::array<unsigned char, 64> after;
    } from{}, to{};
    for (auto* const place : {&from, &to}) {
        place->before.fill(around);
        place->after.fill(around);
    }
    from.message.data.fill(value);
    from.message.data.back() ^= 1U;  // ends matter
    const std::optional<T> made = promisqs::detail::optional_copy_of<T>(&from.message);
    promisqs::detail::copy_bytes<T>(&to.message, &from.message);

    std::optional<T> assigned;
    if (assigned.has_value()) return false;
    assigned = made;
    return made.has_value() && *made == from.message && assigned == made && to.message == from.message &&
           to.before == from.before && to.after == from.after && !promisqs::detail::empty_optional<T>().has_value();
}

template <std::size_t Size, std::size_t Alignment>
bool is_copied_whatever_it_holds() {
    if constexpr (Size % Alignment != 0) {
        return true;  // there is no such type
    } else {
        using message = bytes<Size, Alignment>;
        return is_copied<message>(0, 0xFF) && is_copied<message>(0xFF, 0) && is_copied<message>(0xA5, 0x5A);
    }
}

template <std::size_t Alignment, std::size_t... Before>
void expect_copied(std::index_sequence<Before...> /*sizes, without the last*/) {
    const std::array<bool, sizeof...(Before)> copied{is_copied_whatever_it_holds<Before + 1, Alignment>()...};
    for (std::size_t i = 0; i < copied.size(); ++i) {
        CAPTURE(i + 1, Alignment);
        CHECK(copied.at(i));
    }
}

}  // namespace

TEST_CASE("an optional is a copy of the message, for each small size and alignment") {
    expect_copied<1>(std::make_index_sequence<48>());
    expect_copied<2>(std::make_index_sequence<48>());
    expect_copied<4>(std::make_index_sequence<48>());
    expect_copied<8>(std::make_index_sequence<48>());
    expect_copied<16>(std::make_index_sequence<48>());
}

TEST_CASE("an optional is a copy of the message, on both sides of each limit") {
    CHECK(is_copied_whatever_it_holds<255, 1>());
    CHECK(is_copied_whatever_it_holds<256, 1>());
    CHECK(is_copied_whatever_it_holds<256, 8>());
    CHECK(is_copied_whatever_it_holds<257, 1>());
    CHECK(is_copied_whatever_it_holds<264, 8>());
    CHECK(is_copied_whatever_it_holds<320, 64>());
    CHECK(is_copied_whatever_it_holds<4095, 1>());
    CHECK(is_copied_whatever_it_holds<4096, 64>());
}
