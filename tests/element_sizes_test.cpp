// SPDX-License-Identifier: Apache-2.0

// One queue for each of many sizes and alignments. They take long to compile, so one build has them: the optimised one.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/patterned.hpp"

#include <promisqs/queue.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

using promisqs::shmem_queue;
using promisqs::status;
using promisqs_test::patterned;
using promisqs_test::scoped_name;

namespace {

template <std::size_t Size>
struct bytes {
    std::array<unsigned char, Size> data;
    friend bool operator==(const bytes&, const bytes&) = default;
};

template <std::size_t Size, std::size_t Alignment>
struct alignas(Alignment) aligned_bytes {
    std::array<unsigned char, Size> data;
    friend bool operator==(const aligned_bytes&, const aligned_bytes&) = default;
};

}  // namespace

TEMPLATE_TEST_CASE("elements of every size and alignment arrive as they were sent", "", bytes<1>, bytes<2>, bytes<3>,
                   bytes<7>, bytes<8>, bytes<9>, bytes<24>, bytes<32>, bytes<33>, bytes<56>, bytes<64>, bytes<65>,
                   bytes<255>, bytes<256>, bytes<1000>, bytes<4096>, bytes<65537>, (aligned_bytes<16, 16>),
                   (aligned_bytes<64, 64>), (aligned_bytes<128, 128>), (aligned_bytes<512, 256>),
                   (aligned_bytes<4096, 4096>)) {
    const scoped_name name("elements");
    auto q = shmem_queue<TestType>::create(name, 3);
    auto out = std::make_unique<TestType>();

    for (std::uint64_t i = 0; i < 10; i += 3) {
        for (std::uint64_t j = i; j < i + 3; ++j) REQUIRE(q.push(patterned<TestType>(j)));
        REQUIRE(q.try_peek(*out) == status::ok);
        CHECK((*out == patterned<TestType>(i)));
        CHECK((*q.pop() == patterned<TestType>(i)));
        REQUIRE(q.try_pop(*out) == status::ok);
        CHECK((*out == patterned<TestType>(i + 1)));
        CHECK((*q.pop() == patterned<TestType>(i + 2)));
    }
}

// The calls that return a message make it in several ways, by its size.

