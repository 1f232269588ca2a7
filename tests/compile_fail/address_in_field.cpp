// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

struct message {
    int number;
    const char* text;
};

bool use() { return promisqs::shmem_queue<message>::open("addresses").empty(); }
