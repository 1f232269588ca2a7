// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

struct alignas(8192) message {
    int number;
};

promisqs::shmem_queue<message>* q;
