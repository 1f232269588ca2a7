// SPDX-License-Identifier: Apache-2.0

// A queue for the reader to look at: its name is the argument, and it is there from the line "ready" on standard output
// until standard input ends. check.py knows what is in it.

#include <promisqs/queue.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

enum class side : std::uint8_t { buy = 1, sell = 2 };

struct level {
    double price;
    std::int32_t change;
};

struct order {
    std::uint64_t id;
    std::array<char, 12> symbol;
    side direction;
    bool urgent;
    std::array<std::array<std::int16_t, 2>, 2> corners;
    std::array<level, 2> levels;
    float ratio;
    std::chrono::nanoseconds sent;  // opaque
};

order make_order(std::uint32_t number) {
    const auto n = static_cast<std::int16_t>(number);
    order result{};
    result.id = (std::uint64_t{1} << 63) + number;
    result.symbol = {'o', 'r', 'd', 'e', 'r', ' ', static_cast<char>('a' + number)};
    result.direction = number % 2 == 0 ? side::buy : side::sell;
    result.urgent = number % 3 == 0;
    result.corners[0] = {n, static_cast<std::int16_t>(-n)};
    result.corners[1] = {static_cast<std::int16_t>(100 + n), static_cast<std::int16_t>(-100 - n)};
    result.levels[0] = {0.5 + number, -n};
    result.levels[1] = {1e300, n};
    result.ratio = 0.25F;
    result.sent = std::chrono::nanoseconds(number);
    return result;
}

}  // namespace

template <>
struct promisqs::schema_name<order> {
    static constexpr std::string_view name = "test.order";
    static constexpr std::uint32_t version = 2;
};

namespace {

using queue = promisqs::shmem_queue<order>;

// Tickets 0 to 7 are pushed, and 0 to 3 popped: with places for five, the second lap has begun.
void fill(queue& producer, queue& consumer) {
    std::uint32_t number = 0;
    const auto push = [&](std::uint32_t count) {
        for (; count != 0; --count, ++number) {
            if (!producer.push(make_order(number))) throw std::runtime_error("full");
        }
    };
    push(5);
    for (int i = 0; i < 4; ++i) {
        if (!consumer.pop()) throw std::runtime_error("empty");
    }
    push(3);
}

void serve(const std::string& name) {
    // Two handles, so that there are two participants.
    queue producer = queue::create(name, 5, {.life = promisqs::lifetime::keep, .participants = 3});
    const struct removal {
        const std::string& name;
        ~removal() { queue::remove(name); }
    } at_the_end{name};
    queue consumer = queue::open(name);
    fill(producer, consumer);
    std::cout << "ready" << std::endl;
    while (std::cin.get() != EOF) {}
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc != 2) throw std::runtime_error("expected one argument, the queue's name");
        serve(argv[1]);
    } catch (const std::exception& error) {
        std::cerr << "make_queue: " << error.what() << '\n';
        return 1;
    }
}
