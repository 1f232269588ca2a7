// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#include <array>
#include <cstdint>
#include <iostream>

struct Message {
    std::uint64_t id;
    std::array<char, 24> address;
    std::array<std::uint8_t, 32> payload;
};

int main(int argc, char** argv) try {
    auto orders = promisqs::shmem_queue<Message>::open_or_create(argc > 1 ? argv[1] : "orders", 1024);
    std::uint64_t received = 0;
    std::uint64_t last = 0;
    while (auto order = orders.pop_wait()) {  // waits while the queue is empty, until it is closed
        if (received != 0 && order->id != last + 1)
            std::cout << "order " << order->id << " came after order " << last << '\n';
        last = order->id;
        ++received;
    }
    std::cout << "received " << received << " orders\n";
} catch (const promisqs::queue_error& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
