// SPDX-License-Identifier: Apache-2.0
//
// A program of two translation units that both include the library: what is defined in headers has to be inline.

#include "other.hpp"

#include <promisqs/queue.hpp>

#include <unistd.h>

#include <cstdio>
#include <string>

int main() {
    const std::string name = "promisqs-consumer-" + std::to_string(::getpid());
    auto queue = promisqs::shmem_queue<message>::create(name, 2);

    if (!push_from_elsewhere(name, {7, 0.5})) {
        std::puts("could not push");
        return 1;
    }
    const auto received = queue.pop();
    if (!received || received->number != 7 || received->price != 0.5) {
        std::puts("did not receive what was pushed");
        return 1;
    }
    std::puts("received what was pushed");
    return queue.empty() ? 0 : 1;
}
