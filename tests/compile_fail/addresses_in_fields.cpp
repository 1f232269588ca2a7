// SPDX-License-Identifier: Apache-2.0

// Elements with an address in them, each in another way: each is refused once.

#include <promisqs/queue.hpp>

#include <array>
#include <functional>
#include <span>
#include <string_view>

static int number;

struct view {
    std::string_view text;
};
struct span {
    std::span<const int> numbers;
};
struct fixed_span {
    std::span<const int, 3> numbers;
};
struct wrapper {
    int first;
    std::reference_wrapper<int> second;
};
struct function {
    void (*call)();
};
struct member {
    int view::*what;
};
struct null {
    std::nullptr_t nothing;
};
struct array {
    std::array<const char*, 4> names;
};
struct inner {
    char* text;
};
struct nested {
    int first;
    inner second[2];
};
struct constant {
    int first;
    const void* const second;
};
struct beside_bits {
    unsigned first : 3;
    unsigned second : 5;
    void* third;
};
struct reference {
    int first;
    int& second;
};
struct references {
    int& first;
    double& second;
    int third;
};
struct const_reference {
    int first;
    const int& second;
};
struct initialised_reference {
    int first;
    int& second = number;
};
struct beside_unnamed {
    struct {
        int first;
    } second;
    char* third;
};

template <class... T>
bool all() {
    return (promisqs::shmem_queue<T>::open("addresses").empty() && ...);
}
bool use() {
    return all<view, span, fixed_span, wrapper, function, member, null, array, nested, constant, beside_bits, reference,
               references, const_reference, initialised_reference, beside_unnamed>();
}
