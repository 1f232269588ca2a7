// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/delivery_table.hpp"
#include "bridge/nats_connection.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace promisqs_tool {

/// How a bridge answers a delivery.
enum class ack_kind : std::uint8_t {
    done,         ///< it is in the queue
    again,        ///< it is to be delivered again, at once
    never_again,  ///< it does not fit
};

/// Acknowledgements that the consumer has not confirmed. They outlive connections: what was sent on one that is lost is
/// sent again.
class sent_acks {
public:
    using clock = std::chrono::steady_clock;
    struct ack {
        ack_kind kind;
        std::string subject;
        delivery of;
        std::optional<delivery_table::place> at;  ///< in the bridge's record
        clock::time_point sent{};
    };

    /// Adds one, and sends it if there is a connection.
    void add(ack one);
    /// The consumer has confirmed it.
    ///
    /// \return  nothing: it is unknown, or has been confirmed before
    [[nodiscard]] std::optional<ack> confirm(std::uint64_t number);

    /// Sends all again, on another connection. Confirmations come to `inbox`, with the number behind it.
    void resume(const nats_connection& on, std::string inbox);
    /// Sends those again that were sent long ago.
    void send_overdue(clock::time_point now);
    /// There is no connection any more.
    void pause() noexcept { on_ = nullptr; }

    [[nodiscard]] std::size_t count() const noexcept { return unconfirmed_.size(); }
    void clear() noexcept { unconfirmed_.clear(); }

private:
    void send(std::uint64_t number, ack& one);

    const nats_connection* on_ = nullptr;
    std::string inbox_;
    std::unordered_map<std::uint64_t, ack> unconfirmed_;
    std::uint64_t next_ = 0;
    clock::time_point looked_at_{};
};

}  // namespace promisqs_tool
