// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/bridge_options.hpp"
#include "bridge/nats_connection.hpp"
#include "bridge/nats_subscription.hpp"
#include "bridge/out_window.hpp"
#include "bridge/publish_answer.hpp"
#include "codec/json_writer.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_tool {

/// What a bridge out has done.
struct out_counts {
    std::uint64_t claimed = 0;
    std::uint64_t stored = 0;      ///< acknowledged by the stream
    std::uint64_t duplicates = 0;  ///< of these: the stream had them already
    std::uint64_t refused = 0;
    std::uint64_t in_flight = 0;
};

/// How a message is written into a stream.
struct message_dress {
    std::string stream;
    std::string subject;
    std::uint64_t queue_identity = 0;
    std::uint64_t fingerprint = 0;
    std::string schema;                    ///< that each message carries; empty: none
    const json_writer* as_json = nullptr;  ///< null: as bytes
};

/// Publishes the messages of a window, in order, and releases each as the stream acknowledges it. It outlives
/// connections: with a new one, all are published again, in order, that are not acknowledged.
///
/// Publishing goes in rounds. A round ends when a message of it is refused, or its answer does not come. Then the
/// next round begins with the first message that is not acknowledged.
class publisher {
public:
    /// Why a round has ended.
    struct trouble {
        bool is_lost = false;         ///< the connection is gone, or of no use
        bool is_stream_gone = false;  ///< nobody takes messages on this subject
        bool is_silent = false;       ///< no answers are to be waited for
        std::string why;              ///< printable
    };

    publisher(message_dress dress, std::uint64_t window);
    publisher(const publisher&) = delete;
    publisher& operator=(const publisher&) = delete;
    ~publisher() = default;

    /// From now on, each message carries this schema text; empty: none.
    void carry_schema(std::string text) { dress_.schema = std::move(text); }

    /// Goes on with another connection, in a new round. It ends before the connection.
    class attachment {
    public:
        /// \throws nats_problem  the connection is lost
        attachment(publisher& of, nats_connection& to) : of_(of) { of.attach(to); }
        attachment(const attachment&) = delete;
        attachment& operator=(const attachment&) = delete;
        ~attachment() { of_.detach(); }

    private:
        publisher& of_;
    };
    /// Begins a new round on the same connection, carefully: with one message, then twice as many each time that the
    /// stream takes one.
    void begin_careful_round();

    /// Adds messages that are to be published.
    void add(out_window::guard&& claimed);
    /// Publishes what was not published in this round, waiting for answers where it must.
    ///
    /// \return  whether all is published; else see `trouble_found`, or it was interrupted
    /// \throws failure  a message is too large
    bool publish_all();
    /// Waits until more messages can be claimed.
    ///
    /// \return  how many; 0: there is trouble, or the time is over, or the program was interrupted
    [[nodiscard]] std::uint64_t wait_for_room(std::chrono::milliseconds most);
    /// Waits until all that was published in this round is answered.
    ///
    /// \return  false: there is trouble, or the time is over
    bool wait_for_answers(std::chrono::milliseconds most, bool even_if_refused = false);

    [[nodiscard]] std::optional<trouble> trouble_found();
    /// A stop is requested when trouble is found in this round.
    [[nodiscard]] std::stop_token trouble_token();
    /// Ends waits, from another thread: the program was interrupted.
    void wake();

    /// As `out_window`.
    bool limit_claims() {
        const std::lock_guard lock(mutex_);
        return window_.limit_claims();
    }
    [[nodiscard]] bool is_window_empty() {
        const std::lock_guard lock(mutex_);
        return window_.empty();
    }
    std::uint64_t give_back() {
        const std::lock_guard lock(mutex_);
        return window_.give_back();
    }
    [[nodiscard]] out_counts counts() {
        const std::lock_guard lock(mutex_);
        counts_.in_flight = window_.size();
        return counts_;
    }
    /// Whether the stream has taken a message since this was asked last.
    [[nodiscard]] bool has_progressed() {
        const std::lock_guard lock(mutex_);
        return std::exchange(progressed_, false);
    }

private:
    using clock = std::chrono::steady_clock;

    /// A message that is to be published.
    struct next_message {
        std::uint64_t place;
        std::span<const std::byte> message;  ///< in the queue
        std::uint64_t number;
        nats_owned<natsMsg> copy;  ///< null: none is needed
    };

    void attach(nats_connection& to);
    void detach();
    void begin_round(std::uint64_t limit);  // with the mutex
    void find_trouble(trouble found);
    void look_for_silence(clock::time_point now);
    void answered(nats_owned<natsMsg> message);
    void take_answer(std::uint64_t place, bool is_of_this_round, const publish_answer& answer);
    [[nodiscard]] bool may_publish() const;  // with the mutex
    void take_next();                        // with the mutex
    bool publish_some(std::unique_lock<std::mutex>& lock);
    natsStatus publish(next_message& one);
    [[nodiscard]] nats_owned<natsMsg> dressed(const next_message& from);
    void wait(std::unique_lock<std::mutex>& lock, clock::time_point until);

    message_dress dress_;
    std::string type_text_;
    std::uint64_t most_;
    fmt::memory_buffer text_;  // of a message as JSON
    std::vector<next_message> next_ones_;
    std::atomic<bool> has_trouble_{false};

    nats_connection* connection_ = nullptr;
    std::string inbox_;
    std::unique_ptr<nats_subscription> answers_;

    std::mutex mutex_;  // of all that follows
    std::condition_variable changed_;
    bool waits_ = false;
    out_window window_;
    std::uint64_t round_ = 0;
    std::uint64_t next_ = 0;       // the place to be published next in this round
    std::uint64_t published_ = 0;  // places before it have been published before, in an earlier round
    std::uint64_t unanswered_ = 0;
    std::uint64_t limit_ = 0;  // of unanswered ones
    std::optional<trouble> trouble_;
    std::stop_source trouble_source_;
    clock::time_point last_answer_;
    std::optional<clock::time_point> overtaken_since_;  // a later message was answered, and the first one not
    std::uint64_t first_then_ = 0;
    out_counts counts_;
    bool progressed_ = false;
};

}  // namespace promisqs_tool
