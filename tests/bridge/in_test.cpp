// SPDX-License-Identifier: Apache-2.0

// `promisqs bridge in`: what it makes, what it does with messages that do not fit, and what becomes of those that it
// holds when it ends, stops, is killed, or when the server has forgotten them.

#include "bridge/client.hpp"
#include "bridge/scoped_records.hpp"
#include "bridge/server.hpp"
#include "bridge/waiting.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "tool/messages.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/untyped_queue.hpp>
#include <nlohmann/json.hpp>

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace promisqs_test;
using json = nlohmann::json;

namespace {

constexpr const char* schema = "{id:u64@0 price:f64@8}:16:8";
constexpr std::size_t size = 16;

std::string text_of(std::uint64_t number) {
    std::string bytes(size, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}
std::uint64_t number_of(const message& one) {
    std::uint64_t number = 0;
    std::memcpy(&number, one.data(), sizeof number);
    return number;
}

/// A stream of numbered messages, and its consumer, which waits long before it delivers anything again.
class numbered_stream {
public:
    explicit numbered_stream(const nats_server& server, std::int64_t ack_wait = 3'600'000'000'000)
        : client_(server.url()) {
        client_.add_stream("TEST", "test");
        client_.add_consumer("TEST", "test", [&](::jsConsumerConfig& wanted) {
            wanted.AckWait = ack_wait;
            wanted.MaxAckPending = 64;
        });
    }
    void publish(std::uint64_t count) {
        for (std::uint64_t i = 0; i != count; ++i) {
            const std::uint64_t number = next_++;
            nats_client::patiently([&] {
                client_.publish("test", text_of(number), {{"Nats-Msg-Id", std::to_string(number)}});
            });
        }
    }
    [[nodiscard]] bool is_drained() const { return client_.is_drained("TEST", "test"); }
    [[nodiscard]] const nats_client& client() const noexcept { return client_; }

private:
    nats_client client_;
    std::uint64_t next_ = 0;
};

arguments bridge_in(const std::string& queue, const nats_server& server, const arguments& more = {}) {
    arguments all{"bridge", "in", queue, "--from", "TEST", "--consumer", "test", "--url", server.url()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

/// A figure of the queue's bridge into it, as Prometheus gets it; several bridges: of the first. -1: there is none.
int figure_of(const std::string& queue, std::string_view name) {
    const std::string text = run_tool({"export", queue}).out;
    const std::size_t begin = text.find("\npromisqs_bridge_" + std::string(name) + "{");
    if (begin == std::string::npos) return -1;
    return std::stoi(text.substr(text.find("} ", begin) + 2));
}

/// The labels of the bridges of a queue that run, each as Prometheus gets it.
std::multiset<std::string> labels_of_bridges(const std::string& queue) {
    const std::string text = run_tool({"export", queue}).out;
    const std::regex line(R"(\npromisqs_bridge_connected(\{[^\n]*\}) )");
    std::multiset<std::string> found;
    for (std::sregex_iterator one(text.begin(), text.end(), line); one != std::sregex_iterator(); ++one)
        found.insert(one->str(1));
    return found;
}

/// Pops until all are there.
std::vector<std::uint64_t> pop_numbers(queue_of& queue, std::size_t count) {
    std::vector<std::uint64_t> numbers;
    wait_until([&] {
        while (!queue->empty()) numbers.push_back(number_of(queue.pop()));
        return numbers.size() >= count;
    });
    return numbers;
}

std::vector<std::uint64_t> sorted(std::vector<std::uint64_t> numbers) {
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}
std::vector<std::uint64_t> numbers_up_to(std::uint64_t count) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t i = 0; i != count; ++i) numbers.push_back(i);
    return numbers;
}

promisqs::element_type type() { return promisqs::parse_element_type(schema); }

/// A queue whose bridges' records go with it. To be made before its bridges.
class bridged_queue : public queue_of {
public:
    explicit bridged_queue(std::uint64_t capacity = 8) : queue_of(type(), capacity) {}

private:
    scoped_records records_{name()};
};

/// A bridge that holds messages for which the queue has no room.
std::unique_ptr<running_tool> start_and_hold(queue_of& queue, const nats_server& server, int held) {
    auto bridge = std::make_unique<running_tool>(bridge_in(queue.name(), server, {"--window", std::to_string(held)}));
    const auto figure = [&](std::string_view name) { return figure_of(queue.name(), name); };
    // Before the queue is full, it takes more, and some may be on their way to it.
    const bool holds = wait_until([&] {
        return queue->full() && figure("in_messages_total") - figure("out_messages_total") == held &&
               figure("in_flight_messages") == held;
    });
    INFO(bridge->err());
    REQUIRE(holds);
    return bridge;
}

}  // namespace

TEST_CASE("a queue that is not there is made of the stream's type") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_client client(server.url());
    queue_of from(type());
    const scoped_name to("bridge-made");
    from.push(bytes_of(std::array<std::uint64_t, 2>{7, 0}));
    arguments out{"bridge", "out", from.name(), "--to", "TEST", "--subject", "test", "--url", server.url(), "--once"};
    out.emplace_back("--create-stream");
    REQUIRE(run_tool(out).exit == 0);
    const auto missing = run_tool(bridge_in(to.str(), server, {"--once"}));
    CHECK(missing.exit == 3);
    const auto in = run_tool(bridge_in(to.str(), server, {"--once", "--create", "32"}));
    INFO(in.err);
    REQUIRE(in.exit == 0);
    CHECK(promisqs::inspector(to).facts().capacity == 32);
    CHECK(promisqs::inspector(to).facts().schema == schema);
    CHECK(run_tool({"pop", to.str()}).out == "{\"id\":7,\"price\":0.0}\n");
}

