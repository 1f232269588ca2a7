// SPDX-License-Identifier: Apache-2.0

// `promisqs doctor`: what it finds wrong with queues, what it puts right, and what it leaves alone.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>

#include <nlohmann/json.hpp>

#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

using nlohmann::json;
using promisqs::inspector;
using promisqs_test::busy_process;
using promisqs_test::number_queue;
using promisqs_test::raw_object;
using promisqs_test::run_tool;
using promisqs_test::scoped_name;

namespace {

constexpr promisqs::options kept{.life = promisqs::lifetime::keep};

void mentions(const std::string& text, std::initializer_list<std::string_view> words) {
    CAPTURE(text);
    for (const std::string_view word : words) {
        CAPTURE(word);
        CHECK(text.find(word) != std::string::npos);
    }
}

struct diagnosis {
    int exit;
    json all;
};
diagnosis examine(const scoped_name& name, bool fix = false) {
    promisqs_test::arguments args{"doctor", name.str(), "--json"};
    if (fix) args.emplace_back("--fix");
    const auto result = run_tool(args);
    CAPTURE(result.out, result.err);
    REQUIRE(result.err.empty());
    return {result.exit, json::parse(result.out)};
}

// The one finding of a kind.
json finding_of(const diagnosis& seen, std::string_view kind) {
    CAPTURE(seen.all.dump());
    json found;
    for (const json& one : seen.all["findings"]) {
        if (one["kind"] != kind) continue;
        CHECK(found.is_null());
        found = one;
    }
    REQUIRE_FALSE(found.is_null());
    return found;
}
bool has(const diagnosis& seen, std::string_view kind) {
    for (const json& one : seen.all["findings"]) {
        if (one["kind"] == kind) return true;
    }
    return false;
}

// A queue that was to go with its last user, who was killed.
void leave_abandoned(const scoped_name& name, bool with_message) {
    const auto pid = promisqs_test::forked([&] {
        auto q = number_queue::create(name, 4);
        if (!q.push(41)) return 1;
        if (!with_message) static_cast<void>(q.pop());
        ::_exit(0);
    });
    REQUIRE(promisqs_test::wait_for(pid) == 0);
}

}  // namespace

TEST_CASE("the doctor finds nothing wrong with a queue in use") {
    const scoped_name name("doctor-well");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(1));
    const auto seen = examine(name);
    CHECK(seen.exit == 0);
    CHECK(seen.all["problems"] == 0);
    mentions(run_tool({"doctor", name.str()}).out, {"1 queue: nothing wrong"});
}

TEST_CASE("the doctor looks at the whole machine without a name") {
    const scoped_name name("doctor-all");
    auto q = number_queue::create(name, 4, kept);
    REQUIRE(q.push(1));
    REQUIRE(promisqs_test::dies_popping(q) == -SIGKILL);
    const auto result = run_tool({"doctor", "--json"});
    CHECK(result.exit == 1);
    bool is_found = false;
    const json all = json::parse(result.out);
    for (const json& one : all["findings"]) is_found = is_found || one["queue"] == name.str();
    CHECK(is_found);
    CHECK(run_tool({"doctor"}).exit == 1);
}

TEST_CASE("the doctor finds the dead, says what they hold, and recovers it with --fix alone") {
    const scoped_name name("doctor-dead");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(41));
    REQUIRE(promisqs_test::dies_popping(q) == -SIGKILL);

    const auto seen = examine(name);
    CHECK(seen.exit == 1);
    const json found = finding_of(seen, "dead_participants");
    CHECK(found["level"] == "problem");
    mentions(found["what"], {"1 participant died", "popping message 0"});
    CHECK(inspector(name).returned(1).empty());

    const auto fixed = examine(name, true);
    CHECK(fixed.exit == 0);
    mentions(finding_of(fixed, "dead_participants")["fixed"],
             {"removed 1 dead participant", "1 message to be delivered again"});
    CHECK(examine(name).exit == 0);
    CHECK(q.pop() == 41U);
}

