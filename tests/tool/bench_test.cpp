// SPDX-License-Identifier: Apache-2.0

// `promisqs bench`: that it says what it should, and leaves nothing behind. How fast something is, is not tested.

#include "support/catch.hpp"
#include "tool/run_tool.hpp"

#include <dirent.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>

#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

using promisqs_test::run_tool;
using promisqs_test::running_tool;

namespace {

bool has(std::string_view text, std::string_view what) { return text.find(what) != std::string_view::npos; }

// Whether a process has left a queue that has its id in the name.
bool has_left_something(::pid_t pid) {
    const std::unique_ptr<::DIR, int (*)(::DIR*)> entries(::opendir("/dev/shm"), &::closedir);
    while (const ::dirent* entry = ::readdir(entries.get())) {
        if (has(entry->d_name, "bench-" + std::to_string(pid))) return true;
    }
    return false;
}

// Waits until two processes are at work for it.
void await_turn(::pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children";
    for (int looks = 0; looks < 60 * 100; ++looks) {
        std::ifstream in(path);
        int first = 0;
        int second = 0;
        if (in >> first >> second) return;
        ::poll(nullptr, 0, 10);
    }
    throw std::runtime_error("no turn has begun");
}

}  // namespace

TEST_CASE("bench compares promisqs with a pipe and a bare cache line, as JSON") {
    running_tool bench({"bench", "--seconds", "0.3", "--json"});
    const ::pid_t pid = bench.pid();
    const auto result = bench.wait();
    REQUIRE(result.exit == 0);
    CHECK(result.err.empty());
    const auto found = nlohmann::json::parse(result.out);
    CHECK(found["message_bytes"] == 64);
    CHECK(found["interrupted"] == false);
    CHECK(found["processors"].size() <= 2);
    REQUIRE(found["contenders"].size() == 3);
    CHECK(found["contenders"][0]["name"] == "promisqs");
    CHECK(found["contenders"][1]["name"] == "pipe");
    CHECK(found["contenders"][2]["name"] == "bare cache line");
    for (const auto& one : found["contenders"]) {
        CHECK(one["turns"] == 3);
        // On a busy machine a turn of a tenth of a second may move nothing.
        CHECK(one["round_trip_ns"]["p50"].is_number());
        CHECK(one["round_trip_ns"]["p99"] >= one["round_trip_ns"]["p50"]);
        CHECK(one["messages_per_second"].is_number());
    }
    CHECK_FALSE(has_left_something(pid));
}

TEST_CASE("bench prints a table for people") {
    const auto result = run_tool({"bench", "--seconds", "0.1"});
    CHECK(result.exit == 0);
    for (const char* word : {"promisqs", "pipe", "bare cache line", "round trip p50", "messages/s", "on processor"}) {
        CHECK(has(result.out, word));
    }
    CHECK(result.err.empty());
}

TEST_CASE("bench ends on a signal, with the turns that it has taken, and leaves nothing") {
    for (const int signal : {SIGINT, SIGTERM}) {
        running_tool bench({"bench", "--seconds", "600", "--json"});
        const ::pid_t pid = bench.pid();
        await_turn(pid);
        bench.signal(signal);
        const auto result = bench.wait();
        CHECK(result.exit == 0);
        CHECK(nlohmann::json::parse(result.out)["interrupted"] == true);
        CHECK_FALSE(has_left_something(pid));
    }
}

TEST_CASE("bench takes no time that makes no sense") {
    for (const char* seconds : {"0", "-1", "1e9", "nan", "soon"}) {
        const auto result = run_tool({"bench", "--seconds", seconds});
        CHECK(result.exit == 2);
        CHECK(has(result.err, "--seconds"));
    }
}
