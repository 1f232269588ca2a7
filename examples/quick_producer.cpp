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
    for (std::uint64_t id = 1; id <= 1'000'000; ++id) {
        const Message order{id, {"221b Baker Street"}, {}};
        if (orders.push_wait(order) != promisqs::status::ok) {  // waits while the queue is full
            std::cerr << "the queue has been closed\n";
            return 1;
        }
    }
    orders.close();  // nothing more will come: the consumer takes what is left, and ends
    std::cout << "sent 1000000 orders\n";
} catch (const promisqs::queue_error& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
