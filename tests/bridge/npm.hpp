// SPDX-License-Identifier: Apache-2.0
#pragma once

// Scripts of npm/, run by node with the packages that tools/setup has installed.

#include "support/process.hpp"
#include "support/skip.hpp"
#include "tool/run_tool.hpp"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

namespace promisqs_test {

inline tool_result run_script(const std::string& name, arguments args, std::string_view input = {}) {
    const nameless_file in(input);
    const nameless_file out;
    const nameless_file err;
    args.insert(args.begin(), {PROMISQS_NODE, PROMISQS_BRIDGE_TESTS "/npm/" + name});
    std::vector<char*> raw;
    for (auto& arg : args) raw.push_back(arg.data());
    raw.push_back(nullptr);
    const int exit = wait_for(forked([&] {
        ::setenv("NODE_PATH", PROMISQS_NPM "/node_modules", 1);
        ::dup2(in.descriptor(), STDIN_FILENO);
        ::dup2(out.descriptor(), STDOUT_FILENO);
        ::dup2(err.descriptor(), STDERR_FILENO);
        ::execv(raw[0], raw.data());
        return 96;
    }));
    return {exit, out.content(), err.content()};
}

inline bool has_npm_client() {
    return ::access(PROMISQS_NODE, X_OK) == 0 && ::access(PROMISQS_NPM "/node_modules/nats/package.json", R_OK) == 0;
}

/// The first line of a test that needs the client.
#define NEEDS_NPM_CLIENT \
    SKIP_UNLESS(has_npm_client(), "node, or its package nats, is not installed: tools/setup does that")

}  // namespace promisqs_test
