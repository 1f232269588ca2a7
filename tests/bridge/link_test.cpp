// SPDX-License-Identifier: Apache-2.0

// What the tests of the bridge rest on: the servers, the slow link, and what a server promises.

#include "bridge/client.hpp"
#include "bridge/server.hpp"
#include "bridge/slow_link.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <string>

using namespace promisqs_test;
using namespace std::chrono_literals;

TEST_CASE("what a stream has acknowledged is there after its server was killed") {
    NEEDS_NATS_SERVER;
    nats_server server;
    nats_client(server.url()).add_stream("S", "s.>");
    for (int round = 0; round < 3; ++round) {
        {
            const nats_client client(server.url());
            for (int i = 0; i < 500; ++i) client.publish("s.a", std::to_string(round * 500 + i));
            server.kill();
        }
        server.start();
    }
    const auto all = nats_client(server.url()).read("S", "s.>");
    REQUIRE(all.size() == 1500);
    for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i].data == std::to_string(i));
}

TEST_CASE("a slow link delays what passes, and can be cut") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    slow_link link(server.port(), 20ms, 100'000);
    const nats_client direct(server.url());
    direct.add_stream("S", "s.>");
    const nats_client slow(link.url());
    const auto begun = std::chrono::steady_clock::now();
    slow.publish("s.a", std::string(50'000, 'x'));
    CHECK(std::chrono::steady_clock::now() - begun >= 540ms);
    CHECK(direct.stream("S").messages == 1);
    link.cut();
    for (int attempts = 0; attempts < 50 && direct.stream("S").messages == 1; ++attempts) {
        try {
            slow.publish("s.a", "after");
        } catch (const nats_error&) {}
    }
    CHECK(link.connections() >= 2);
    CHECK(direct.read("S", "s.>").back().data == "after");
}

TEST_CASE("a cluster elects another leader when one is lost") {
    NEEDS_NATS_SERVER;
    nats_cluster cluster;
    const nats_client client(cluster.url());
    client.add_replicated_stream("S", "s.>", 3);
    client.until_published("s.a", "before");
    const std::string leader = client.leader("S");
    cluster.server(leader).kill();
    client.until_published("s.a", "after");
    CHECK(client.leader("S") != leader);
    CHECK(client.read("S", "s.>").size() == 2);
}
