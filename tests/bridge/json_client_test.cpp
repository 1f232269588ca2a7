// SPDX-License-Identifier: Apache-2.0

// `promisqs bridge --format json`, with a client in JavaScript at the other end of the stream.

#include "bridge/client.hpp"
#include "bridge/npm.hpp"
#include "bridge/server.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "tool/messages.hpp"
#include "tool/run_tool.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

using namespace promisqs_test;
using json = nlohmann::json;

namespace {

// One of each kind, and an aggregate in an array.
constexpr const char* schema =
    "test.order#1 {id:u64@0 change:i64@8 price:f64@16 ratio:f32@24 small:i16@28 is_firm:bool@30 tint:enum<i8>@31 "
    "symbol:char[8]@32 bytes:u8[4]@40 levels:{price:f64@0 count:u32@8}:16:8[2]@48}:80:8";

// What JavaScript has numbers for: up to 2^53 exactly.
std::vector<json> orders() {
    return {
        json::parse(R"({"id":0,"change":0,"price":0.0,"ratio":0.0,"small":0,"is_firm":false,"tint":0,"symbol":"",
                        "bytes":[0,0,0,0],"levels":[{"price":0.0,"count":0},{"price":0.0,"count":0}]})"),
        json::parse(R"({"id":9007199254740991,"change":-9007199254740991,"price":1.7976931348623157e308,"ratio":0.25,
                        "small":-32768,"is_firm":true,"tint":-128,"symbol":"a\"\\é\n","bytes":[0,1,254,255],
                        "levels":[{"price":5e-324,"count":4294967295},{"price":-0.1,"count":1}]})"),
        json::parse(R"({"id":7,"change":-1,"price":0.1,"ratio":16777216.0,"small":32767,"is_firm":true,"tint":127,
                        "symbol":"12345678","bytes":[9,8,7,6],
                        "levels":[{"price":1e21,"count":2},{"price":3.0,"count":3}]})"),
    };
}

std::string lines_of(const std::vector<json>& all) {
    std::string text;
    for (const json& one : all) text += one.dump() + "\n";
    return text;
}
std::vector<json> parsed_lines(const std::string& text) {
    std::vector<json> all;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) all.push_back(json::parse(line));
    return all;
}

void bridge_out(const std::string& queue, const std::string& stream, const std::string& subject,
                const nats_server& server) {
    const auto done = run_tool({"bridge", "out", queue, "--to", stream, "--subject", subject, "--url", server.url(),
                                "--format", "json", "--once"});
    INFO(done.err);
    REQUIRE(done.exit == 0);
}
void bridge_in(const std::string& queue, const std::string& stream, const nats_server& server) {
    const auto done = run_tool({"bridge", "in", queue, "--from", stream, "--consumer", "test", "--url", server.url(),
                                "--format", "json", "--once"});
    INFO(done.err);
    REQUIRE(done.exit == 0);
}

}  // namespace

TEST_CASE("a client in another language reads the values that were pushed") {
    NEEDS_NATS_SERVER;
    NEEDS_NPM_CLIENT;
    const nats_server server;
    nats_client(server.url()).add_stream("OUT", "out");
    const queue_of queue(schema);
    REQUIRE(run_tool({"push", queue.name()}, lines_of(orders())).exit == 0);
    bridge_out(queue.name(), "OUT", "out", server);

    const auto read = run_script("client.js", {server.url(), "read", "OUT", "3"});
    INFO(read.err);
    REQUIRE(read.exit == 0);
    std::vector<json> values;
    for (const json& one : parsed_lines(read.out)) {
        CHECK(one.at("subject") == "out");
        const auto type = one.at("headers").at("Promisqs-Type").get<std::string>();
        CHECK(type.size() == 16 + std::string(" json").size());
        CHECK(type.ends_with(" json"));
        values.push_back(one.at("value"));
    }
    CHECK(values == orders());
}

TEST_CASE("what a client in another language writes is pushed") {
    NEEDS_NATS_SERVER;
    NEEDS_NPM_CLIENT;
    const nats_server server;
    nats_client(server.url()).add_stream("IN", "in");
    const auto written = run_script("client.js", {server.url(), "write", "in"}, lines_of(orders()));
    INFO(written.err);
    REQUIRE(written.exit == 0);
    const queue_of queue(schema);
    bridge_in(queue.name(), "IN", server);
    CHECK(parsed_lines(run_tool({"pop", queue.name(), "--all"}).out) == orders());
}

TEST_CASE("bytes are the same after a client in another language has parsed and written them") {
    NEEDS_NATS_SERVER;
    NEEDS_NPM_CLIENT;
    const nats_server server;
    nats_client(server.url()).add_stream("OUT", "out");
    nats_client(server.url()).add_stream("IN", "in");
    const promisqs::element_type type = promisqs::parse_element_type(schema);
    const std::vector<message> pushed = messages_of(type, lines_of(orders()), 3);
    queue_of from(schema);
    for (const message& one : pushed) from.push(one);
    bridge_out(from.name(), "OUT", "out", server);
    CHECK(from->empty());

    const auto passed = run_script("client.js", {server.url(), "pass", "OUT", "3", "in"});
    INFO(passed.err);
    REQUIRE(passed.exit == 0);
    scoped_name name("bridge-json-to");
    promisqs::untyped_queue to = promisqs::untyped_queue::create(name, 8, type);
    bridge_in(name.str(), "IN", server);
    for (const message& one : pushed) {
        message found(to.element_size());
        REQUIRE(to.pop(found));
        CHECK(found == one);
    }
    CHECK(to.empty());
}
