// SPDX-License-Identifier: Apache-2.0

// `promisqs bridge out` beside a bare client of NATS, which publishes the same bytes with the same window. They take
// turns on one server of their own.
//
// How many messages a second: from a queue that was filled before; the server's own times of the first and the last one
// count. How long one takes: a message at a time, so many a second, up to a subscriber of the stream.

#include "bridge/client.hpp"
#include "bridge/server.hpp"
#include "segment_name.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/untyped_queue.hpp>

#include <CLI/CLI.hpp>

#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <semaphore>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using promisqs_test::nats_check;
using promisqs_test::nats_client;
using promisqs_test::nats_owned;
using promisqs_test::nats_server;
using promisqs_test::running_tool;
using clock_type = std::chrono::steady_clock;

struct settings {
    std::uint64_t messages = 200'000;
    std::uint64_t window = 1024;
    unsigned repetitions = 7;
    std::uint64_t rate = 1000;
    unsigned seconds = 3;
};

constexpr const char* stream = "BENCH";
constexpr const char* subject = "bench";

std::string schema_of(std::size_t size) {
    return "{sent:u64@0 rest:u8[" + std::to_string(size - 8) + "]@8}:" + std::to_string(size) + ":8";
}

/// The stream, new, and a client for looking at it.
class scene {
public:
    explicit scene(const nats_server& server) : client_(server.url()) { client_.add_stream(stream, subject); }
    scene(const scene&) = delete;
    scene& operator=(const scene&) = delete;
    ~scene() { static_cast<void>(::js_DeleteStream(client_.context(), stream, nullptr, nullptr)); }

    [[nodiscard]] const nats_client& client() const noexcept { return client_; }

    /// Messages a second, by the server's clock.
    [[nodiscard]] double rate(std::uint64_t expected) const {
        if (client_.stream(stream).messages != expected)
            throw std::runtime_error("the stream has not got all messages");
        return static_cast<double>(expected - 1) * 1e9 / static_cast<double>(stored_at(expected) - stored_at(1));
    }

private:
    [[nodiscard]] std::int64_t stored_at(std::uint64_t sequence) const {
        ::natsMsg* message = nullptr;
        ::jsErrCode error{};
        nats_check(::js_GetMsg(&message, client_.context(), stream, sequence, nullptr, &error), "look at a message");
        const nats_owned<::natsMsg, ::natsMsg_Destroy> owned(message);
        return ::natsMsg_GetTime(message);
    }

    nats_client client_;
};

/// Publishes without waiting for each acknowledgement, up to a window of them, with the headers that the bridge sets.
class bare_publisher {
public:
    bare_publisher(const nats_server& server, std::uint64_t window)
        : client_(server.url()), room_(static_cast<std::ptrdiff_t>(window)), window_(window) {
        ::jsOptions options;
        nats_check(::jsOptions_Init(&options), "options");
        options.PublishAsync.MaxPending = static_cast<std::int64_t>(window);
        options.PublishAsync.AckHandler = &acknowledged;
        options.PublishAsync.AckHandlerClosure = this;
        ::jsCtx* context = nullptr;
        nats_check(::natsConnection_JetStream(&context, client_.connection(), &options), "JetStream");
        context_.reset(context);
    }

    void publish(std::span<const std::byte> bytes) {
        room_.acquire();
        ::natsMsg* message = nullptr;
        nats_check(::natsMsg_Create(&message, subject, nullptr, reinterpret_cast<const char*>(bytes.data()),
                                    static_cast<int>(bytes.size())),
                   "make a message");
        std::array<char, 64> id{};
        std::snprintf(id.data(), id.size(), "0123456789abcdef-%llu", static_cast<unsigned long long>(number_++));
        nats_check(::natsMsgHeader_Set(message, "Nats-Msg-Id", id.data()), "add a header");
        nats_check(::natsMsgHeader_Set(message, "Promisqs-Type", "0123456789abcdef"), "add a header");
        const ::natsStatus status = ::js_PublishMsgAsync(context_.get(), &message, nullptr);
        if (message != nullptr) ::natsMsg_Destroy(message);
        nats_check(status, "publish");
    }
    void await_all() {
        for (std::uint64_t i = 0; i != window_; ++i) room_.acquire();
        room_.release(static_cast<std::ptrdiff_t>(window_));
        if (failed_ != 0) throw std::runtime_error("the server has refused messages");
    }

private:
    static void acknowledged(::jsCtx* /*context*/, ::natsMsg* message, ::jsPubAck* ack, ::jsPubAckErr* /*error*/,
                             void* closure) {
        auto& self = *static_cast<bare_publisher*>(closure);
        if (ack == nullptr) ++self.failed_;
        ::natsMsg_Destroy(message);
        self.room_.release();
    }