TEST_CASE("a queue can't be made of a stream that does not tell its type") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const numbered_stream stream(server);
    const scoped_name to("bridge-made");
    const auto in = run_tool(bridge_in(to.str(), server, {"--once", "--create", "32"}));
    CHECK(in.exit == 2);
    CHECK(has(in.err, "promisqs create"));
    CHECK(!to.exists());
}

TEST_CASE("a message that does not fit ends the bridge, after those before it were pushed, and is left in the stream") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(2);
    stream.client().publish("test", "short");
    stream.publish(1);
    bridged_queue queue;
    for (int i = 0; i < 2; ++i) {
        const auto in = run_tool(bridge_in(queue.name(), server, {"--once"}));
        INFO(in.err);
        CHECK(in.exit == 2);
        CHECK(has(in.err, "message 3 of stream \"TEST\""));
        CHECK(has(in.err, "expected 16 bytes, found 5"));
        CHECK(has(in.err, "--skip-invalid"));
        CHECK(queue->size() == 2);
    }
    const auto in = run_tool(bridge_in(queue.name(), server, {"--once", "--skip-invalid"}));
    INFO(in.err);
    CHECK(in.exit == 0);
    CHECK(has(in.err, "1 did not fit"));
    CHECK(pop_numbers(queue, 3) == numbers_up_to(3));
    CHECK(stream.is_drained());
}

TEST_CASE("a message that says it is of another type does not fit, of whatever size it is") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const numbered_stream stream(server);
    stream.client().publish("test", text_of(0), {{"Promisqs-Type", "0123456789abcdef"}});
    bridged_queue queue;
    const auto in = run_tool(bridge_in(queue.name(), server, {"--once"}));
    CHECK(in.exit == 2);
    CHECK(has(in.err, "of another type"));
    CHECK(has(in.err, schema));
    CHECK(has(in.err, "0123456789abcdef"));
    CHECK(queue->empty());
}

