// SPDX-License-Identifier: Apache-2.0

// Runs the tests; or, started by a test as `--role NAME ARGUMENT…`, plays a part in one.

#define CATCH_CONFIG_RUNNER  // Catch2 2 puts its implementation here
#include "support/catch.hpp"

#include "support/process.hpp"

#include <cstdio>
#include <string_view>
#include <vector>

int main(int argc, char** argv) {
    if (argc >= 3 && std::string_view(argv[1]) == "--role") {
        return promisqs_test::play_role(argv[2], std::vector<std::string>(argv + 3, argv + argc));
    }
    return Catch::Session().run(argc, argv);
}
