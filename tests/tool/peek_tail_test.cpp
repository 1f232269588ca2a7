// SPDX-License-Identifier: Apache-2.0

// `promisqs peek` and `promisqs tail`: what waits and what passes, seen by a program that takes no part.

#include "support/catch.hpp"
#include "tool/messages.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

using promisqs_test::bytes_of;
using promisqs_test::forked;
using promisqs_test::message;
using promisqs_test::queue_of;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;

namespace {

constexpr std::string_view trade_schema = "{id:u64@0 symbol:char[8]@8 at:{x:i16@0 y:i16@2}:4:2@16 sizes:u8[3]@20}:24:8";

message trade(std::uint64_t id, std::string_view symbol, std::int16_t x) {
    message bytes(24);
    std::memcpy(bytes.data(), &id, sizeof id);
    std::memcpy(bytes.data() + 8, symbol.data(), symbol.size());
    std::memcpy(bytes.data() + 16, &x, sizeof x);
    bytes[20] = std::byte{1};
    bytes[22] = std::byte{255};
    return bytes;
}

void push_numbers(queue_of& to, std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t i = first; i <= last; ++i) to.push(bytes_of(i));
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A process that has pushed 1, 2 and 3 into a queue of its own, and was stopped then.
class stopped_producer {
public:
    explicit stopped_producer(std::string_view name) : pid_(forked([&] { return push_and_stop(name); })) {
        int status = 0;
        ::waitpid(pid_, &status, WUNTRACED);
        REQUIRE(WIFSTOPPED(status));
    }
    stopped_producer(const stopped_producer&) = delete;
    stopped_producer& operator=(const stopped_producer&) = delete;
    ~stopped_producer() {
        ::kill(pid_, SIGKILL);
        static_cast<void>(wait_for(pid_));
    }

private:
    static int push_and_stop(std::string_view name) {
        auto queue = promisqs::untyped_queue::create(name, 8, "u32");
        for (std::uint32_t i = 1; i <= 3; ++i) {
            if (!queue.push(bytes_of(i))) return 1;
        }
        ::raise(SIGSTOP);
        return 0;
    }

    ::pid_t pid_;
};

}  // namespace

TEST_CASE("peek shows what waits in columns, and leaves it where it is") {
    queue_of queue(trade_schema);
    queue.push(trade(7, "AB", -5));
    queue.push(trade(123456789, "LONGNAME", 10));
    const std::string expected =
        "number  state         id  symbol    at.x  at.y  sizes\n"
        "     0  ready          7  AB          -5     0  [1,0,255]\n"
        "     1  ready  123456789  LONGNAME    10     0  [1,0,255]\n";
    for (int times = 0; times < 2; ++times) {
        const auto result = run_tool({"peek", queue.name()});
        CHECK(result.exit == 0);
        CHECK(result.out == expected);
        CHECK(result.err.empty());
    }
    CHECK(queue->size() == 2);
    CHECK(queue->stats().participants.size() == 1);
}