TEST_CASE("consumers that a bridge can't use are refused") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_client client(server.url());
    client.add_stream("TEST", "test");
    const bridged_queue queue;
    const auto refused = [&](std::string_view words, const arguments& more = {}) {
        const auto in = run_tool(bridge_in(queue.name(), server, more));
        INFO(in.err);
        CHECK(in.exit == 2);
        CHECK(has(in.err, words));
        CHECK(has(in.err, "another --consumer"));
    };
    SECTION("one that pushes") {
        client.add_consumer("TEST", "test", [](::jsConsumerConfig& wanted) { wanted.DeliverSubject = "elsewhere"; });
        refused("push consumer");
    }
    SECTION("one without acknowledgements") {
        client.add_consumer("TEST", "test", [](::jsConsumerConfig& wanted) { wanted.AckPolicy = js_AckNone; });
        refused("ack policy \"none\"");
    }
    SECTION("one that gives up") {
        client.add_consumer("TEST", "test", [](::jsConsumerConfig& wanted) { wanted.MaxDeliver = 3; });
        refused("3 times at most");
    }
    SECTION("one of other messages") {
        client.add_consumer("TEST", "test", [](::jsConsumerConfig& wanted) { wanted.FilterSubject = "test"; });
        refused("\"test\"", {"--subject", "other"});
    }
}

TEST_CASE("a bridge that is ended gives back what it holds, and the next one gets it at once") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(20);
    bridged_queue queue(4);
    auto bridge = start_and_hold(queue, server, 8);
    bridge->signal(SIGTERM);
    const auto ended = bridge->wait();
    INFO(ended.err);
    CHECK(ended.exit == 0);
    CHECK(has(ended.err, "4 messages"));
    CHECK(figure_of(queue.name(), "in_flight_messages") == -1);
    const running_tool next(bridge_in(queue.name(), server));
    CHECK(pop_numbers(queue, 20) == numbers_up_to(20));
    CHECK(wait_until([&] { return stream.is_drained(); }));
    CHECK(queue->empty());
}

TEST_CASE("the successor of a killed bridge gets at once what that one held, in order") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(20);
    bridged_queue queue(4);
    start_and_hold(queue, server, 8).reset();  // kills it
    const running_tool next(bridge_in(queue.name(), server));
    CHECK(pop_numbers(queue, 20) == numbers_up_to(20));
    CHECK(wait_until([&] { return stream.is_drained(); }));
    CHECK(queue->empty());
}

TEST_CASE("what a stopped bridge holds is pushed once, whether it goes on or is killed") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    constexpr std::int64_t ack_wait = 300'000'000;
    numbered_stream stream(server, ack_wait);
    stream.publish(20);
    bridged_queue queue(4);
    auto stopped = start_and_hold(queue, server, 8);
    stopped->signal(SIGSTOP);
    const running_tool other(bridge_in(queue.name(), server));
    // All but those that the stopped one holds: they are delivered to the other one, too, again and again.
    auto numbers = pop_numbers(queue, 12);
    REQUIRE(numbers.size() == 12);
    const bool is_killed = GENERATE(false, true);
    if (is_killed)
        stopped.reset();
    else
        stopped->signal(SIGCONT);
    const auto more = pop_numbers(queue, 8);
    numbers.insert(numbers.end(), more.begin(), more.end());
    CHECK(sorted(numbers) == numbers_up_to(20));
    CHECK(wait_until([&] { return stream.is_drained(); }));
    CHECK(queue->empty());
}

TEST_CASE(
    "a server that has lost all that it knew of a consumer delivers from the beginning, and nothing comes twice") {
    NEEDS_NATS_SERVER;
    nats_server server;
    numbered_stream stream(server);
    constexpr std::uint64_t count = 500;
    stream.publish(count);
    bridged_queue queue(4096);
    const bool goes_on = GENERATE(true, false);
    auto bridge = std::make_unique<running_tool>(bridge_in(queue.name(), server));
    REQUIRE(pop_numbers(queue, count) == numbers_up_to(count));
    REQUIRE(wait_until([&] { return figure_of(queue.name(), "in_flight_messages") == 0; }));
    server.kill();
    for (const auto& one : std::filesystem::recursive_directory_iterator(server.folder() / "store")) {
        if (one.path().filename() == "o.dat") std::filesystem::remove(one.path());
    }
    if (!goes_on) bridge.reset();
    server.start();
    if (!goes_on) bridge = std::make_unique<running_tool>(bridge_in(queue.name(), server));
    stream.publish(3);
    const auto more = pop_numbers(queue, 3);
    CHECK(more == std::vector<std::uint64_t>{count, count + 1, count + 2});
    CHECK(wait_until([&] { return stream.is_drained(); }));
    CHECK(figure_of(queue.name(), "duplicates_total") >= static_cast<int>(count));
    CHECK(queue->empty());
}

