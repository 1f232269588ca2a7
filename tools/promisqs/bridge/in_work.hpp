// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/bridge_record.hpp"
#include "bridge/intake.hpp"
#include "bridge/message_decoder.hpp"
#include "bridge/removal_watch.hpp"
#include "bridge/sent_acks.hpp"
#include "bridge/stream_consumer.hpp"

#include <promisqs/status.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace promisqs_tool {

/// What a bridge into a queue has to do, whatever becomes of its connections: the messages that it has and that are not
/// in the queue, and the acknowledgements that are not confirmed.
class in_work {
public:
    using clock = std::chrono::steady_clock;

    in_work(joined_queue& queue, const in_options& wanted) : queue_(queue), wanted_(wanted), decoder_(queue, wanted) {}

    /// Goes on with this consumer, by a record that is taken over or made. Of another consumer than before, all is
    /// forgotten.
    void attend(const stream_consumer& consumer, const std::string& url);

    /// A message has come. It is pushed later, or acknowledged, or left alone.
    void take(nats_owned<natsMsg> message);
    /// Pushes the oldest message, and acknowledges it.
    ///
    /// \return          not `ok`: it is still there
    /// \throws failure  the message does not fit
    [[nodiscard]] promisqs::status push_one(std::chrono::nanoseconds timeout, const std::stop_token& stop);
    /// The consumer has confirmed an acknowledgement.
    void confirm(std::uint64_t number);
    /// The consumer has said up to where it knows of all.
    void raise_floor(const ack_floor& floor);
    /// Lets the consumer deliver to others what was not pushed.
    void give_back();
    /// Tells the consumer which messages are still being worked on.
    void tell_progress(const nats_connection& on, clock::time_point now);

    /// Writes down how the queue stands, while nothing is being pushed.
    void note();
    /// Writes down how many messages are under way.
    void show();
    /// Whether the queue was removed. Looks now and then.
    [[nodiscard]] bool is_queue_removed(clock::time_point now) { return removal_.is_removed(*queue_, now); }

    /// Removes the record, if nothing of it will be needed.
    void end();

    /// New messages would find no room in the record.
    [[nodiscard]] bool lacks_room() const noexcept { return intake_->lacks_room(); }
    /// When a message was left alone last.
    [[nodiscard]] clock::time_point left_alone_at() const noexcept { return left_alone_at_; }
    [[nodiscard]] std::uint64_t waiting() const noexcept { return waiting_.size(); }
    [[nodiscard]] std::uint64_t under_way() const noexcept { return waiting_.size() + acks.count(); }
    [[nodiscard]] const stream_consumer& consumer() const noexcept { return *consumer_; }
    [[nodiscard]] bridge_record* record() noexcept { return record_ ? &*record_ : nullptr; }

    sent_acks acks;

    struct totals {
        std::uint64_t in = 0;  ///< messages taken that were not known
        std::uint64_t pushed = 0;
        std::uint64_t duplicates = 0;
        std::uint64_t skipped = 0;
    };
    /// How many acknowledgements were confirmed.
    [[nodiscard]] std::uint64_t confirmed() const noexcept { return confirmed_; }
    [[nodiscard]] const totals& done() const noexcept { return done_; }

private:
    struct held_message {
        delivery_table::place at;
        delivery of;
        std::string subject;  ///< for acknowledging it
        nats_owned<natsMsg> message;
        clock::time_point told;  ///< when the consumer was told last that it is being worked on
    };

    void settle(const record_file& left, bool is_own);
    void take_again(delivery_table::place at, const delivery& of, const char* subject);
    void refuse(const char* why);
    void finish_front(ack_kind kind);

    joined_queue& queue_;
    const in_options& wanted_;
    message_decoder decoder_;
    std::optional<stream_consumer> consumer_;
    std::optional<bridge_record> record_;
    std::optional<intake> intake_;
    std::deque<held_message> waiting_;
    clock::time_point left_alone_at_{};
    clock::time_point last_confirmed_ = clock::now();
    std::uint64_t confirmed_ = 0;
    totals done_;
    removal_watch removal_;
};

}  // namespace promisqs_tool
