// SPDX-License-Identifier: Apache-2.0
#include <promisqs/untyped_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

int main(int argc, char** argv) try {
    // To find a queue, not to make one: untyped_queue::open("orders").
    auto orders = promisqs::untyped_queue::open_or_create(argc > 1 ? argv[1] : "orders", 1024,
                                                          "{u64@0 char[24]@8 u8[32]@32}:64:8");
    const promisqs::element_fields fields = orders.fields();
    for (const promisqs::field& one : fields.list()) std::cout << one.path << ": " << one.type << '\n';

    std::vector<std::byte> order(orders.element_size());
    std::uint64_t received = 0;
    for (; orders.pop_wait(order) == promisqs::status::ok; ++received) {
        if (received == 0) std::cout << "the first goes to " << std::get<std::string>(fields.get(order, "1")) << '\n';
    }
    std::cout << "received " << received << " orders\n";
} catch (const promisqs::queue_error& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
