// SPDX-License-Identifier: Apache-2.0

#include "support/catch.hpp"
#include "tool/run_tool.hpp"

using promisqs_test::run_tool;

TEST_CASE("the program says its version") {
    const auto result = run_tool({"--version"});
    CHECK(result.exit == 0);
    CHECK(result.out.starts_with("promisqs "));
    CHECK(result.err.empty());
}

TEST_CASE("a command that is none is wrong use") {
    const auto result = run_tool({"lx"});
    CHECK(result.exit == 2);
    CHECK(result.out.empty());
    CHECK(result.err.find("promisqs --help") != std::string::npos);
}
