// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#include <string>

struct message {
    int number;
    std::string text;  // its bytes are not its value
};

promisqs::shmem_queue<message>* q;
