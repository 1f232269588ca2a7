// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

struct message;

bool use() { return promisqs::shmem_queue<message>::open("incomplete").empty(); }
