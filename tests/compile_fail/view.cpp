// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#include <string_view>

promisqs::shmem_queue<std::string_view>* q;
