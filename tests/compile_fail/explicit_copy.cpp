// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

struct message {
    message() = default;
    explicit message(const message&) = default;
    int number;
};

bool use() { return promisqs::shmem_queue<message>::open("explicit").empty(); }
