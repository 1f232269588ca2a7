// SPDX-License-Identifier: Apache-2.0

// `promisqs bridge out`: from a queue into a stream.

#include "bridge/bridge_options.hpp"
#include "bridge/bridge_record.hpp"
#include "bridge/publisher.hpp"
#include "bridge/queue_identity.hpp"
#include "bridge/recorded_push.hpp"
#include "bridge/removal_watch.hpp"
#include "bridge/server_link.hpp"
#include "bridge/stream_type.hpp"
#include "codec/json_writer.hpp"
#include "participate/joined_queue.hpp"
#include "system/interruption.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/error.hpp>

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

namespace promisqs_tool {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds look_again = 500ms;
constexpr std::chrono::milliseconds longest_recovery = 5s;

/// The counters in the bridge's record. They go on where a dead bridge has left them.
class shown_counters {
public:
    explicit shown_counters(bridge_counters& to)
        : to_(to),
          in_(to.in),
          out_(to.out),
          reconnects_(to.reconnects),
          duplicates_(to.duplicates),
          errors_(to.errors) {}

    void show(const out_counts& counts, std::uint64_t reconnects, bool is_connected) noexcept {
        const auto set = [](std::atomic<std::uint64_t>& one, std::uint64_t value) {
            one.store(value, std::memory_order_relaxed);
        };
        set(to_.in, in_ + counts.claimed);
        set(to_.out, out_ + counts.stored);
        set(to_.in_flight, counts.in_flight);
        set(to_.reconnects, reconnects_ + reconnects);
        set(to_.duplicates, duplicates_ + counts.duplicates);
        set(to_.errors, errors_ + counts.refused);
        set(to_.connected, is_connected ? 1 : 0);
    }

private:
    bridge_counters& to_;
    std::uint64_t in_;  // these: what was there at the beginning
    std::uint64_t out_;
    std::uint64_t reconnects_;
    std::uint64_t duplicates_;
    std::uint64_t errors_;
};

class out_bridge {
public:
    explicit out_bridge(const out_options& wanted)
        : wanted_(wanted),
          queue_(wanted.queue),
          type_(type_of_queue(*queue_)),
          writer_(queue_.messages().plan),
          link_(wanted.server, fmt::format("bridge out \"{}\"", printable(wanted.queue))),
          identity_(identity_of_queue(wanted.queue)),
          publisher_(dress(), wanted.window),
          record_({bridge_direction::out, wanted.queue, identity_, wanted.stream, wanted.subject}, wanted.window,
                  shown_urls(wanted.server)),
          counters_(record_.counters()) {
        if (wanted.format == message_format::json) warn_if_opaque(wanted.queue, queue_.messages());
    }
    out_bridge(const out_bridge&) = delete;
    out_bridge& operator=(const out_bridge&) = delete;
    ~out_bridge() { record_.remove(); }

    exit_code run() {
        const std::stop_callback wakes(interruption(), [this] { publisher_.wake(); });
        // What a killed bridge held comes first.
        static_cast<void>(recover_all(*queue_, longest_recovery));
        while (const auto connection = link_.connect([this](nats_connection& made) { prepare(made); })) {
            std::optional<publisher::attachment> attached;
            try {
                attached.emplace(publisher_, *connection);
            } catch (const nats_problem& problem) {  // it is lost already
                link_.say_lost(problem.what());
                continue;
            }
            counters_.show(publisher_.counts(), link_.reconnects(), true);
            const bool is_done = serve(*connection);
            const auto trouble = publisher_.trouble_found();
            counters_.show(publisher_.counts(), link_.reconnects(), false);
            if (is_done) break;
            link_.say_lost(trouble ? trouble->why : "the reason is unknown");
        }
        finish();
        return is_removed_ ? exit_code::no_such_queue : exit_code::done;
    }

private:
    [[nodiscard]] message_dress dress() const {
        return {.stream = wanted_.stream,
                .subject = wanted_.subject,
                .queue_identity = identity_,
                .fingerprint = type_.fingerprint,
                .schema = "",
                .as_json = wanted_.format == message_format::json ? &writer_ : nullptr};
    }

    // The stream may have been made again since the last time.
    void prepare(const nats_connection& made) { publisher_.carry_schema(prepare_stream(made, wanted_, type_)); }

    /// Moves messages as long as the connection lasts.
    ///
    /// \return  whether the work is done; else the connection is lost
    bool serve(nats_connection& on) {
        for (;;) {
            const bool is_published = publisher_.publish_all();
            note_progress();
            if (is_interrupted()) {
                drain();
                return true;
            }
            if (const auto trouble = publisher_.trouble_found()) {
                if (trouble->is_lost || !begin_again(on, *trouble)) return is_interrupted();
            } else if (is_published && !claim()) {
                return true;
            }
        }
    }

