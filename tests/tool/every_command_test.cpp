// SPDX-License-Identifier: Apache-2.0

// What has to be true of each command: of any queue, in any state, under any name, for any user.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/skip.hpp"
#include "support/users.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using promisqs_test::arguments;
using promisqs_test::busy_process;
using promisqs_test::number_queue;
using promisqs_test::run_tool;
using promisqs_test::scoped_name;

namespace {

constexpr promisqs::options kept{.life = promisqs::lifetime::keep};
constexpr promisqs::options last_close{.life = promisqs::lifetime::remove_on_last_close};

/// A command, and what it does with the queue.
struct use {
    std::string what;  ///< the command, and the option that makes it another one
    arguments options;
    std::string input = {};
    bool takes_part = false;
    std::int64_t adds = 0;  ///< so many messages

    [[nodiscard]] arguments of(const std::string& queue) const {
        arguments all{what.substr(0, what.find(' '))};
        all.insert(all.end(), options.begin(), options.end());
        if (all[0] == "replay") {
            all.insert(all.end(), {"--", "-", queue});
        } else if (all[0] == "record") {
            all.insert(all.end(), {"--", queue, "-"});
        } else {
            all.insert(all.end(), {"--", queue});
        }
        return all;
    }
};

// Of one message, in a queue of numbers.
const std::string& a_recording() {
    static const std::string bytes = [] {
        const scoped_name name("every-recorded");
        auto q = number_queue::create(name, 8);
        REQUIRE(q.push(7));
        return run_tool({"record", name.str(), "-", "--from", "left", "-n", "1"}).out;
    }();
    return bytes;
}

std::vector<use> every_use() {
    return {{"show", {}},
            {"show --json", {"--json"}},
            {"peek", {}},
            {"tail", {"--from", "left", "-n", "1"}},
            {"top", {"-n", "1", "--interval", "0.05"}},
            {"export", {}},
            {"doctor", {}},
            {"record", {"--from", "left", "-n", "1"}},
            {"record --drain", {"--drain", "-n", "1"}, {}, true, -1},
            {"replay", {}, a_recording(), true, 1},
            {"push", {}, "7\n", true, 1},
            {"pop", {}, {}, true, -1},
            {"close", {}, {}, true}};
}

using exit_codes = std::map<std::string, int>;

int expected_of(const use& one, const exit_codes& others, int usual = 0) {
    const auto found = others.find(one.what);
    return found == others.end() ? usual : found->second;
}

std::int64_t messages_in(const std::string& name) {
    return static_cast<std::int64_t>(promisqs::inspector(name).stats().size);
}

enum class fate { stopped, killed, abandoned };

/// A queue with three messages, whose only process is stopped or killed in a pop of the first; or killed elsewhere.
class unattended_queue {
public:
    unattended_queue(const std::string& name, fate which)
        : user_([&](auto in_the_middle) {
              auto q = number_queue::create(name, 8, last_close);
              for (std::uint64_t i = 1; i <= 3; ++i) static_cast<void>(q.push(i));
              if (which == fate::abandoned) in_the_middle();
              q.pop_with([&](const std::uint64_t&) { in_the_middle(); });
          }) {
        if (which == fate::stopped) {
            user_.stop();
        } else {
            user_.kill();
        }
    }

private:
    busy_process user_;
};

void works_with_each(fate which, const exit_codes& codes) {
    for (const use& one : every_use()) {
        const scoped_name name("every-unattended");
        const unattended_queue queue(name.str(), which);
        const std::int64_t before = messages_in(name.str());
        const auto result = run_tool(one.of(name.str()), one.input);
        CAPTURE(one.what, result.err, before);
        CHECK(result.exit == expected_of(one, codes));
        REQUIRE(name.exists());  // also that of which a program was the last that had it open
        if (!one.takes_part) CHECK(messages_in(name.str()) == before);
    }
}

void keeps_what_it_does_not_take(fate which) {
    for (const use& one : every_use()) {
        const scoped_name name("every-kept");
        const unattended_queue queue(name.str(), which);
        static_cast<void>(run_tool(one.of(name.str()), one.input));
        CAPTURE(one.what);
        REQUIRE(name.exists());
        const auto rest = run_tool({"pop", name.str(), "--all"});
        std::istringstream lines(rest.out);
        std::multiset<std::string> messages;
        for (std::string line; std::getline(lines, line);) messages.insert(line);
        // Which one it takes, and in what order they come, is another matter: the first one has to be recovered.
        CHECK(static_cast<std::int64_t>(messages.size()) == 3 + one.adds);
        for (const std::string& message : messages) CHECK(messages.count(message) == 1);
        CHECK(messages.contains("7") == (one.adds > 0));
    }
}

// A control character that a terminal would obey.
bool is_plain(const std::string& text) { return text.find('\x1b') == std::string::npos; }

}  // namespace

TEST_CASE("each command says that there is no such queue") {
    for (const use& one : every_use()) {
        if (one.what == "top") continue;  // waits for it
        const scoped_name name("every-none");
        const auto result = run_tool(one.of(name.str()), one.input);
        CAPTURE(one.what, result.err);
        CHECK(result.exit == 3);
        CHECK(result.out.empty());
        CHECK(result.err.find(name.str()) != std::string::npos);
        CHECK_FALSE(name.exists());
    }
    const scoped_name name("every-none");
    CHECK(run_tool({"rm", name.str()}).exit == 3);
    CHECK(run_tool({"create", name.str() + "-other", "--like", name.str()}).exit == 3);
}

