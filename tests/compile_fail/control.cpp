// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#include <array>

struct message {
    int number;
    double price[3];
};

// Elements that look like those that are refused.
struct opaque {
    const char* text;
};
template <>
inline constexpr bool promisqs::treat_as_opaque<opaque> = true;

namespace {
struct without_default {
    explicit without_default(int n) : number(n) {}
    int number;
};
struct unusual {
    unsigned first : 3;
    std::array<opaque, 2> second;
    const double third[2][2];
    std::array<message, 0> fourth;
    without_default fifth;
    union {
        int sixth;
        float seventh;
    };
    bool eighth;
};
}  // namespace

void use() {
    auto q = promisqs::shmem_queue<message>::create("compiles", 8);
    if (q.push({1, {}}) && q.try_push({2, {}}) == promisqs::status::ok) static_cast<void>(q.pop());
    static_cast<void>(promisqs::shmem_queue<opaque>::open("opaque").pop());
    static_cast<void>(promisqs::shmem_queue<unusual>::open("unusual").pop());
}
