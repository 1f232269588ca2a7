// SPDX-License-Identifier: Apache-2.0
#pragma once

// The whole way of messages, with a ledger at both ends: producers, a queue, `promisqs bridge out`, a stream, `promisqs
// bridge in`, another queue, a consumer. Each part is a process, which can be killed and started again.

#include "bridge/client.hpp"
#include "bridge/line_workers.hpp"
#include "bridge/scoped_records.hpp"
#include "bridge/server.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/queue.hpp>

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_test {

enum class part : std::uint8_t { producer, out, in, consumer };
inline constexpr std::array all_parts{part::producer, part::out, part::in, part::consumer};

struct line_settings {
    std::string url;
    std::uint64_t most_messages = std::uint64_t{1} << 20;
    std::uint64_t capacity = 4096;
    std::string window = "256";
    /// Of each bridge, more options.
    arguments out = {};
    arguments in = {};
};

class line {
    using queue = promisqs::shmem_queue<line_message>;

public:
    static constexpr const char* stream = "TEST";
    static constexpr const char* subject = "test.numbers";
    static constexpr const char* consumer = "line";

    /// Makes the queues, the stream and its consumer, unless they are there; starts nothing.
    explicit line(line_settings wanted)
        : wanted_(std::move(wanted)),
          from_name_("bridge-from"),
          to_name_("bridge-to"),
          from_(queue::create(from_name_, wanted_.capacity, {.max_deaths = 0})),
          to_(queue::create(to_name_, wanted_.capacity, {.max_deaths = 0})),
          workers_(from_name_.str(), to_name_.str(), wanted_.most_messages) {}

    static void add_stream(const nats_client& client) {
        client.add_stream(stream, subject);
        add_consumer(client);
    }
    /// What its bridge had when it was killed comes again after a second.
    static void add_consumer(const nats_client& client) {
        client.add_consumer(stream, consumer, [](::jsConsumerConfig& wanted) {
            wanted.AckWait = 1'000'000'000;
            wanted.MaxAckPending = 256;
        });
    }

    /// What is in the stream, which has kept all.
    struct content {
        std::uint64_t messages = 0;
        std::uint64_t twice = 0;
        std::uint64_t steps_back = 0;  ///< from a message to an earlier one
        friend bool operator==(const content&, const content&) = default;
    };
    /// Also of a cluster that is about to elect a leader.
    [[nodiscard]] content in_stream(const nats_client& client) const {
        content found;
        nats_client::patiently([&] { found = read_stream(client); });
        return found;
    }
    /// Each message that has arrived, once, and in order.
    [[nodiscard]] bool is_exact_in_stream(const nats_client& client) const {
        return in_stream(client) == content{.messages = arrived()};
    }

    void start(part which) {
        switch (which) {
            case part::producer: workers_.start_producer(); return;
            case part::consumer: workers_.start_consumer(); return;
            case part::out:
                out_.emplace(
                    with({"bridge", "out", from_name_.str(), "--to", stream, "--subject", subject}, wanted_.out));
                return;
            case part::in:
                in_.emplace(
                    with({"bridge", "in", to_name_.str(), "--from", stream, "--consumer", consumer}, wanted_.in));
                return;
        }
    }
    void start_all() {
        for (const part which : all_parts) start(which);
    }

    /// Kills it as it is, and enters in the ledger what may have come of that.
    void kill(part which) {
        require_alive(which);
        switch (which) {
            case part::producer: workers_.kill_producer(); return;
            case part::consumer: workers_.kill_consumer(); return;
            case part::out: kill(out_); return;
            case part::in: kill(in_); return;
        }
    }

    /// Throws if a part that was started has ended of its own accord.
    void require_alive(part which) {
        switch (which) {
            case part::producer:
            case part::consumer: workers_.require_alive(); return;
            case part::out: require_alive(*out_); return;
            case part::in: require_alive(*in_); return;
        }
    }
    void require_all_alive() {
        for (const part which : all_parts) require_alive(which);
    }

    /// How many messages have come to the consumer.
    [[nodiscard]] std::uint64_t arrived() const { return workers_.arrived(); }
    [[nodiscard]] std::uint64_t pushed() const { return workers_.pushed(); }
    /// How many came after a later one: there is one producer at a time, and each begins after the one before.
    [[nodiscard]] std::uint64_t late() const { return workers_.late(); }

    /// Waits until `count` more have arrived; for two minutes without any at most.
    void let_pass(std::uint64_t count) {
        const std::uint64_t goal = arrived() + count;
        wait_while([&] { return arrived() < goal; });
    }
    /// Waits until what this holds for has changed; for two minutes without any arrival at most.
    template <class Condition>
    void wait_while(Condition holds) {
        std::uint64_t last = arrived();
        auto last_change = std::chrono::steady_clock::now();
        while (holds()) {
            require_all_alive();
            ::poll(nullptr, 0, 1);
            const auto now = std::chrono::steady_clock::now();
            if (std::exchange(last, arrived()) != arrived()) last_change = now;
            if (now - last_change > std::chrono::minutes(2)) throw std::runtime_error("nothing arrives: " + state());
        }
    }

    [[nodiscard]] std::uint64_t waiting_to_leave() const { return from_.size(); }
    [[nodiscard]] std::uint64_t waiting_to_arrive() const { return to_.size(); }
    [[nodiscard]] const std::string& from_name() const noexcept { return from_name_.str(); }
    [[nodiscard]] const std::string& to_name() const noexcept { return to_name_.str(); }
    [[nodiscard]] running_tool& out() { return *out_; }
    [[nodiscard]] running_tool& in() { return *in_; }

    /// Ends the producer, lets all that it has pushed arrive, and ends the rest in an orderly way.
    balance finish() {
        workers_.stop_producer();
        await_all();
        for (running_tool* bridge : {&*out_, &*in_}) bridge->signal(SIGTERM);
        out_result_ = out_->wait();
        in_result_ = in_->wait();
        workers_.stop_consumer();
        return workers_.judge();
    }

    [[nodiscard]] const tool_result& out_result() const { return *out_result_; }
    [[nodiscard]] const tool_result& in_result() const { return *in_result_; }
    [[nodiscard]] std::string said() const {
        return "bridge out: " + (out_ ? end_of(out_->err()) : "") + "\nbridge in: " + (in_ ? end_of(in_->err()) : "");
    }

private:
    [[nodiscard]] std::string state() const {
        return std::to_string(pushed()) + " pushed, " + std::to_string(arrived()) + " arrived, " +
               std::to_string(waiting_to_leave()) + " wait to leave, " + std::to_string(waiting_to_arrive()) +
               " to be popped\n" + said();
    }

    [[nodiscard]] content read_stream(const nats_client& client) const {
        content found;
        std::vector<bool> seen(wanted_.most_messages);
        std::uint64_t next = 0;
        client.read(stream, subject, [&](const stored& one) {
            std::uint64_t number = 0;
            if (one.data.size() != sizeof(line_message)) throw std::runtime_error("a message has another size");
            std::memcpy(&number, one.data.data(), sizeof number);
            if (seen.at(number)) ++found.twice;
            seen.at(number) = true;
            if (number < next) ++found.steps_back;
            next = number + 1;
            ++found.messages;
        });
        return found;
    }

    static void kill(std::optional<running_tool>& bridge) {
        bridge->signal(SIGKILL);
        bridge.reset();
    }
    static void require_alive(const running_tool& bridge) {
        if (bridge.has_ended()) throw std::runtime_error("a bridge has ended of its own accord: " + bridge.err());
    }

    static std::string end_of(const std::string& text) {
        return text.substr(text.size() - std::min<std::size_t>(text.size(), 3000));
    }

    [[nodiscard]] arguments with(arguments one, const arguments& more) const {
        one.insert(one.end(), {"--url", wanted_.url, "--window", wanted_.window});
        one.insert(one.end(), more.begin(), more.end());
        return one;
    }

    // Until all is empty, and what was pushed is written down. What was lost does not come: then until nothing has
    // come for half a minute.
    void await_all() {
        const nats_client client(wanted_.url);
        const auto is_done = [&] {
            bool done = false;
            nats_client::patiently([&] { done = client.is_drained(stream, consumer); });
            return done && from_.empty() && to_.empty() && workers_.judge().lost == 0;
        };
        std::uint64_t last = arrived();
        for (auto last_change = std::chrono::steady_clock::now(); !is_done();) {
            ::poll(nullptr, 0, 20);
            if (std::exchange(last, arrived()) != arrived()) last_change = std::chrono::steady_clock::now();
            if (std::chrono::steady_clock::now() - last_change > std::chrono::seconds(30)) return;
        }
    }

    line_settings wanted_;
    scoped_name from_name_;
    scoped_name to_name_;
    scoped_records of_from_{from_name_.str()};
    scoped_records of_to_{to_name_.str()};
    queue from_;
    queue to_;
    line_workers workers_;
    std::optional<running_tool> out_ = {};
    std::optional<running_tool> in_ = {};
    std::optional<tool_result> out_result_ = {};
    std::optional<tool_result> in_result_ = {};
};

}  // namespace promisqs_test
