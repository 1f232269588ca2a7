// SPDX-License-Identifier: Apache-2.0

// `promisqs record`: what passes, into a file or a pipe; and back, by `promisqs replay`.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "tool/numbered.hpp"
#include "tool/recordings.hpp"

#include <promisqs/queue.hpp>

#if __has_include(<boost/describe/class.hpp>)
#include <boost/describe/class.hpp>
#endif

#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace promisqs_test;
using ending = promisqs_tool::recording_reader::ending;
using namespace std::chrono_literals;

namespace {

struct quote {
    std::uint64_t id;
    double price;
    std::array<char, 6> symbol;
    bool is_firm;
};
#if __has_include(<boost/describe/class.hpp>)
BOOST_DESCRIBE_STRUCT(quote, (), (id, price, symbol, is_firm))
#endif

}  // namespace

template <>
struct promisqs::schema_name<quote> {
    static constexpr std::string_view name = "test.quote";
    static constexpr std::uint32_t version = 1;
};

TEST_CASE("ten million messages are recorded and replayed bit for bit") {
    constexpr std::uint64_t count = 10'000'000;
    const scoped_name from("recording-from");
    const scoped_name to("recording-to");
    const scoped_path path("recording-many");
    {
        const numbered_queue q = numbered_queue::create(from, 4096);
        promisqs_test::child pusher("recording-producer", {from.str(), std::to_string(count)});
        const auto recorded = run_tool({"record", from.str(), path.str(), "--drain"});
        CHECK(recorded.exit == 0);
        CHECK(has(recorded.out, "recorded 10000000 messages"));
        CHECK(pusher.wait() == 0);
    }
    numbered_queue q = numbered_queue::create(to, 4096);
    running_tool replay({"replay", path.str(), to.str(), "--speed", "max"});
    std::vector<numbered> room(1024);
    std::uint64_t next = 0;
    while (next < count) {
        const auto popped = q.pop_some_wait_for(std::span(room), 60s);
        REQUIRE(popped != 0);
        for (std::uint64_t i = 0; i < popped; ++i, ++next) {
            if (room[i] != numbered::make(next)) FAIL("message " << next << " differs");
        }
    }
    CHECK(replay.wait().exit == 0);
    CHECK(q.empty());
}

TEST_CASE("a recording shows what passes, and leaves it where it is") {
    const scoped_name name("recording-tap");
    const scoped_path path("recording-tap");
    auto q = promisqs::shmem_queue<quote>::create(name, 8);
    REQUIRE(q.push({1, 0.5, {'o', 'l', 'd'}, false}));
    running_tool record({"record", name.str(), path.str()});
    REQUIRE(wait_until([&] { return path.size() != 0; }));
    REQUIRE(q.push({2, 1.5, {'a', 'b'}, true}));
    REQUIRE(q.push({3, 2.5, {'c'}, false}));
    CHECK(q.size() == 3);
    while (q.pop()) {}
    q.close();
    const tool_result result = record.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "recorded 2 messages"));
    CHECK(has(result.out, "missed none"));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.facts.queue == name.str());
    CHECK(found.facts.type == promisqs::element_type_of<quote>());
    CHECK(found.facts.mode == promisqs_tool::recording_mode::tap);
    REQUIRE(found.messages.size() == 2);
    CHECK(found.messages[0].number == 1);
    CHECK(value_of<quote>(found.messages[1].bytes).price == 2.5);
    CHECK(found.messages[0].time > 0);
    CHECK(found.messages[0].time <= found.messages[1].time);
    CHECK(found.messages[1].time <= found.end_time);
}

TEST_CASE("a recording can begin with what is in the queue") {
    const scoped_name name("recording-begin");
    const scoped_path path("recording-begin");
    numbered_queue q = numbered_queue::create(name, 8);
    push_numbers(q, 6);
    for (int i = 0; i < 2; ++i) REQUIRE(q.pop());
    CHECK(run_tool({"record", name.str(), path.str(), "--from", "left", "-n", "6"}).exit == 0);
    CHECK(read_recording(path.str()).messages.size() == 6);
    CHECK(run_tool({"record", name.str(), path.str(), "--from", "waiting", "-n", "4", "--force"}).exit == 0);
    const auto found = read_recording(path.str());
    CHECK(found.messages.size() == 4);
    CHECK(are_numbered(found, 2));
    CHECK(q.size() == 4);
}

