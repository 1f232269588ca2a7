// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/stream_consumer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// The requests for messages that a consumer has not answered in full. It answers one after the other.
class pull_requests {
public:
    using clock = std::chrono::steady_clock;

    /// \param inbox  where messages are to be sent: a number is put behind it
    pull_requests(const nats_connection& on, const stream_consumer& from, std::string inbox)
        : on_(on), from_(from), inbox_(std::move(inbox)) {}

    /// \throws nats_problem
    void ask(std::uint64_t count);
    /// A message has come.
    void received() noexcept;
    /// The consumer has said that there will be no more of a request.
    ///
    /// \param inbox  where it has said so
    void ended(std::string_view inbox) noexcept;
    /// Gives up those that should have been answered: a server that was restarted knows nothing of them.
    void give_up_overdue(clock::time_point now) noexcept;

    [[nodiscard]] std::size_t count() const noexcept { return asked_.size(); }
    /// How many messages may still come.
    [[nodiscard]] std::uint64_t outstanding() const noexcept { return outstanding_; }

private:
    struct request {
        std::uint64_t number;
        std::uint64_t left;
        clock::time_point overdue;
    };

    const nats_connection& on_;
    const stream_consumer& from_;
    std::string inbox_;
    std::deque<request> asked_;
    std::uint64_t outstanding_ = 0;
    std::uint64_t next_ = 0;
};

}  // namespace promisqs_tool
