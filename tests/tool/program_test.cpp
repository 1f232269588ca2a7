// SPDX-License-Identifier: Apache-2.0

// The command line: help, and what is said of what can't be done.

#include "support/catch.hpp"
#include "tool/run_tool.hpp"

#include <algorithm>
#include <sstream>
#include <string>

using promisqs_test::arguments;
using promisqs_test::run_tool;

namespace {

std::size_t longest_line(const std::string& text) {
    std::size_t longest = 0;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) longest = std::max(longest, line.size());
    return longest;
}

// A command line that is wrong, and what is said of it.
void is_refused(const arguments& args, const std::string& sentence, const std::string& help) {
    const auto result = run_tool(args);
    CAPTURE(result.err);
    CHECK(result.exit == 2);
    CHECK(result.out.empty());
    CHECK(result.err == "promisqs: " + sentence + "\nSee: " + help + "\n");
}

}  // namespace

TEST_CASE("the program says its version") {
    const auto result = run_tool({"--version"});
    CHECK(result.exit == 0);
    CHECK(result.out.starts_with("promisqs "));
    CHECK(result.err.empty());
}

TEST_CASE("a command that is none is wrong use, and the nearest one is named") {
    is_refused({"lx"}, "there is no command \"lx\". Did you mean ls?", "promisqs --help");
    is_refused({"craete"}, "there is no command \"craete\". Did you mean create?", "promisqs --help");
    is_refused({"sho"}, "there is no command \"sho\". Did you mean show?", "promisqs --help");
    is_refused({"qqqqqqqq"}, "there is no command \"qqqqqqqq\"", "promisqs --help");
    is_refused({"\x1b[1m"}, "there is no command \"\\x1b[1m\"", "promisqs --help");
}

TEST_CASE("what is missing, or too many, in a command line is named") {
    is_refused({"show"}, "NAME is missing: The queue's name, as `promisqs ls` shows it", "promisqs show --help");
    is_refused({"show", "a", "b"}, "\"b\" is an argument too many", "promisqs show --help");
    is_refused({"show", "--jsn", "a"}, "there is no option --jsn. Did you mean --json?", "promisqs show --help");
    is_refused({"create", "a", "--capacity"}, "--capacity is missing its value", "promisqs create --help");
    is_refused({"create", "a", "--capacity", "x"}, "--capacity: expected a number in its range, found \"x\"",
               "promisqs create --help");
}

TEST_CASE("without a command, the help is shown, as an error") {
    const auto result = run_tool({});
    CHECK(result.exit == 2);
    CHECK(result.out.empty());
    CHECK(result.err.find("Usage: promisqs COMMAND") != std::string::npos);
}

TEST_CASE("the help lists the commands, each with one line, within 80 columns") {
    const auto result = run_tool({"--help"});
    CHECK(result.exit == 0);
    CHECK(result.err.empty());
    for (const char* const command : {"\n  ls  ", "\n  show  ", "\n  create  ", "\n  rm  "})
        CHECK(result.out.find(command) != std::string::npos);
    CHECK(result.out.find("Exit codes:") != std::string::npos);
    CHECK(longest_line(result.out) <= 80);
}

TEST_CASE("the help of each command has its usage, details, options and examples") {
    std::istringstream lines(run_tool({"--help"}).out);
    int commands = 0;
    for (std::string line; std::getline(lines, line) && line != "Options:";) {
        if (!line.starts_with("  ") || line[2] == ' ') continue;
        const std::string name = line.substr(2, line.find(' ', 2) - 2);
        const auto result = run_tool({name, "--help"});
        CAPTURE(name, result.out);
        CHECK(result.exit == 0);
        CHECK(result.out.find("\nUsage: promisqs " + name) != std::string::npos);
        CHECK(result.out.find("\nOptions:\n") != std::string::npos);
        CHECK(result.out.find("\nExamples:\n  promisqs ") != std::string::npos);
        ++commands;
    }
    CHECK(commands > 3);
}