TEST_CASE("the doctor names a stopped process that holds a message, and how to get on; --fix leaves it alone") {
    const scoped_name name("doctor-stopped");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(41));
    busy_process other([&](auto in_the_middle) { q.pop_with([&](const std::uint64_t&) { in_the_middle(); }); });
    other.stop();

    const auto seen = examine(name, true);

    CHECK(seen.exit == 1);
    const json found = finding_of(seen, "held");
    const std::string pid = std::to_string(other.pid());
    mentions(found["what"], {"Process " + pid, "stopped", "message 0"});
    mentions(found["advice"], {"kill -CONT " + pid, "kill -KILL " + pid});
    CHECK(found["fixed"].is_null());
    other.go_on();
    CHECK(other.finish() == 0);
    CHECK_FALSE(has(examine(name), "held"));
}

TEST_CASE("the doctor finds an abandoned queue, and removes it with --fix if no message waits") {
    const scoped_name name("doctor-abandoned");
    leave_abandoned(name, false);
    mentions(finding_of(examine(name), "abandoned")["what"], {"No process has it open", "No message waits"});
    REQUIRE(name.exists());
    const auto fixed = examine(name, true);
    CHECK(fixed.exit == 0);
    mentions(finding_of(fixed, "abandoned")["fixed"], {"removed it"});
    CHECK_FALSE(name.exists());
}

TEST_CASE("the doctor never removes an abandoned queue in which a message waits") {
    const scoped_name name("doctor-abandoned-full");
    leave_abandoned(name, true);
    const auto seen = examine(name, true);
    CHECK(seen.exit == 1);
    mentions(finding_of(seen, "abandoned")["what"], {"1 message waits"});
    REQUIRE(name.exists());
    CHECK(number_queue::open(name).pop() == 41U);
}

TEST_CASE("the doctor never removes an abandoned queue whose message is held by a dead consumer") {
    const scoped_name name("doctor-abandoned-held");
    const auto pid = promisqs_test::forked([&] {
        auto q = number_queue::create(name, 4);
        if (!q.push(41)) return 1;
        q.pop_with([](const std::uint64_t&) { ::_exit(0); });
        return 2;
    });
    REQUIRE(promisqs_test::wait_for(pid) == 0);
    const auto seen = examine(name, true);
    CHECK(seen.exit == 1);
    mentions(finding_of(seen, "dead_participants")["fixed"], {"1 message to be delivered again"});
    REQUIRE(name.exists());
    CHECK(number_queue::open(name).pop() == 41U);
}

TEST_CASE("the doctor removes what is left of a queue, but not while a process builds it") {
    const scoped_name name("doctor-unfinished");
    const raw_object object(name.path());
    object.write(0, promisqs::detail::layout::unfinished_magic);
    {
        const raw_object builder(name.path());
        REQUIRE(builder.lock(promisqs::detail::layout::initialising_byte, promisqs::detail::os::lock_kind::exclusive));
        CHECK(examine(name, true).exit == 0);
        CHECK(name.exists());
    }
    CHECK(finding_of(examine(name), "unfinished")["fixed"].is_null());
    CHECK(name.exists());
    const auto fixed = examine(name, true);
    CHECK(fixed.exit == 0);
    CHECK(finding_of(fixed, "unfinished")["fixed"] == "removed it");
    CHECK_FALSE(name.exists());
}

TEST_CASE("the doctor finds corrupt queues and those of other versions, and changes nothing in them") {
    const scoped_name name("doctor-corrupt");
    static_cast<void>(number_queue::create(name, 4, kept));
    const bool is_corrupt = GENERATE(true, false);
    if (is_corrupt)
        raw_object(name.path()).write(32, std::uint64_t{0});
    else
        raw_object(name.path()).write(8, std::uint32_t{77});
    const auto before = raw_object(name.path()).read();
    const auto seen = examine(name, true);
    CHECK(seen.exit == 1);
    CHECK(has(seen, is_corrupt ? "corrupt" : "other_layout"));
    CHECK(raw_object(name.path()).read() == before);
}