namespace {

enum class colour : std::uint8_t { red = 1, green = 200 };
enum wide : std::int64_t { none, all = -1 };

struct no_default {
    explicit no_default(std::uint64_t v) : value(v) {}
    std::uint64_t value;
};

template <std::size_t Size>
struct constant_bytes {
    const unsigned char first;
    std::array<unsigned char, Size - 1> rest;
};

/// Some message of a type, another one for each number.
template <class T>
T message_of(std::uint64_t number) {
    if constexpr (std::is_same_v<T, bool>) {
        return number % 2 == 1;
    } else if constexpr (std::is_same_v<T, float>) {
        constexpr std::array<std::uint32_t, 4> odd{0x7FC0'0001, 0xFFBF'FFFF, 0x8000'0000, 1};  // NaNs of both kinds
        return std::bit_cast<float>(odd.at(number % 4));
    } else if constexpr (std::is_same_v<T, double>) {
        constexpr std::array<std::uint64_t, 4> odd{0x7FF8'0000'0000'0001, 0xFFF4'0000'0000'0000, 0x8000'0000'0000'0000,
                                                   1};
        return std::bit_cast<double>(odd.at(number % 4));
    } else {
        // All bytes alike, too: no bit of the message is taken for one that says that there is one.
        if (number % 3 == 2) return patterned<T>(number);
        std::array<unsigned char, sizeof(T)> bytes{};
        bytes.fill(number % 3 == 0 ? 0xFF : 0);
        return std::bit_cast<T>(bytes);
    }
}

template <class T>
auto bytes_of(const T& message) {
    return std::bit_cast<std::array<unsigned char, sizeof(T)>>(message);
}

/// A call that returns a message, if there is one.
template <class T>
struct taking_call {
    std::string_view name;
    std::optional<T> (*make)(shmem_queue<T>&);
};

std::stop_token stopped() {
    std::stop_source source;
    source.request_stop();
    return source.get_token();
}

template <class T>
std::optional<T> pop_by_iterator(shmem_queue<T>& q) {
    const auto it = q.begin();
    if (it == q.end()) return std::nullopt;
    return *it;
}
template <class T>
std::optional<T> peek_and_pop(shmem_queue<T>& q) {
    std::optional<T> message = q.peek();
    const std::optional<T> same = q.pop();
    return message && same && bytes_of(*message) == bytes_of(*same) ? same : std::nullopt;
}
template <class T>
std::optional<T> pop_in_place(shmem_queue<T>& q) {
    std::unique_ptr<T> copy;
    q.pop_with([&](const T& message) { copy = std::make_unique<T>(message); });
    if (!copy) return std::nullopt;
    return *copy;
}

template <class T>
constexpr std::array<taking_call<T>, 6> taking_calls{{
    {"pop", [](shmem_queue<T>& q) { return q.pop(); }},
    {"pop_wait", [](shmem_queue<T>& q) { return q.pop_wait(stopped()); }},
    {"pop_wait_for", [](shmem_queue<T>& q) { return q.pop_wait_for(std::chrono::seconds(0)); }},
    {"an iterator", &pop_by_iterator<T>},
    {"peek", &peek_and_pop<T>},
    {"pop_with", &pop_in_place<T>},
}};

/// Sends messages of a type, and takes each by another call. Each call is once the thread's first, which is made in
/// another way than the others.
///
/// \return  what went wrong; empty if nothing
template <class T>
std::string transported_wrongly() {
    const auto& calls = taking_calls<T>;
    const auto size = " of " + std::to_string(sizeof(T)) + " bytes: ";
    for (std::size_t first = 0; first < calls.size(); ++first) {
        const scoped_name name("by-every-call");
        auto q = shmem_queue<T>::create(name, calls.size());
        for (std::uint64_t i = 0; i < calls.size(); ++i) {
            if (!q.push(message_of<T>(first + i))) return "push" + size + "refused";
        }
        for (std::uint64_t i = 0; i < calls.size(); ++i) {
            const auto& call = calls.at((first + i) % calls.size());
            const std::optional<T> message = call.make(q);
            if (!message) return std::string(call.name) + size + "nothing";
            if (bytes_of(*message) != bytes_of(message_of<T>(first + i))) {
                return std::string(call.name) + size + "another message";
            }
        }
        for (const auto& call : calls) {
            if (call.make(q)) return std::string(call.name) + size + "a message from an empty queue";
        }
        q.close();
        for (const auto& call : calls) {
            if (call.make(q)) return std::string(call.name) + size + "a message from a closed queue";
        }
    }
    return "";
}

template <std::size_t... Before>
std::string transported_wrongly_by_size(std::index_sequence<Before...> /*sizes, without the last*/) {
    std::string wrong;
    static_cast<void>(((wrong = transported_wrongly<bytes<Before + 1>>()).empty() && ...));
    return wrong;
}

}  // namespace

TEST_CASE("every call returns messages of each small size as they were sent") {
    const std::string wrong = transported_wrongly_by_size(std::make_index_sequence<40>());
    CAPTURE(wrong);
    CHECK(wrong.empty());
}

TEMPLATE_TEST_CASE("every call returns messages of all kinds as they were sent", "", bool, char, std::uint16_t,
                   std::uint32_t, std::uint64_t, float, double, colour, wide, no_default,
                   (std::array<std::uint32_t, 3>), (std::array<std::uint16_t, 7>), (std::array<std::uint64_t, 2>),
                   constant_bytes<3>, constant_bytes<15>, constant_bytes<64>, constant_bytes<300>, constant_bytes<5000>,
                   bytes<255>, bytes<256>, bytes<257>, bytes<300>, bytes<4095>, bytes<4096>, bytes<8192>,
                   (aligned_bytes<16, 16>), (aligned_bytes<320, 64>)) {
    const std::string wrong = transported_wrongly<TestType>();
    CAPTURE(wrong);
    CHECK(wrong.empty());
}