    nats_client client_;
    nats_owned<::jsCtx, ::jsCtx_Destroy> context_;
    std::counting_semaphore<> room_;
    std::uint64_t window_;
    std::uint64_t number_ = 0;
    std::atomic<std::uint64_t> failed_ = 0;
};

/// A queue, and `promisqs bridge out` that serves it.
class bridged_queue {
public:
    bridged_queue(std::size_t size, std::uint64_t capacity)
        : queue_(promisqs::untyped_queue::create(name_.get(), capacity, schema_of(size), {.max_deaths = 0})) {}

    promisqs::untyped_queue* operator->() noexcept { return &queue_; }

    [[nodiscard]] promisqs_test::arguments command(const nats_server& server, std::uint64_t window) const {
        return {"bridge",     "out",      name_.get(),           "--to", stream, "--subject", subject, "--url",
                server.url(), "--window", std::to_string(window)};
    }

private:
    bench::segment_name name_;
    promisqs::untyped_queue queue_;
};

double bare_rate(const nats_server& server, std::size_t size, const settings& wanted) {
    const scene all(server);
    bare_publisher publisher(server, wanted.window);
    const std::vector<std::byte> message(size, std::byte{1});
    for (std::uint64_t i = 0; i != wanted.messages; ++i) publisher.publish(message);
    publisher.await_all();
    return all.rate(wanted.messages);
}

double bridge_rate(const nats_server& server, std::size_t size, const settings& wanted) {
    const scene all(server);
    bridged_queue queue(size, wanted.messages);
    const std::vector<std::byte> message(size, std::byte{1});
    for (std::uint64_t i = 0; i != wanted.messages; ++i) {
        if (!queue->push(message)) throw std::runtime_error("the queue is full");
    }
    auto command = queue.command(server, wanted.window);
    command.emplace_back("--once");
    const auto done = promisqs_test::run_tool(command);
    if (done.exit != 0) throw std::runtime_error(done.err);
    return all.rate(wanted.messages);
}