TEST_CASE("peek shows the oldest, as many as it is told") {
    queue_of queue("u32", 32);
    push_numbers(queue, 1, 20);
    CHECK(run_tool({"peek", queue.name(), "--json"}).out == "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
    CHECK(run_tool({"peek", queue.name(), "--format", "json", "-n", "2"}).out == "1\n2\n");
    CHECK(run_tool({"peek", queue.name(), "--format", "hex", "-n", "1"}).out == "01000000\n");
    CHECK(run_tool({"peek", queue.name(), "--format", "words"}).exit == 2);
    CHECK(run_tool({"peek", queue.name(), "--format", "hex", "--json"}).exit == 2);
}

TEST_CASE("peek says when nothing waits, and what is no queue") {
    queue_of queue("u32");
    const auto empty = run_tool({"peek", queue.name()});
    CHECK(empty.exit == 1);
    CHECK(has(empty.err, "no message waits"));
    CHECK(run_tool({"peek", queue.name() + "x"}).exit == 3);
}

TEST_CASE("peek shows a message that came back first, and how many consumers it has killed") {
    queue_of queue("u32");
    push_numbers(queue, 1, 2);
    const ::pid_t consumer = forked([&] {
        queue->pop_with([](std::span<const std::byte>) { ::kill(::getpid(), SIGKILL); });
        return 0;
    });
    REQUIRE(wait_for(consumer) == -SIGKILL);
    static_cast<void>(queue->recover());
    const auto result = run_tool({"peek", queue.name()});
    CHECK(has(result.out, "     0  came back, killed 1        1\n"));
    CHECK(has(result.out, "     1  ready                      2\n"));
}

TEST_CASE("texts and long values are cut in columns, and whole in JSON") {
    queue_of queue("{text:char[60]@0 data:opaque:50:1@60 list:u16[30]@110}:170:2");
    message bytes(170);
    std::memset(bytes.data(), 'x', 60);
    std::memcpy(bytes.data(), "\x1b[31m", 5);
    queue.push(bytes);
    const std::string columns = run_tool({"peek", queue.name()}).out;
    CHECK_FALSE(has(columns, "\x1b"));
    CHECK(has(columns, "\\x1b[31mxxx"));
    CHECK(has(columns, "xxx…  0000"));
    CHECK(has(columns, "000…  [0,0,"));
    const std::string json = run_tool({"peek", queue.name(), "--json"}).out;
    CHECK(has(json, R"("text":"\u001b[31mxxx)"));
    CHECK(has(json, std::string(100, '0')));
}

TEST_CASE("a type of many fields has no more columns than a person can read") {
    std::string schema = "{";
    for (int i = 0; i < 100; ++i) schema += (i == 0 ? "" : " ") + std::string("u8@") + std::to_string(i);
    queue_of queue(schema + "}:100:1");
    queue.push(message(100));
    CHECK(has(run_tool({"peek", queue.name()}).out, "(and 38 more fields)"));
}

TEST_CASE("a queue whose users are all stopped can be peeked and tailed") {
    const scoped_name name("stopped");
    const stopped_producer producer(name);
    CHECK(run_tool({"peek", name.str(), "--json"}).out == "1\n2\n3\n");
    CHECK(run_tool({"tail", name.str(), "--json", "--from", "waiting", "-n", "3"}).out == "1\n2\n3\n");
}

TEST_CASE("tail shows each message that is pushed, as it is pushed, whoever pops it") {
    queue_of queue("u32");
    push_numbers(queue, 1, 1);
    running_tool tail({"tail", queue.name(), "--json", "--from", "waiting"});
    REQUIRE(tail.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    CHECK(queue.pop() == bytes_of(std::uint32_t{1}));
    push_numbers(queue, 2, 2);
    CHECK(queue.pop() == bytes_of(std::uint32_t{2}));
    CHECK(tail.wait_for_output([](const std::string& out) { return out == "1\n2\n"; }));
    CHECK(queue->stats().participants.size() == 1);
    tail.signal(SIGINT);
    const auto result = tail.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.err, "interrupted; showed 2 messages, missed 0"));
}

TEST_CASE("tail begins where it is told, and ends after as many as it is told") {
    queue_of queue("u32");
    push_numbers(queue, 1, 5);
    for (int i = 0; i < 3; ++i) static_cast<void>(queue.pop());
    CHECK(run_tool({"tail", queue.name(), "--json", "--from", "left", "-n", "2"}).out == "1\n2\n");
    CHECK(run_tool({"tail", queue.name(), "--json", "--from", "waiting", "-n", "2"}).out == "4\n5\n");
    CHECK(run_tool({"tail", queue.name(), "--from", "later"}).exit == 2);
}

TEST_CASE("tail ends when the queue is closed and all was shown") {
    queue_of queue("u32");
    push_numbers(queue, 1, 2);
    queue->close();
    const auto result = run_tool({"tail", queue.name(), "--from", "waiting"});
    CHECK(result.exit == 0);
    CHECK(result.out == "number  message\n     0        1\n     1        2\n");
}

TEST_CASE("tail says how many messages it has missed") {
    queue_of queue("u32", 4);
    push_numbers(queue, 1, 1);
    running_tool tail({"tail", queue.name(), "--json", "--from", "waiting"});
    REQUIRE(tail.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    tail.signal(SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(tail.pid(), &status, WUNTRACED) == tail.pid());
    for (std::uint32_t i = 2; i <= 100; ++i) {
        static_cast<void>(queue.pop());
        push_numbers(queue, i, i);
    }
    queue->close();
    tail.signal(SIGCONT);
    CHECK(tail.wait_for_output([](const std::string& out) { return has(out, "\n100\n"); }));
    const auto result = tail.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.err, "missed "));
    CHECK(has(result.err, " messages, from number 1 on"));
}

TEST_CASE("tail ends when the queue was removed and nobody uses it") {
    const scoped_name name("removed");
    auto queue = std::make_unique<promisqs::untyped_queue>(promisqs::untyped_queue::create(name, 8, "u32"));
    REQUIRE(queue->push(bytes_of(std::uint32_t{1})));
    running_tool tail({"tail", name.str(), "--json", "--from", "waiting"});
    REQUIRE(tail.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    queue.reset();
    const auto result = tail.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.err, "was removed, and nobody uses it any more"));
}

TEST_CASE("tail goes on with a queue whose name was removed while its users go on") {
    const scoped_name name("unnamed");
    auto queue = promisqs::untyped_queue::create(name, 8, "u32");
    running_tool tail({"tail", name.str(), "--json", "--from", "waiting"});
    REQUIRE(queue.push(bytes_of(std::uint32_t{1})));
    REQUIRE(tail.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    promisqs::untyped_queue::remove(name);
    REQUIRE(queue.push(bytes_of(std::uint32_t{2})));
    CHECK(tail.wait_for_output([](const std::string& out) { return out == "1\n2\n"; }));
    queue.close();
    CHECK(tail.wait().exit == 0);
}

TEST_CASE("peek and tail show a type of no use as bytes, and say so") {
    queue_of queue("{a:u8[4]@0 b:u8[4]@0}:4:1");
    queue.push(bytes_of(std::uint32_t{1}));
    const auto peeked = run_tool({"peek", queue.name(), "--json"});
    CHECK(peeked.out == "\"01000000\"\n");
    CHECK(has(peeked.err, "can't be used"));
    const auto tailed = run_tool({"tail", queue.name(), "--json", "--from", "waiting", "-n", "1"});
    CHECK(tailed.out == "\"01000000\"\n");
    CHECK(has(tailed.err, "can't be used"));
}
