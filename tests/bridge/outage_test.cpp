// SPDX-License-Identifier: Apache-2.0

// What stops a stream without killing anybody who uses the queues: a server that is gone for long, or does not answer;
// a stream that is full; a slow link, and one that breaks; a cluster whose leader is lost.

#include "bridge/client.hpp"
#include "bridge/line.hpp"
#include "bridge/server.hpp"
#include "bridge/slow_link.hpp"
#include "support/catch.hpp"

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

using namespace promisqs_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t capacity = 1024;
constexpr std::uint64_t window = 256;  // as line_settings has it

bool is_exact(line& all) {
    const balance result = all.finish();
    for (const auto& one : result.complaints) UNSCOPED_INFO(one);
    UNSCOPED_INFO(all.said());
    return result.holds() && result.pushed == all.arrived();
}

/// Waits until the producer finds no room: all places have a message that waits, or one that the bridge holds.
void wait_until_full(line& all) {
    std::uint64_t last = all.pushed();
    auto last_change = std::chrono::steady_clock::now();
    all.wait_while([&] {
        const auto now = std::chrono::steady_clock::now();
        if (std::exchange(last, all.pushed()) != all.pushed()) last_change = now;
        return all.waiting_to_leave() < capacity - window || now - last_change < 2s;
    });
}

}  // namespace

TEST_CASE("the queue holds what a server that is gone for ten seconds does not take, and then it catches up") {
    NEEDS_NATS_SERVER;
    nats_server server;
    line::add_stream(nats_client(server.url()));
    line all({.url = server.url(), .capacity = capacity});
    all.start_all();
    all.let_pass(5000);
    server.stop();
    const auto back = std::chrono::steady_clock::now() + 10s;
    wait_until_full(all);
    const std::uint64_t pushed = all.pushed();
    while (std::chrono::steady_clock::now() < back) ::poll(nullptr, 0, 10);
    CHECK(all.pushed() == pushed);
    CHECK(all.waiting_to_leave() >= capacity - window);
    server.start();
    all.let_pass(5000);
    CHECK(is_exact(all));
    CHECK(all.is_exact_in_stream(nats_client(server.url())));
    CHECK(all.out_result().exit == 0);
    CHECK(all.in_result().exit == 0);
}

TEST_CASE("a server that does not answer for a while is waited for") {
    NEEDS_NATS_SERVER;
    nats_server server;
    line::add_stream(nats_client(server.url()));
    line all({.url = server.url(), .capacity = capacity});
    all.start_all();
    all.let_pass(5000);
    server.freeze();
    const auto back = std::chrono::steady_clock::now() + 7s;
    wait_until_full(all);
    while (std::chrono::steady_clock::now() < back) ::poll(nullptr, 0, 10);
    server.go_on();
    all.let_pass(5000);
    CHECK(is_exact(all));
    CHECK(all.is_exact_in_stream(nats_client(server.url())));
}

TEST_CASE("a full stream holds messages back in the queue, and drops none") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_client client(server.url());
    client.add_stream(line::stream, line::subject, [](::jsStreamConfig& wanted) {
        wanted.Retention = js_WorkQueuePolicy;
        wanted.MaxMsgs = 500;
    });
    line::add_consumer(client);
    line all({.url = server.url(), .capacity = capacity});
    all.start(part::producer);
    all.start(part::out);
    while (all.pushed() != 500 + capacity) {
        all.require_alive(part::out);
        ::poll(nullptr, 0, 10);
    }
    CHECK(client.stream(line::stream).messages == 500);
    all.start(part::consumer);
    all.start(part::in);
    all.let_pass(5000);
    all.kill(part::in);  // full again, in the middle
    while (client.stream(line::stream).messages != 500) ::poll(nullptr, 0, 10);
    all.start(part::in);
    all.let_pass(5000);
    CHECK(is_exact(all));
}

TEST_CASE("a slow link that breaks now and then loses nothing") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    line::add_stream(nats_client(server.url()));
    slow_link link(server.port(), 10ms, 500'000);
    line all({.url = link.url(), .capacity = capacity});
    all.start_all();
    for (int i = 0; i < 4; ++i) {
        all.let_pass(1500);
        link.cut();
    }
    all.let_pass(1500);
    CHECK(is_exact(all));
    CHECK(all.is_exact_in_stream(nats_client(server.url())));
    CHECK(link.connections() >= 10);
}

TEST_CASE("a cluster that loses the leader of a stream goes on") {
    NEEDS_NATS_SERVER;
    nats_cluster cluster;
    const nats_client client(cluster.url());
    client.add_replicated_stream(line::stream, line::subject, 3);
    nats_client::patiently([&] { line::add_consumer(client); });
    line all({.url = cluster.url(), .capacity = capacity});
    all.start_all();
    for (int i = 0; i < 3; ++i) {
        all.let_pass(3000);
        const std::string leader = client.leader(line::stream);
        cluster.server(leader).kill();
        all.let_pass(3000);
        cluster.server(leader).start();
    }
    all.let_pass(3000);
    CHECK(is_exact(all));
    // Those on their way to a leader that is lost are sent again, perhaps after some that the next leader has
    // taken already. So this promises no order.
    const line::content found = all.in_stream(client);
    CHECK(found.messages == all.arrived());
    CHECK(found.twice == 0);
}
