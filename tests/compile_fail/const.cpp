// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

promisqs::shmem_queue<const int>* q;