TEST_CASE("each command works with a queue whose users are all stopped") {
    works_with_each(fate::stopped, {{"doctor", 1}});
}

TEST_CASE("each command works with a queue whose user was killed with a message") {
    works_with_each(fate::killed, {{"doctor", 1}});
    keeps_what_it_does_not_take(fate::killed);
}

TEST_CASE("each command leaves an abandoned queue where it is, and the messages that it does not take") {
    works_with_each(fate::abandoned, {{"doctor", 1}});
    keeps_what_it_does_not_take(fate::abandoned);
}

TEST_CASE("rm removes no queue that a stopped process has open, unless it must") {
    const scoped_name name("every-rm");
    const unattended_queue queue(name.str(), fate::stopped);
    CHECK(run_tool({"rm", name.str()}).exit == 1);
    CHECK(name.exists());
    CHECK(run_tool({"rm", "--force", name.str()}).exit == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("each command ends with a closed queue") {
    for (const use& one : every_use()) {
        const scoped_name name("every-closed");
        auto q = number_queue::create(name, 8, kept);
        REQUIRE(q.push(1));
        q.close();
        const auto result = run_tool(one.of(name.str()), one.input);
        CAPTURE(one.what, result.err);
        CHECK(result.exit == expected_of(one, {{"push", 1}, {"replay", 1}}));
        CHECK(q.size() == (one.adds < 0 ? 0 : 1));
    }
}

TEST_CASE("each command takes any name, and prints no control character of it") {
    for (const char* const odd :
         {"every with spaces", "every-\xc3\xa4\xe2\x82\xac", "every-\x1b[31mred", "every-$(id);'"}) {
        for (const use& one : every_use()) {
            const scoped_name name(odd);
            auto q = number_queue::create(name, 8, kept);
            REQUIRE(q.push(1));
            const auto result = run_tool(one.of(name.str()), one.input);
            CAPTURE(odd, one.what, result.err);
            CHECK(result.exit == 0);
            CHECK((one.what.starts_with("record") || is_plain(result.out)));  // it has the name as it is
            CHECK(is_plain(result.err));
            CHECK(q.size() == static_cast<std::uint64_t>(1 + one.adds));
        }
    }
}

TEST_CASE("each command takes a name that looks like an option behind --") {
    // No prefix of a test, because the dash has to be the first.
    const std::string name = "--promisqs-test-" + std::to_string(::getpid());
    for (const use& one : every_use()) {
        auto q = promisqs::untyped_queue::create(name, 8, "u64", kept);
        const std::vector<std::byte> zero(8);
        REQUIRE(q.push(zero));
        const auto result = run_tool(one.of(name), one.input);
        CAPTURE(one.what, result.err);
        CHECK(result.exit == 0);
        CHECK(run_tool({"rm", "--force", "--", name}).exit == 0);
        REQUIRE(::access(("/dev/shm/" + name).c_str(), F_OK) != 0);
    }
}

TEST_CASE("each command tells a user who may not read a queue, and changes nothing") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become another user");
    const scoped_name name("every-denied");
    auto q = number_queue::create(name, 8, kept);
    REQUIRE(q.push(1));
    auto uses = every_use();
    uses.push_back({"rm", {}});
    uses.push_back({"rm --force", {"--force"}});
    for (const use& one : uses) {
        const auto result = promisqs_test::run_tool_as(promisqs_test::one_member, one.of(name.str()), one.input);
        CAPTURE(one.what, result.err);
        if (one.what == "top") {
            CHECK(result.exit == 0);
            CHECK(result.out.find("1/8") == std::string::npos);
            continue;
        }
        CHECK(result.exit == 4);
        CHECK(result.out.empty());
        CHECK(result.err.find(name.str()) != std::string::npos);
    }
    CHECK(name.exists());
    CHECK(q.size() == 1);
    CHECK_FALSE(q.is_closed());
}

TEST_CASE("a user who may only read a queue can look at it, and take no part") {
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become another user");
    const scoped_name name("every-read");
    auto q = number_queue::create(name, 8, {.permissions = 0644, .life = promisqs::lifetime::keep});
    REQUIRE(q.push(1));
    for (const use& one : every_use()) {
        const auto result = promisqs_test::run_tool_as(promisqs_test::one_member, one.of(name.str()), one.input);
        CAPTURE(one.what, result.err);
        // The doctor says that others may read it.
        CHECK(result.exit == (one.takes_part ? 4 : expected_of(one, {{"doctor", 1}})));
    }
    CHECK(run_tool({"peek", name.str(), "--json"}).out == "1\n");
    CHECK_FALSE(q.is_closed());
}

TEST_CASE("peek shows each kind of field in columns") {
    const scoped_name name("every-kind");
    const auto q = promisqs::untyped_queue::create(
        name, 2,
        "{e:enum<u8>@0 f:f32@4 b:bool@8 in:{x:{y:i16@0}:2:2@0 z:u8@2}:4:2@10 a:u16[2][2]@14 o:opaque:3:1@22 "
        "t:char[3]@25}:28:4");
    const auto pushed =
        run_tool({"push", name.str()}, R"({"e":3,"f":1.5,"b":true,"in":{"x":{"y":-2},"z":9},"a":[[1,2],[3,4]],)"
                                       R"("o":"0102ff","t":"ab"})");
    REQUIRE(pushed.exit == 0);
    CHECK(run_tool({"peek", name.str()}).out ==
          "number  state  e    f     b  in.x.y  in.z  a              o       t\n"
          "     0  ready  3  1.5  true      -2     9  [[1,2],[3,4]]  0102ff  ab\n");
}