TEST_CASE("a consumer that is made again delivers all messages once more") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(3);
    bridged_queue queue;
    REQUIRE(run_tool(bridge_in(queue.name(), server, {"--once"})).exit == 0);
    ::jsErrCode error{};
    REQUIRE(::js_DeleteConsumer(stream.client().context(), "TEST", "test", nullptr, &error) == NATS_OK);
    REQUIRE(run_tool(bridge_in(queue.name(), server, {"--once", "--ack-wait", "2"})).exit == 0);
    CHECK(pop_numbers(queue, 6) == std::vector<std::uint64_t>{0, 1, 2, 0, 1, 2});
}

TEST_CASE("a consumer that is deleted while the queue is full is made again, and all messages come") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(20);
    bridged_queue queue(4);
    const auto bridge = start_and_hold(queue, server, 8);
    ::jsErrCode error{};
    REQUIRE(::js_DeleteConsumer(stream.client().context(), "TEST", "test", nullptr, &error) == NATS_OK);
    REQUIRE(wait_until([&] { return has(bridge->err(), "consumer \"test\" of stream \"TEST\" is gone"); }));
    // Those that were in the queue come once more, unless the consumer counts as the same one.
    auto numbers = pop_numbers(queue, 20);
    CHECK(wait_until([&] { return stream.is_drained(); }));
    while (!queue->empty()) numbers.push_back(number_of(queue.pop()));
    numbers = sorted(numbers);
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    CHECK(numbers == numbers_up_to(20));
}

TEST_CASE("streams and consumers of the same names, of two servers, made at the same time, are two") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_server other;
    numbered_stream stream(server);
    numbered_stream another(other);
    constexpr std::uint64_t count = 50;
    stream.publish(count);
    another.publish(count);
    bridged_queue queue(256);
    std::optional<running_tool> bridge;
    bridge.emplace(bridge_in(queue.name(), server));
    REQUIRE(pop_numbers(queue, count) == numbers_up_to(count));
    // By then it has been told up to where all is acknowledged.
    REQUIRE(wait_until([&] { return stream.is_drained() && figure_of(queue.name(), "in_flight_messages") == 0; }));
    std::size_t running = 2;
    SECTION("the first bridge runs") {}
    SECTION("the first bridge is dead") {
        bridge.reset();
        running = 1;
    }
    const running_tool second(bridge_in(queue.name(), other));
    CHECK(pop_numbers(queue, count) == numbers_up_to(count));
    const auto labels = labels_of_bridges(queue.name());
    CHECK(labels.size() == running);
    CHECK(std::set(labels.begin(), labels.end()).size() == running);
}