TEST_CASE("the doctor finds permissions that let users read or write, but not both") {
    const scoped_name name("doctor-permissions");
    const auto q = number_queue::create(name, 4);
    REQUIRE(::chmod(name.path().c_str(), 0640) == 0);
    const auto seen = examine(name);
    CHECK(seen.exit == 1);
    mentions(finding_of(seen, "permissions")["what"], {"0640"});
    mentions(finding_of(seen, "permissions")["advice"], {"chmod 0600 /dev/shm/"});
    REQUIRE(::chmod(name.path().c_str(), 0664) == 0);
    mentions(finding_of(examine(name), "permissions")["advice"], {"chmod 0660 /dev/shm/"});
    REQUIRE(::chmod(name.path().c_str(), 0660) == 0);
    CHECK(examine(name).exit == 0);
    REQUIRE(::chmod(name.path().c_str(), 0666) == 0);
    const auto open_to_all = examine(name);
    CHECK(open_to_all.exit == 0);
    CHECK(finding_of(open_to_all, "permissions")["level"] == "note");
}

TEST_CASE("the doctor finds a full queue without a consumer, and a participant table that is nearly full") {
    const scoped_name name("doctor-full");
    auto q = number_queue::create(name, 1, {.participants = 2});
    auto other = number_queue::open(name);
    REQUIRE(q.push(1));
    CHECK_FALSE(other.push(1));
    const auto seen = examine(name);
    CHECK(seen.exit == 1);
    mentions(finding_of(seen, "full")["what"], {"1 messages wait", "no consumer is alive"});
    mentions(finding_of(seen, "participants")["what"], {"2 of its 2"});
    REQUIRE(q.pop() == 1U);
    CHECK_FALSE(has(examine(name), "full"));
}

TEST_CASE("the doctor says which process has nearly as many files open as it may") {
    const scoped_name name("doctor-files");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(1));
    const busy_process other([&](auto in_the_middle) {
        const ::rlimit few{3, 3};
        ::setrlimit(RLIMIT_NOFILE, &few);
        q.pop_with([&](const std::uint64_t&) { in_the_middle(); });
    });
    mentions(finding_of(examine(name), "limit_files")["what"], {"Process " + std::to_string(other.pid()), "of 3"});
}

TEST_CASE("without --fix the doctor changes nothing") {
    const scoped_name name("doctor-looks");
    auto q = number_queue::create(name, 4, kept);
    REQUIRE(q.push(1));
    REQUIRE(promisqs_test::dies_popping(q) == -SIGKILL);
    const auto before = raw_object(name.path()).read();
    CHECK(examine(name).exit == 1);
    CHECK(raw_object(name.path()).read() == before);
}

TEST_CASE("the doctor of no queue ends with 3, of what is none with 5") {
    const scoped_name name("doctor-none");
    CHECK(run_tool({"doctor", name.str()}).exit == 3);
    raw_object(name.path()).write(0, std::uint64_t{12345});
    CHECK(run_tool({"doctor", name.str(), "--fix"}).exit == 5);
    CHECK(name.exists());
}

TEST_CASE("the doctor leaves an empty queue alone that a process has opened since it looked") {
    const scoped_name name("doctor-opened");
    leave_abandoned(name, false);
    const raw_object user(name.path());
    REQUIRE(user.lock(promisqs::detail::layout::users_byte, promisqs::detail::os::lock_kind::shared));
    CHECK_FALSE(has(examine(name, true), "abandoned"));
    CHECK(name.exists());
}

TEST_CASE("the doctor counts what is left in English, and quotes names in its advice") {
    const scoped_name name("doctor odd;x");
    leave_abandoned(name, true);
    REQUIRE(::chmod(name.path().c_str(), 0640) == 0);
    const auto result = run_tool({"doctor", name.str(), "--fix"});
    CHECK(result.exit == 1);
    mentions(result.out, {"2 problems left", "chmod 0600 '/dev/shm/"});
}
