// SPDX-License-Identifier: Apache-2.0

// `promisqs ls`: queues of every kind and state, listed by a real process.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"
#include "support/skip.hpp"
#include "support/users.hpp"
#include "tool/run_tool.hpp"
#include "tool/terminal.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <nlohmann/json.hpp>

#include <pwd.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using nlohmann::json;
using promisqs_test::busy_process;
using promisqs_test::number_queue;
using promisqs_test::raw_object;
using promisqs_test::run_tool;
using promisqs_test::scoped_name;

namespace {

constexpr promisqs::options kept{.life = promisqs::lifetime::keep};

std::vector<json> lines_of(const std::string& text) {
    std::vector<json> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(json::parse(line));
    return all;
}

// What the list says of a queue; nothing if it is not there.
json listed(const scoped_name& name) {
    const auto result = run_tool({"ls", "--json"});
    REQUIRE(result.exit == 0);
    REQUIRE(result.err.empty());
    for (const json& line : lines_of(result.out)) {
        if (line["name"] == name.str()) return line;
    }
    return {};
}

// The line of a queue in the list for people.
std::string line_of(const std::string& name) {
    std::istringstream in(run_tool({"ls"}).out);
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with(name + " ")) return line;
    }
    return {};
}

}  // namespace

TEST_CASE("ls shows a queue's type, messages, participants, size, owner and state") {
    const scoped_name name("ls-all");
    auto q = promisqs::untyped_queue::create(name, 5, "acme.order#3 {id:u64@0}:8:8");
    const std::vector<std::byte> message(8);
    REQUIRE(q.push(message));
    REQUIRE(q.push(message));

    const json line = listed(name);

    CHECK(line["type"] == "acme.order#3");
    CHECK(line["size"] == 2);
    CHECK(line["capacity"] == 5);
    CHECK(line["producers"] == json{{"alive", 1}, {"dead", 0}});
    CHECK(line["consumers"] == json{{"alive", 0}, {"dead", 0}});
    CHECK(line["element_size"] == 8);
    CHECK(line["state"] == "in_use");
    CHECK(line["age_seconds"] >= 0);
    CHECK(line["bytes"] == std::filesystem::file_size(name.path()));
    CHECK(line["owner"] == ::getpwuid(::geteuid())->pw_name);
    const std::string text = line_of(name.str());
    for (const char* const word : {"acme.order#3", "2/5", "in use", "KiB"}) CHECK(text.find(word) != text.npos);
}

TEST_CASE("ls counts dead participants apart") {
    const scoped_name name("ls-dead");
    auto q = number_queue::create(name, 5, kept);
    REQUIRE(q.push(1));
    REQUIRE(promisqs_test::dies_popping(q) == -SIGKILL);

    const json line = listed(name);

    CHECK(line["producers"] == json{{"alive", 1}, {"dead", 0}});
    CHECK(line["consumers"] == json{{"alive", 0}, {"dead", 1}});
    CHECK(line_of(name.str()).find("0 (1 dead)") != std::string::npos);
}

TEST_CASE("ls shows the state of each queue") {
    const scoped_name name("ls-state");
    std::optional<number_queue> q(number_queue::create(name, 5, kept));
    CHECK(listed(name)["state"] == "in_use");
    q.reset();
    CHECK(listed(name)["state"] == "abandoned");
    q.emplace(number_queue::open(name));
    q->close();
    CHECK(listed(name)["state"] == "closed");

    const raw_object object(name.path());
    object.write(32, std::uint64_t{0});
    CHECK(listed(name)["state"] == "corrupt");
    object.write(8, std::uint32_t{77});
    CHECK(listed(name)["state"] == "other_layout");
    CHECK(listed(name)["capacity"].is_null());
    CHECK(line_of(name.str()).find("other layout") != std::string::npos);
    object.write(0, promisqs::detail::layout::unfinished_magic);
    CHECK(listed(name)["state"] == "unfinished");
    object.write(0, std::uint64_t{12345});
    CHECK(listed(name).is_null());
}

TEST_CASE("ls shows a queue whose users are all stopped") {
    const scoped_name name("ls-stopped");
    auto q = number_queue::create(name, 5);
    REQUIRE(q.push(1));
    busy_process other([&](auto in_the_middle) { q.pop_with([&](const std::uint64_t&) { in_the_middle(); }); });
    other.stop();
    CHECK(listed(name)["consumers"] == json{{"alive", 1}, {"dead", 0}});
}

TEST_CASE("ls prints no control character of a name") {
    const scoped_name name("ls-\x1b[31m \xc3\xa4 \n\xff end");
    const auto q = number_queue::create(name, 5);
    const auto people = run_tool({"ls"});
    CHECK(people.out.find('\x1b') == std::string::npos);
    CHECK(people.out.find("ls-\\x1b[31m \xc3\xa4 \\x0a\\xff end") != std::string::npos);
    const auto programs = run_tool({"ls", "--json"});
    CHECK(programs.out.find('\x1b') == std::string::npos);
    CHECK(programs.out.find("\\u001b[31m \xc3\xa4 \\n\xef\xbf\xbd end") != std::string::npos);
}

TEST_CASE("ls sorts by name, and keeps its columns though one name is very long") {
    const scoped_name first("ls-sorted-a");
    const scoped_name last("ls-sorted-b" + std::string(180, 'x'));
    const auto q = number_queue::create(last, 5);
    const auto p = number_queue::create(first, 5);
    const std::string out = run_tool({"ls"}).out;
    CHECK(out.find(first.str()) < out.find(last.str()));
    CHECK(line_of(first.str()).size() < 180);
    CHECK(line_of(last.str()).find("in use") != std::string::npos);
}

TEST_CASE("ls --names prints nothing but names") {
    const scoped_name name("ls-names \xc3\xa4");
    const auto q = number_queue::create(name, 5);
    const std::string out = "\n" + run_tool({"ls", "--names"}).out;
    CHECK(out.find("\n" + name.str() + "\n") != std::string::npos);
}

TEST_CASE("ls says that there are objects that this user may not read") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become another user");
    const scoped_name name("ls-denied");
    const auto q = number_queue::create(name, 5);
    const auto result = promisqs_test::run_tool_as(promisqs_test::one_member, {"ls"});
    CHECK(result.exit == 0);
    CHECK(result.out.find(name.str()) == std::string::npos);
    CHECK(result.err.find("not shown: ") != std::string::npos);
}

TEST_CASE("ls leaves out what is least needed where a terminal is too narrow for all of it") {
    SKIP_UNLESS(promisqs_test::terminal::is_possible(), "tmux is not there");
    const scoped_name name("ls-narrow");
    const auto q = number_queue::create(name, 4, {.participants = 1});
    const auto header_at = [](unsigned columns) {
        const promisqs_test::terminal screen(columns, 500);  // other queues may be there
        screen.type(std::string(PROMISQS_TOOL) + " ls");
        CHECK(screen.shows("state"));
        for (const std::string& line : screen.lines()) {
            if (line.rfind("name ", 0) == 0) return line;
        }
        return std::string();
    };
    CHECK(header_at(200).find("owner") != std::string::npos);
    const std::string narrow = header_at(80);
    CHECK(narrow.find("owner") == std::string::npos);
    CHECK(narrow.find("consumers") != std::string::npos);
    CHECK(narrow.find("state") != std::string::npos);
}