TEST_CASE("a recording says which messages it has missed") {
    const scoped_name name("recording-missed");
    const scoped_path path("recording-missed");
    numbered_queue q = numbered_queue::create(name, 8);
    running_tool record({"record", name.str(), path.str()});
    REQUIRE(wait_until([&] { return path.size() != 0; }));
    record.signal(SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(record.pid(), &status, WUNTRACED) == record.pid());
    for (std::uint64_t i = 0; i < 100; ++i) {
        push_numbers(q, 1, i);
        REQUIRE(q.pop());
    }
    q.close();
    record.signal(SIGCONT);
    const tool_result result = record.wait();
    CHECK(result.exit == 0);
    const auto found = read_recording(path.str());
    REQUIRE(found.gaps.size() == 1);
    CHECK(found.gaps[0].first == 0);
    const std::uint64_t missed = found.gaps[0].second;
    CHECK(missed >= 92);
    CHECK(has(result.out, "missed " + std::to_string(missed)));
    CHECK(found.messages.size() == 100 - missed);
    CHECK(are_numbered(found, missed));
}

TEST_CASE("recordings of queues where nothing happens can be interrupted") {
    const scoped_name name("recording-idle");
    const scoped_path path("recording-idle");
    const numbered_queue q = numbered_queue::create(name, 8);
    const bool drains = GENERATE(false, true);
    arguments args{"record", name.str(), path.str()};
    if (drains) args.emplace_back("--drain");
    running_tool record(args);
    REQUIRE(wait_until([&] { return path.size() != 0; }));
    record.signal(GENERATE(SIGINT, SIGTERM));
    CHECK(record.wait().exit == 0);
    CHECK(read_recording(path.str()).ending == ending::complete);
}

TEST_CASE("a tap for which a file gets too large ends the recording") {
    const scoped_name name("recording-full-tap");
    const scoped_path path("recording-full-tap");
    numbered_queue q = numbered_queue::create(name, 20'000);
    push_numbers(q, 20'000);
    q.close();
    const tool_result result = [&] {
        const file_size_limit limit(200'000);
        return run_tool({"record", name.str(), path.str(), "--from", "waiting"});
    }();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "File too large"));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.messages.size() > 4096);
    CHECK(are_numbered(found));
    CHECK(q.size() == 20'000);
}

TEST_CASE("a file that is there is written over if that is asked for") {
    const scoped_name name("recording-force");
    const scoped_path path("recording-force");
    numbered_queue q = numbered_queue::create(name, 8);
    push_numbers(q, 3);
    path.write("precious");
    const tool_result refused = run_tool({"record", name.str(), path.str(), "--drain", "-n", "3"});
    CHECK(refused.exit == 2);
    CHECK(has(refused.err, "--force"));
    CHECK(path.content() == "precious");
    CHECK(q.size() == 3);
    CHECK(run_tool({"record", name.str(), path.str(), "--drain", "-n", "2", "--force"}).exit == 0);
    CHECK(read_recording(path.str()).messages.size() == 2);
    CHECK(numbers_in(q) == std::vector<std::uint64_t>{2});
}

TEST_CASE("a recording of a queue that is none leaves no file") {
    const scoped_name name("recording-none");
    const scoped_path path("recording-none");
    CHECK(run_tool({"record", name.str(), path.str()}).exit == 3);
    CHECK(run_tool({"record", name.str(), path.str(), "--drain"}).exit == 3);
    CHECK_FALSE(std::filesystem::exists(path.str()));
}

TEST_CASE("a recording ends when its time is over") {
    const scoped_name name("recording-time");
    const scoped_path path("recording-time");
    const numbered_queue q = numbered_queue::create(name, 8);
    const auto before = std::chrono::steady_clock::now();
    const tool_result result = run_tool({"record", name.str(), path.str(), "--for", "0.05"});
    CHECK(std::chrono::steady_clock::now() - before >= 50ms);
    CHECK(result.exit == 0);
    CHECK(has(result.out, "until its time was over"));
    CHECK(read_recording(path.str()).end_time >= 50'000'000);
}

TEST_CASE("a recording goes through pipes") {
    const scoped_name from("recording-out");
    const scoped_name to("recording-in");
    numbered_queue q = numbered_queue::create(from, 1024);
    push_numbers(q, 1000);
    q.close();
    const tool_result recorded = run_tool({"record", from.str(), "-", "--drain"});
    CHECK(recorded.exit == 0);
    CHECK(has(recorded.err, "recorded 1000 messages"));
    running_tool replay({"replay", "-", to.str(), "--create"}, recorded.out, true);
    replay.end_input();
    CHECK(replay.wait().exit == 0);
    numbered_queue copy = numbered_queue::open(to);
    CHECK(copy.capacity() == 1024);
    CHECK(numbers_in(copy) == numbers_between(0, 1000));
}
