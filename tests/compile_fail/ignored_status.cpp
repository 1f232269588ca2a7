// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#pragma GCC diagnostic error "-Wunused-result"

void use(promisqs::shmem_queue<int>& q) { q.try_push(1); }
