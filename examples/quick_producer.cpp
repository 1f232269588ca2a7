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
    for (std::uint64_t id = 1; id <= 1'000'000; ++id) {
        const Message order{id, {"221b Baker Street"}, {}};
        while (!orders.push(order)) std::this_thread::yield();  // full
    }
    std::puts("sent 1000000 orders");
}