    /// Claims messages, as many as there is room for, waiting a little.
    ///
    /// \return  false: no more will come
    bool claim() {
        const std::uint64_t room = publisher_.wait_for_room(look_again);
        if (room == 0) return true;
        try {
            auto claimed = wanted_.once ? queue_->claim_some(room)
                                        : queue_->claim_some_wait_for(room, look_again, publisher_.trouble_token());
            if (!claimed.empty()) {
                publisher_.add(std::move(claimed));
                return true;
            }
        } catch (const promisqs::queue_error& error) {
            if (error.code() != promisqs::errc::too_many_participants || !publisher_.limit_claims()) throw;
            return true;
        }
        if (publisher_.trouble_found()) return true;  // which has ended the wait
        const bool is_removed = removal_.is_removed(*queue_, std::chrono::steady_clock::now());
        const bool is_ending = wanted_.once || ((is_removed || queue_->is_closed()) && queue_->empty());
        if (!is_ending) return true;
        publisher_.wait_for_answers(look_again);
        if (!publisher_.is_window_empty()) return true;
        is_removed_ = is_removed;
        why_ = is_removed     ? "the queue was removed and is empty"
               : wanted_.once ? "the queue is empty"
                              : "the queue is closed and empty";
        return false;
    }

    /// After a refusal: waits for the other answers, and a little longer, and goes on with one message.
    ///
    /// \return  false: the connection is lost, or the program was interrupted
    bool begin_again(nats_connection& on, const publisher::trouble& refused) {
        if (!refused.is_silent) publisher_.wait_for_answers(longest_wait, true);
        if (const auto now = publisher_.trouble_found(); now && now->is_lost) return false;
        say_refusal(refused.why);
        if (publisher_.has_progressed()) refusals_.reset();
        while (refusals_.wait()) {
            if (!refused.is_stream_gone || look_again_at_stream(on)) {
                publisher_.begin_careful_round();
                return true;
            }
            if (on.is_lost()) return false;
        }
        return true;  // the caller sees that it was interrupted
    }

    // It may have been removed, and perhaps this bridge is to make it again.
    bool look_again_at_stream(nats_connection& on) {
        try {
            prepare(on);
            return true;
        } catch (const nats_interrupted&) {  // seen by the next wait
        } catch (const nats_problem& problem) {
            say_refusal(problem.what());
        }
        return false;
    }

    // Says each one once.
    void say_refusal(const std::string& why) {
        if (std::exchange(refusal_, why) == why) return;
        say("promisqs: {}: stream \"{}\" does not take messages: {}; they wait in the queue\n", link_.name(),
            printable(wanted_.stream), why);
    }

    void note_progress() {
        counters_.show(publisher_.counts(), link_.reconnects(), true);
        if (refusal_.empty() || publisher_.trouble_found() || !publisher_.has_progressed()) return;
        say("promisqs: {}: stream \"{}\" takes messages again\n", link_.name(), printable(wanted_.stream));
        refusal_.clear();
        refusals_.reset();
    }

    /// Waits for the answers to what is published.
    void drain() {
        if (!publisher_.trouble_found()) publisher_.wait_for_answers(longest_wait);
        why_ = "it was interrupted";
    }

    void finish() {
        const std::uint64_t given_back = publisher_.give_back();
        const out_counts counts = publisher_.counts();
        const std::string had =
            counts.duplicates == 0 ? "" : fmt::format(", {} of which it had already", counts.duplicates);
        const std::string left = given_back == 0 ? ""
                                                 : fmt::format("; {} that {} claimed went back into the queue",
                                                               given_back, given_back == 1 ? "was" : "were");
        say("promisqs: {}: {} {} in stream \"{}\"{}{}, until {}\n", link_.name(), count_of(counts.stored, "message"),
            counts.stored == 1 ? "is" : "are", printable(wanted_.stream), had, left,
            why_.empty() ? "it was interrupted" : why_);
    }

    static constexpr std::chrono::milliseconds longest_wait = 10s;

    const out_options& wanted_;
    joined_queue queue_;
    promisqs::element_type type_;
    json_writer writer_;
    server_link link_;
    std::uint64_t identity_;
    publisher publisher_;
    bridge_record record_;
    shown_counters counters_;
    retry_delay refusals_;
    std::string refusal_;  // the last one, as long as it lasts
    std::string why_;      // it ends
    removal_watch removal_;
    bool is_removed_ = false;  // and that is why it ends
};

}  // namespace

exit_code run_bridge_out(const out_options& wanted) { return out_bridge(wanted).run(); }

}  // namespace promisqs_tool