TEST_CASE("a server that is lost while a bridge starts is waited for, whatever the bridge is doing") {
    NEEDS_NATS_SERVER;
    nats_server server;
    numbered_stream stream(server, 1'000'000'000);
    for (std::uint64_t step = 0; step != 24; ++step) {
        CAPTURE(step);
        bridged_queue queue;
        running_tool bridge(bridge_in(queue.name(), server));
        ::poll(nullptr, 0, static_cast<int>(step));
        server.kill();
        server.start();
        stream.publish(1);
        REQUIRE(wait_until([&] { return bridge.has_ended() || !queue->empty(); }));
        INFO(bridge.err());
        REQUIRE_FALSE(bridge.has_ended());
        CHECK(number_of(queue.pop()) == step);
        bridge.signal(SIGTERM);
        CHECK(bridge.wait().exit == 0);
    }
}

TEST_CASE(
    "a bridge whose record has no room for new messages comes through, also one that takes over from a killed one") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_client client(server.url());
    client.add_stream("TEST", "test");
    client.add_consumer("TEST", "test", [](::jsConsumerConfig& wanted) {
        wanted.AckWait = 4'000'000'000;
        wanted.MaxAckPending = 256;
    });
    constexpr std::uint64_t count = 40'000;  // a record takes 32,768 while the floor stands still
    const scoped_name from_name("bridge-room");
    auto from = promisqs::untyped_queue::create(from_name, count, type());
    bridged_queue to(count);
    for (std::uint64_t i = 0; i != count; ++i) {
        message one(size);
        std::memcpy(one.data(), &i, sizeof i);
        REQUIRE(from.push(one));
    }
    const arguments out{"bridge", "out", from_name.str(), "--to", "TEST", "--subject", "test", "--url", server.url()};
    running_tool filling(out);
    REQUIRE(wait_until([&] { return client.stream("TEST").messages == count; }));
    filling.signal(SIGTERM);
    REQUIRE(filling.wait().exit == 0);
    client.take_and_forget("TEST", "test");  // the first message, for which the floor waits
    {
        running_tool bridge(bridge_in(to.name(), server));
        REQUIRE(wait_until([&] { return to->size() >= 32'000; }));
        bridge.signal(SIGKILL);
    }
    running_tool next(bridge_in(to.name(), server));
    CHECK(wait_until([&] { return to->size() == count; }));
    INFO(next.err());
    next.signal(SIGTERM);
    CHECK(next.wait().exit == 0);
    CHECK(sorted(pop_numbers(to, count)) == numbers_up_to(count));
    CHECK(client.is_drained("TEST", "test"));
}

TEST_CASE("a closed queue ends the bridge, which leaves the messages in the stream") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    bridged_queue queue;
    queue->close();
    stream.publish(3);
    const auto in = run_tool(bridge_in(queue.name(), server));
    INFO(in.err);
    CHECK(in.exit == 1);
    CHECK(has(in.err, "the queue is closed"));
    CHECK(!stream.is_drained());
}

TEST_CASE("a bridge whose queue is removed ends, and gives back what it holds") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(20);
    {
        bridged_queue removed(4);
        auto bridge = start_and_hold(removed, server, 8);
        REQUIRE(run_tool({"rm", "--force", removed.name()}).exit == 0);
        const auto ended = bridge->wait();
        INFO(ended.err);
        CHECK(ended.exit == 3);
        CHECK(has(ended.err, "4 messages of stream \"TEST\" were pushed, until the queue was removed"));
    }
    bridged_queue queue(32);
    const running_tool next(bridge_in(queue.name(), server));
    CHECK(sorted(pop_numbers(queue, 16)).front() == 4);
    CHECK(wait_until([&] { return stream.is_drained(); }));
}

TEST_CASE("a running bridge is shown to Prometheus, and what a killed one has left goes with its queue") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    numbered_stream stream(server);
    stream.publish(20);
    auto queue = std::make_unique<queue_of>(type(), 4);
    const std::string name = queue->name();
    auto bridge = start_and_hold(*queue, server, 8);
    CHECK(wait_until([&] { return figure_of(name, "in_messages_total") == 12; }));
    CHECK(figure_of(name, "out_messages_total") == 4);
    CHECK(figure_of(name, "connected") == 1);
    CHECK(figure_of(name, "reconnects_total") == 0);
    const auto labels = labels_of_bridges(name);
    REQUIRE(labels.size() == 1);
    CHECK(std::regex_match(
        *labels.begin(),
        std::regex(R"(\{queue="[^"]*",direction="in",stream="TEST",consumer="test",bridge="[0-9a-f]{16}\.0"\})")));
    bridge.reset();
    CHECK(figure_of(name, "connected") == -1);
    const auto findings = [&] { return json::parse(run_tool({"doctor", name, "--json"}).out).at("findings").dump(); };
    CHECK(has(findings(), "bridge_stopped"));
    SECTION("rm removes it") { REQUIRE(run_tool({"rm", "--force", name}).exit == 0); }
    SECTION("doctor removes it") {
        queue.reset();
        queue = std::make_unique<queue_of>(type(), 4);  // another queue of this name
        CHECK(has(findings(), "bridge_record"));
        static_cast<void>(run_tool({"doctor", name, "--fix"}));
    }
    const auto after = json::parse(run_tool({"doctor", "--json"}).out).at("findings");
    for (const auto& one : after) CHECK(!(one.at("queue") == name && has(one.at("kind").get<std::string>(), "bridge")));
}
