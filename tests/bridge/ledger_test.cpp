// SPDX-License-Identifier: Apache-2.0

// Messages from one queue to another by way of a stream, while every part of the way is killed at random and started
// again. Then the account must be exact.
//
// The short form is for every day. PROMISQS_BRIDGE_KILLS=100 kills each part so often, and sends ten thousand messages
// for each of these.

#include "bridge/line.hpp"
#include "bridge/server.hpp"
#include "support/catch.hpp"

#include <poll.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace promisqs_test;

namespace {

struct sizes {
    unsigned kills;  // of each part
    std::uint64_t messages;
};

sizes wanted_sizes() {
    const char* const kills = ::getenv("PROMISQS_BRIDGE_KILLS");
    if (kills == nullptr) return {2, 20'000};
    if (nats_server_program().empty())
        throw std::runtime_error("nats-server is not installed");  // and that is no proof
    const auto number = static_cast<unsigned>(std::stoul(kills));
    return {number, std::uint64_t{10'000} * number};
}

constexpr std::uint64_t room_in_ledger = std::uint64_t{1} << 24;

/// Kills parts at random.
class reaper {
public:
    reaper(line& its_line, nats_server& server, std::uint64_t seed) : line_(its_line), server_(server), random_(seed) {}

    /// \param victims  each is killed so often; `server` stands for the server
    void kill_each(unsigned times, const std::vector<part>& parts, bool server) {
        std::vector<int> order;  // as numbers of parts; -1: the server
        for (unsigned i = 0; i < times; ++i) {
            for (const part one : parts) order.push_back(static_cast<int>(one));
            if (server) order.push_back(-1);
        }
        std::shuffle(order.begin(), order.end(), random_);
        for (const int victim : order) {
            // As a rule in a stream that flows; now and then before the last death was got over.
            if (up_to(3) != 0) line_.let_pass(1 + up_to(2000));
            ::poll(nullptr, 0, static_cast<int>(up_to(20)));
            victim < 0 ? kill_server() : kill(static_cast<part>(victim));
            ++kills_;
        }
    }
    [[nodiscard]] unsigned kills() const noexcept { return kills_; }

private:
    [[nodiscard]] std::uint64_t up_to(std::uint64_t most) {
        return std::uniform_int_distribution<std::uint64_t>(0, most)(random_);
    }
    void kill(part one) {
        line_.kill(one);
        ::poll(nullptr, 0, static_cast<int>(up_to(3) == 0 ? up_to(200) : 0));
        line_.start(one);
    }
    void kill_server() {
        server_.kill();
        ::poll(nullptr, 0, static_cast<int>(up_to(3) == 0 ? up_to(200) : 0));
        server_.start();
    }

    line& line_;
    nats_server& server_;
    std::mt19937_64 random_;
    unsigned kills_ = 0;
};

std::string complaints_of(const balance& result) {
    std::string all;
    for (const auto& one : result.complaints) all += one + "\n";
    return all;
}

void say(const char* what, unsigned kills, const balance& result, std::uint64_t late) {
    const auto number = [](std::uint64_t one) -> unsigned long long { return one; };
    std::printf("%s: %llu messages, %u kills, %llu lost, %llu twice; %llu excused as twice, %llu late\n", what,
                number(result.pushed), kills, number(result.lost), number(result.twice), number(result.excused_twice),
                number(late));
    std::fflush(stdout);
}

std::uint64_t seed() {
    const char* const wanted = ::getenv("PROMISQS_BRIDGE_SEED");
    const std::uint64_t chosen = wanted == nullptr ? std::random_device{}() : std::stoull(wanted);
    std::printf("PROMISQS_BRIDGE_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
}

/// A line, and the server that it runs by, while its parts and the server are killed.
class killed_line {
public:
    killed_line() {
        line::add_stream(nats_client(server_.url()));
        line_.emplace(line_settings{.url = server_.url(), .most_messages = room_in_ledger});
        line_->start_all();
    }

    /// Kills each of the victims, and the server, lets the rest pass, and checks the account.
    ///
    /// \return  how often each was to be killed
    unsigned kill(const std::vector<part>& victims, const char* what) {
        const auto [kills, messages] = wanted_sizes();
        reaper death(*line_, server_, seed());
        death.kill_each(kills, victims, true);
        kills_ = death.kills();
        if (line_->arrived() < messages) line_->let_pass(messages - line_->arrived());
        const balance result = line_->finish();
        INFO(line_->said());
        say(what, kills_, result, line_->late());
        CHECK(complaints_of(result).empty());
        CHECK(result.holds());
        CHECK(result.pushed >= messages);
        return kills;
    }
    [[nodiscard]] unsigned kills() const noexcept { return kills_; }
    [[nodiscard]] line& parts() { return *line_; }
    [[nodiscard]] nats_server& server() noexcept { return server_; }

private:
    nats_server server_;
    std::optional<line> line_;
    unsigned kills_ = 0;
};

}  // namespace

TEST_CASE("messages cross in order, each once, if nobody dies") {
    const auto [kills, messages] = wanted_sizes();
    NEEDS_NATS_SERVER;
    const nats_server server;
    line::add_stream(nats_client(server.url()));
    line all({.url = server.url(), .most_messages = room_in_ledger});
    all.start_all();
    all.let_pass(messages);
    const balance result = all.finish();
    INFO(all.said());
    say("undisturbed", 0, result, all.late());
    CHECK(complaints_of(result).empty());
    CHECK(result.holds());
    CHECK(result.pushed == all.arrived());
    CHECK(all.late() == 0);
    CHECK(all.out_result().exit == 0);
    CHECK(all.in_result().exit == 0);
}

TEST_CASE("no message is lost and none comes twice, whoever is killed") {
    NEEDS_NATS_SERVER;
    killed_line run;
    const unsigned each = run.kill({all_parts.begin(), all_parts.end()}, "everybody killed");
    CHECK(run.kills() == 5 * each);
    CHECK(run.parts().out_result().exit == 0);
    CHECK(run.parts().in_result().exit == 0);
}

TEST_CASE("a stream has each message once and in order, whoever is killed before it") {
    NEEDS_NATS_SERVER;
    killed_line run;
    run.kill({part::producer, part::out}, "sending side killed");
    CHECK(run.parts().is_exact_in_stream(nats_client(run.server().url())));
}
