// SPDX-License-Identifier: Apache-2.0

#include "bridge/server_link.hpp"

#include "system/interruption.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <poll.h>

#include <algorithm>
#include <utility>

namespace promisqs_tool {

bool retry_delay::wait() {
    const auto most = next_.count() * 5 / 4;
    const auto least = next_.count() * 3 / 4;
    const auto pause = std::uniform_int_distribution<std::chrono::milliseconds::rep>(least, most)(chance_);
    next_ = std::min(next_ * 2, longest);
    ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
    if (!is_interrupted()) static_cast<void>(::poll(&interrupted, 1, static_cast<int>(pause)));
    return !is_interrupted();
}

server_link::server_link(server_options wanted, std::string name)
    : wanted_(std::move(wanted)), name_(std::move(name)) {}

std::unique_ptr<nats_connection> server_link::connect(const std::function<void(nats_connection&)>& prepare) {
    constexpr std::chrono::seconds long_life{5};
    const bool was_short = connected_ != 0 && std::chrono::steady_clock::now() - connected_at_ < long_life;
    if (!was_short) delay_.reset();
    if (was_short && !delay_.wait()) return nullptr;
    for (;;) {
        if (is_interrupted()) return nullptr;
        try {
            auto made = std::make_unique<nats_connection>(wanted_);
            prepare(*made);
            say_connected(*made);
            connected_at_ = std::chrono::steady_clock::now();
            ++connected_;
            return made;
        } catch (const nats_interrupted&) {
            return nullptr;
        } catch (const nats_problem& problem) {
            if (is_interrupted()) return nullptr;  // which may be the problem
            const bool is_first = connected_ == 0;
            if (is_first && (!problem.passes() || wanted_.no_wait)) throw failure(problem.code(), problem.what());
            say_problem(problem);
        }
        if (!delay_.wait()) return nullptr;
    }
}

void server_link::say_lost(const std::string& why) {
    gone_since_ = std::chrono::steady_clock::now();
    said_ = why;
    say("promisqs: {}: the connection is lost: {}; trying again\n", name_, why);
}

// Says each problem once.
void server_link::say_problem(const nats_problem& problem) {
    if (std::exchange(said_, problem.what()) != problem.what())
        say("promisqs: {}: {}; trying again\n", name_, problem.what());
}

void server_link::say_connected(const nats_connection& made) {
    const auto took = std::chrono::steady_clock::now() - gone_since_;
    if (connected_ != 0) {
        say("promisqs: {}: connected again, to {}, after {}\n", name_, made.url(), short_time(took));
    } else if (!said_.empty()) {
        say("promisqs: {}: connected to {}\n", name_, made.url());
    }
    said_.clear();
}

}  // namespace promisqs_tool
