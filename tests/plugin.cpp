// SPDX-License-Identifier: Apache-2.0

// A plug-in for plugin_test.cpp: it uses a queue inside, of which its host knows nothing.

#include <promisqs/queue.hpp>

#include <cstdint>
#include <optional>

namespace {

using queue = promisqs::shmem_queue<std::uint32_t>;

std::optional<queue>& opened() {
    static std::optional<queue> only_one;
    return only_one;
}

}  // namespace

#define PROMISQS_TEST_EXPORT extern "C" __attribute__((visibility("default")))

PROMISQS_TEST_EXPORT void plugin_open(const char* name) { opened() = queue::open(name); }
PROMISQS_TEST_EXPORT bool plugin_push(std::uint32_t message) { return opened()->push(message); }
PROMISQS_TEST_EXPORT void plugin_close() { opened().reset(); }
