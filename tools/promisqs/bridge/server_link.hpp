// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/nats_connection.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>

namespace promisqs_tool {

/// How long to wait before something is tried again: 50 ms, then twice as long each time, up to 2 s, and a little more
/// or less by chance.
class retry_delay {
public:
    /// \return  false: the program was interrupted
    bool wait();
    void reset() noexcept { next_ = first; }

private:
    static constexpr std::chrono::milliseconds first{50};
    static constexpr std::chrono::milliseconds longest{2000};

    std::chrono::milliseconds next_ = first;
    std::minstd_rand chance_{std::random_device()()};
};

/// Keeps a bridge connected: one connection after another, each once the last one is gone.
///
/// It says on standard error when the server goes, and when it is back. Before the first success, what can't pass ends
/// the program. Later nothing does: servers are reconfigured.
class server_link {
public:
    /// \param name  of the bridge, for what it says: `bridge out "orders"`
    server_link(server_options wanted, std::string name);

    /// Connects, as often as it takes. If the last connection was of a short life, it waits a little first.
    ///
    /// \param prepare  is called with the connection, before it counts as made; throws `nats_problem` if it is of no use
    /// \return         nothing: the program was interrupted
    /// \throws failure  the first time: it can't be done
    [[nodiscard]] std::unique_ptr<nats_connection> connect(const std::function<void(nats_connection&)>& prepare);

    /// How often it has connected again.
    [[nodiscard]] std::uint64_t reconnects() const noexcept { return connected_ == 0 ? 0 : connected_ - 1; }

    /// Says that the connection is gone, or of no use any more.
    void say_lost(const std::string& why);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    void say_problem(const nats_problem& problem);
    void say_connected(const nats_connection& made);

    server_options wanted_;
    std::string name_;
    retry_delay delay_;
    std::uint64_t connected_ = 0;
    std::string said_;  // the last problem
    std::chrono::steady_clock::time_point gone_since_ = std::chrono::steady_clock::now();
    std::chrono::steady_clock::time_point connected_at_{};
};

}  // namespace promisqs_tool