/// Receives messages from the stream as they come, and notes how old they are.
class observer {
public:
    explicit observer(const scene& all) {
        ::jsSubOptions options;
        nats_check(::jsSubOptions_Init(&options), "subscription");
        options.Ordered = true;
        options.Stream = stream;
        ::natsSubscription* made = nullptr;
        ::jsErrCode error{};
        nats_check(::js_SubscribeSync(&made, all.client().context(), subject, nullptr, &options, &error), "subscribe");
        subscription_.reset(made);
    }
    /// Microseconds, of so many messages.
    [[nodiscard]] std::vector<double> ages(std::uint64_t count) {
        std::vector<double> found;
        found.reserve(count);
        while (found.size() != count) {
            ::natsMsg* message = nullptr;
            nats_check(::natsSubscription_NextMsg(&message, subscription_.get(), 30'000), "receive");
            const auto now = clock_type::now().time_since_epoch().count();
            const nats_owned<::natsMsg, ::natsMsg_Destroy> owned(message);
            std::int64_t sent = 0;
            std::memcpy(&sent, ::natsMsg_GetData(message), sizeof sent);
            found.push_back(static_cast<double>(now - sent) / 1000);
        }
        return found;
    }

private:
    nats_owned<::natsSubscription, ::natsSubscription_Destroy> subscription_;
};

/// The median, in microseconds, of the times that messages take which `send` sends, so many a second.
template <class Send>
double median_age(const scene& all, std::size_t size, const settings& wanted, Send send) {
    observer sees(all);
    const std::uint64_t warm_up = wanted.rate / 4 + 1;
    const std::uint64_t count = warm_up + wanted.rate * wanted.seconds;
    std::jthread sender([&] {
        std::vector<std::byte> message(size, std::byte{1});
        // At random intervals: at steady ones, all messages would meet a client's own rhythm at the same beat.
        std::mt19937_64 random(size);
        std::uniform_real_distribution<double> interval(0, 2e9 / static_cast<double>(wanted.rate));
        auto next = clock_type::now();
        for (std::uint64_t i = 0; i != count; ++i) {
            next += std::chrono::nanoseconds(static_cast<std::int64_t>(interval(random)));
            std::this_thread::sleep_until(next);
            const std::int64_t now = clock_type::now().time_since_epoch().count();
            std::memcpy(message.data(), &now, sizeof now);
            send(message);
        }
    });
    std::vector<double> ages = sees.ages(count);
    ages.erase(ages.begin(), ages.begin() + static_cast<std::ptrdiff_t>(warm_up));
    std::sort(ages.begin(), ages.end());
    return ages[ages.size() / 2];
}

double bare_age(const nats_server& server, std::size_t size, const settings& wanted) {
    const scene all(server);
    bare_publisher publisher(server, wanted.window);
    const double found = median_age(all, size, wanted, [&](const auto& message) { publisher.publish(message); });
    publisher.await_all();
    return found;
}

double bridge_age(const nats_server& server, std::size_t size, const settings& wanted) {
    const scene all(server);
    bridged_queue queue(size, 4096);
    running_tool bridge(queue.command(server, wanted.window));
    const double found = median_age(all, size, wanted, [&](const auto& message) {
        if (!queue->push(message)) throw std::runtime_error("the queue is full");
    });
    bridge.signal(SIGTERM);
    bridge.wait();
    return found;
}

double median(std::vector<double> all) {
    std::sort(all.begin(), all.end());
    return all[all.size() / 2];
}

/// Measures both in turn, and prints the medians, the ranges and the ratio.
template <class Bare, class Bridge>
void compare(const char* what, std::size_t size, const settings& wanted, Bare bare, Bridge bridge) {
    std::vector<double> of_bare;
    std::vector<double> of_bridge;
    std::vector<double> ratios;
    for (unsigned i = 0; i != wanted.repetitions; ++i) {
        // Who comes first changes.
        if (i % 2 == 0) of_bare.push_back(bare());
        of_bridge.push_back(bridge());
        if (i % 2 != 0) of_bare.push_back(bare());
        ratios.push_back(of_bridge.back() / of_bare.back());
    }
    const auto range = [](const std::vector<double>& all) {
        const auto [least, most] = std::minmax_element(all.begin(), all.end());
        return std::pair(*least, *most);
    };
    const auto [bare_least, bare_most] = range(of_bare);
    const auto [least, most] = range(of_bridge);
    const auto [ratio_least, ratio_most] = range(ratios);
    std::printf("%s, %zu B: bare %.0f (%.0f to %.0f), bridge %.0f (%.0f to %.0f), ratio %.3f (%.3f to %.3f)\n", what,
                size, median(of_bare), bare_least, bare_most, median(of_bridge), least, most, median(ratios),
                ratio_least, ratio_most);
    std::fflush(stdout);
}

void run(const settings& wanted) {
    if (promisqs_test::nats_server_program().empty()) {
        std::printf("skipped: nats-server is not installed\n");
        return;
    }
    const nats_server server;
    for (const std::size_t size : {std::size_t{64}, std::size_t{1024}}) {
        compare(
            "messages a second", size, wanted, [&] { return bare_rate(server, size, wanted); },
            [&] { return bridge_rate(server, size, wanted); });
        compare(
            "microseconds to a subscriber, p50", size, wanted, [&] { return bare_age(server, size, wanted); },
            [&] { return bridge_age(server, size, wanted); });
    }
}

}  // namespace

int main(int argc, char** argv) {
    bench::remove_segments_on_signals();
    settings wanted;
    CLI::App app("Measures `promisqs bridge out` beside a bare client of NATS.", "promisqs_bridge_bench");
    app.add_option("--messages", wanted.messages, "In a measurement of throughput")->capture_default_str();
    app.add_option("--window", wanted.window, "Messages that are not acknowledged, at most")->capture_default_str();
    app.add_option("--repetitions", wanted.repetitions)->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--rate", wanted.rate, "Messages a second, in a measurement of latency")->capture_default_str();
    app.add_option("--seconds", wanted.seconds, "Of a measurement of latency")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        run(wanted);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "promisqs_bridge_bench: %s\n", error.what());
        return 1;
    }
}
