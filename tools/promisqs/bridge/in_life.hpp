// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/in_work.hpp"
#include "bridge/mailbox.hpp"
#include "bridge/nats_subscription.hpp"
#include "bridge/pull_requests.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace promisqs_tool {

/// A bridge into a queue, for as long as one connection lasts.
class in_life {
public:
    enum class ending : std::uint8_t { lost, interrupted, drained, closed, removed };

    in_life(nats_connection& on, in_work& work, bool once);
    in_life(const in_life&) = delete;
    in_life& operator=(const in_life&) = delete;
    ~in_life();

    /// Moves messages.
    ///
    /// \throws nats_problem      the consumer is of no use any more
    /// \throws failure           a message does not fit
    [[nodiscard]] ending run();

    /// Comes to an end: asks for no more messages, pushes those for which there is room, and gives the others back.
    ///
    /// \param push  false: it pushes none
    void finish(bool push);

private:
    void end_requests();
    void read_mail();
    void read_info(const json& info);
    void note_gone(const char* how);
    void read_message(nats_owned<natsMsg> message);
    void read_status(natsMsg* message, const std::string& status);
    void wait_for_acks(std::chrono::seconds patience);
    [[nodiscard]] bool is_busy() const noexcept;
    void ask_for_more();
    [[nodiscard]] std::uint64_t most_without_room(in_work::clock::time_point now) const;
    void ask_for_floor(in_work::clock::time_point now);
    [[nodiscard]] std::optional<ending> push_some();
    [[nodiscard]] bool has_finished();

    nats_connection& on_;
    in_work& work_;
    bool once_;
    std::string inbox_;
    std::shared_ptr<mailbox> mail_ = std::make_shared<mailbox>();
    mailbox::mail letters_;
    pull_requests requests_;
    std::string trouble_;  // what the consumer has said that makes it of no use
    std::optional<nats_subscription> confirmations_;
    std::optional<nats_subscription> messages_;
    std::optional<nats_subscription> infos_;
    in_work::clock::time_point asked_at_{};  // for the consumer's info
    std::uint64_t confirmed_then_ = 0;
    std::uint64_t pending_ = 0;                // messages that are delivered and not acknowledged, of all bridges
    in_work::clock::time_point counted_at_{};  // when the consumer was asked for that, at the latest
    in_work::clock::time_point busy_at_{};     // when a message was under way last, or asked for
    in_work::clock::time_point began_at_ = in_work::clock::now();  // before, messages may have been lost on the way
    in_work::clock::time_point looked_at_{};                       // whether the stream is empty
};

}  // namespace promisqs_tool
