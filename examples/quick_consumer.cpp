// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#include <array>
#include <cstdint>
#include <cstdio>
#include <thread>

struct Message {
    std::uint64_t id;
    std::array<char, 24> address;
    std::array<std::uint8_t, 32> payload;
};

int main(int argc, char** argv) {
    auto orders = promisqs::shmem_queue<Message>::open_or_create(argc > 1 ? argv[1] : "orders", 1024);
    std::uint64_t received = 0;
    while (received < 1'000'000) {
        const auto order = orders.pop();
        if (!order) {
            std::this_thread::yield();  // empty
        } else if (order->id != ++received) {
            std::puts("an order is missing");
            return 1;
        }
    }
    std::puts("received 1000000 orders, all in order");
}
