// SPDX-License-Identifier: Apache-2.0
#include <promisqs/wait_any.hpp>

#include <chrono>
#include <stop_token>

bool ready(const promisqs::shmem_queue<int>& queue, const std::stop_token& stop) {
    return promisqs::wait_any(queue, stop, std::chrono::seconds(1)).has_value();  // the limit comes first
}
