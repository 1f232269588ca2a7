// SPDX-License-Identifier: Apache-2.0
#include "other.hpp"

#include <promisqs/queue.hpp>

#include <string>

bool push_from_elsewhere(const std::string& queue_name, const message& m) {
    return promisqs::shmem_queue<message>::open(queue_name).push(m);
}
