// SPDX-License-Identifier: Apache-2.0

// Several bridges for one queue, and for one stream: pools, of which some may die.

#include "bridge/client.hpp"
#include "bridge/scoped_records.hpp"
#include "bridge/server.hpp"
#include "bridge/waiting.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/queue.hpp>

#include <signal.h>

#include <cstdint>
#include <cstring>
#include <list>
#include <string>
#include <utility>
#include <vector>

using namespace promisqs_test;
using numbers = promisqs::shmem_queue<std::uint64_t>;

namespace {

constexpr std::uint64_t count = 50'000;

/// How often each number was seen.
class tally {
public:
    void add(std::uint64_t number) { ++seen_.at(number); }
    [[nodiscard]] bool is_each_once() const { return seen_ == std::vector<unsigned>(count, 1); }

private:
    std::vector<unsigned> seen_ = std::vector<unsigned>(count);
};

/// Bridges that run until they are told to end.
class pool {
public:
    pool(const arguments& command, int size) {
        for (int i = 0; i != size; ++i) all_.emplace_back(command);
    }
    void kill_one() {
        all_.front().signal(SIGKILL);
        all_.pop_front();
    }
    void end() {
        for (const auto& one : all_) one.signal(SIGTERM);
        for (auto& one : all_) {
            const tool_result result = one.wait();
            INFO(result.err);
            CHECK(result.exit == 0);
        }
    }

private:
    std::list<running_tool> all_;
};

}  // namespace

TEST_CASE("several bridges share a queue and a stream, and take over what one of them had when it died") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_client client(server.url());
    client.add_stream("TEST", "test");
    client.add_consumer("TEST", "pool", [](::jsConsumerConfig& wanted) { wanted.AckWait = 1'000'000'000; });
    const scoped_name from_name("bridge-pool-from");
    const scoped_name to_name("bridge-pool-to");
    numbers from = numbers::create(from_name, count, {.max_deaths = 0});
    numbers to = numbers::create(to_name, count, {.max_deaths = 0});
    const scoped_records of_from(from_name.str());
    const scoped_records of_to(to_name.str());
    for (std::uint64_t i = 0; i != count; ++i) REQUIRE(from.push(i));

    pool out({"bridge", "out", from_name.str(), "--to", "TEST", "--subject", "test", "--url", server.url()}, 3);
    REQUIRE(wait_until([&] { return client.stream("TEST").messages > 5000; }));
    out.kill_one();
    // The killed one may have published all that it held, and the others have to do it again.
    REQUIRE(wait_until([&] { return client.stream("TEST").messages >= count && from.empty(); }));
    out.end();
    CHECK(from.empty());
    tally stored_ones;
    client.read("TEST", "test", [&](const stored& one) {
        std::uint64_t number = 0;
        std::memcpy(&number, one.data.data(), sizeof number);
        stored_ones.add(number);
    });
    CHECK(stored_ones.is_each_once());

    pool in({"bridge", "in", to_name.str(), "--from", "TEST", "--consumer", "pool", "--url", server.url()}, 3);
    REQUIRE(wait_until([&] { return to.size() > 5000; }));
    in.kill_one();
    REQUIRE(wait_until([&] { return client.is_drained("TEST", "pool"); }));
    in.end();
    tally pushed_ones;
    while (const auto number = to.pop()) pushed_ones.add(*number);
    CHECK(pushed_ones.is_each_once());
}
