// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

struct message {
    int number;
    double price[3];
};

void use() {
    auto q = promisqs::shmem_queue<message>::create("compiles", 8);
    if (q.push({1, {}}) && q.try_push({2, {}}) == promisqs::status::ok) static_cast<void>(q.pop());
}
