// SPDX-License-Identifier: Apache-2.0

// The manual page and the completions, which the program makes of itself, in the programs that read them.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/skip.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/queue.hpp>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using promisqs_test::nameless_file;
using promisqs_test::run_tool;
using promisqs_test::scoped_name;

namespace {

std::string path_of(const nameless_file& file) {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file.descriptor());
}

bool is_installed(const std::string& program) {
    return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

struct outcome {
    int status;
    std::string out;
};
/// Runs a command with the program in its PATH.
outcome run(const std::string& command) {
    const nameless_file out;
    const auto folder = std::filesystem::path(PROMISQS_TOOL).parent_path().string();
    const std::string line = "PATH='" + folder + "':$PATH; { " + command + "\n} >" + path_of(out) + " 2>&1";
    const int status = std::system(line.c_str());
    return {status, out.content()};
}

/// What bash completes, the last of these words being typed half.
std::set<std::string> completed(const std::vector<std::string>& words) {
    std::string script = "source <(promisqs completion bash); COMP_WORDS=(promisqs";
    for (const std::string& word : words) script += " '" + word + "'";
    script += "); COMP_CWORD=" + std::to_string(words.size()) + "; _promisqs; printf '%s\\n' \"${COMPREPLY[@]}\"";
    const nameless_file file(script);
    const auto result = run("bash " + path_of(file));
    REQUIRE(result.status == 0);
    std::istringstream in(result.out);
    std::set<std::string> all;
    for (std::string line; std::getline(in, line);) {
        if (!line.empty()) all.insert(line);
    }
    return all;
}

}  // namespace

TEST_CASE("bash completes commands, options and the values that they can have") {
    SKIP_UNLESS(is_installed("bash"), "there is no bash");
    CHECK(completed({"sho"}) == std::set<std::string>{"show"});
    CHECK(completed({"c"}).contains("create"));
    CHECK(completed({"show", "--j"}) == std::set<std::string>{"--json"});
    CHECK(completed({"create", "x", "--lifetime", "k"}) == std::set<std::string>{"keep"});
    CHECK(completed({"completion", "z"}) == std::set<std::string>{"zsh"});
    CHECK(completed({"create", ""}).empty());
}

TEST_CASE("bash completes the names of queues, quoted where needed") {
    SKIP_UNLESS(is_installed("bash"), "there is no bash");
    const scoped_name plain("complete-a");
    const scoped_name odd("complete-b c;d");
    const scoped_name colon("complete-e:f");
    const auto p = promisqs::shmem_queue<std::uint64_t>::create(plain, 1);
    const auto q = promisqs::shmem_queue<std::uint64_t>::create(odd, 1);
    const auto r = promisqs::shmem_queue<std::uint64_t>::create(colon, 1);
    const std::string begin = "promisqs-test-" + std::to_string(::getpid()) + "-complete-";
    CHECK(completed({"show", begin + "a"}) == std::set<std::string>{plain.str()});
    CHECK(completed({"show", begin + "b"}) == std::set<std::string>{begin + "b\\ c\\;d"});
    CHECK(completed({"show", begin}).size() == 3);
    CHECK(completed({"rm", plain.str(), begin + "a"}) == std::set<std::string>{plain.str()});
    CHECK(completed({"show", plain.str(), begin}).empty());
    CHECK(completed({"create", "x", "--like", begin + "a"}) == std::set<std::string>{plain.str()});
    CHECK(completed({"create", "--like", plain.str(), "--capacity", "1", begin}).empty());
    CHECK(completed({"show", begin + "e", ":", "f"}) == std::set<std::string>{"f"});
    CHECK(completed({"show", begin + "e", ":"}) == std::set<std::string>{"f"});
}

TEST_CASE("fish completes commands, options and the names of queues") {
    SKIP_UNLESS(is_installed("fish"), "there is no fish");
    const scoped_name name("complete-fish");
    const auto q = promisqs::shmem_queue<std::uint64_t>::create(name, 1);
    const std::string ask = "fish -c \"promisqs completion fish | source; complete -C 'promisqs ";
    CHECK(run(ask + "sho'\"").out.starts_with("show\t"));
    CHECK(run(ask + "show --j'\"").out.starts_with("--json\t"));
    CHECK(run(ask + "show " + name.str().substr(0, name.str().size() - 1) + "'\"").out == name.str() + "\n");
}

TEST_CASE("zsh takes its completions") {
    SKIP_UNLESS(is_installed("zsh"), "there is no zsh");
    const auto result =
        run("zsh -f -c 'autoload -U compinit; compinit -u -D; source <(promisqs completion zsh); "
            "[[ $_comps[promisqs] = _promisqs ]]'");
    CAPTURE(result.out);
    CHECK(result.status == 0);
    CHECK(result.out.empty());
}

TEST_CASE("the manual page has each command") {
    const auto page = run_tool({"man"});
    CHECK(page.exit == 0);
    for (const char* const part : {".SH NAME", ".SS \"ls\"", ".SS \"doctor\"", ".SH EXIT STATUS", "\\-\\-json"})
        CHECK(page.out.find(part) != std::string::npos);
}

TEST_CASE("man shows the manual page without a warning") {
    SKIP_UNLESS(is_installed("man"), "there is no man");
    const nameless_file file(run_tool({"man"}).out);
    const auto shown = run("MANWIDTH=80 man --warnings -l " + path_of(file) + " | head -n 3");
    CHECK(shown.out.find("PROMISQS(1)") != std::string::npos);
    const auto complaints = run("man --warnings -l " + path_of(file) + " 2>&1 >/dev/null");
    CHECK(complaints.out.empty());
}

TEST_CASE("mandoc finds no fault with the manual page") {
    SKIP_UNLESS(is_installed("mandoc"), "there is no mandoc");
    const nameless_file file(run_tool({"man"}).out);
    const auto complaints = run("mandoc -T lint -W warning " + path_of(file) + " | grep -v 'missing date'");
    CHECK(complaints.out.empty());
}

TEST_CASE("completion for a shell that it does not know is wrong use") {
    const auto result = run_tool({"completion", "csh"});
    CHECK(result.exit == 2);
    CHECK(result.err.find("bash") != std::string::npos);
}
