// SPDX-License-Identifier: Apache-2.0

// `promisqs bridge in`: from a stream into a queue.

#include "bridge/bridge_options.hpp"
#include "bridge/in_life.hpp"
#include "bridge/in_work.hpp"
#include "bridge/server_link.hpp"
#include "bridge/stream_consumer.hpp"
#include "bridge/stream_type.hpp"
#include "participate/joined_queue.hpp"
#include "system/interruption.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/error.hpp>
#include <promisqs/untyped_queue.hpp>

#include <fmt/format.h>

#include <optional>
#include <string>

namespace promisqs_tool {

namespace {

class in_bridge {
public:
    explicit in_bridge(const in_options& wanted)
        : wanted_(wanted), link_(wanted.server, fmt::format("bridge in \"{}\"", printable(wanted.queue))) {
        if (!wanted.capacity) queue_.emplace(wanted.queue);
    }

    exit_code run() {
        while (const auto connection = link_.connect([this](nats_connection& made) { prepare(made); })) {
            if (!(*queue_)->is_named()) {  // the records by its name would be those of another queue
                say_total(in_life::ending::removed);
                return exit_code::no_such_queue;
            }
            if (!work_) work_.emplace(*queue_, wanted_);
            work_->attend(*consumer_, connection->url());
            show_connected(true);
            const auto ending = live(*connection);
            show_connected(false);
            if (ending == in_life::ending::lost) continue;
            say_total(ending);
            return exit_code_of(ending);
        }
        say_total(in_life::ending::interrupted);
        return exit_code::done;
    }

private:
    static exit_code exit_code_of(in_life::ending why) {
        switch (why) {
            case in_life::ending::closed: return exit_code::answer_is_no;
            case in_life::ending::removed: return exit_code::no_such_queue;
            default: return exit_code::done;
        }
    }

    // The stream may have been made again since the last time.
    void prepare(const nats_connection& made) {
        const stream_look stream = look_at_stream(made, wanted_.stream);
        const auto schema = schema_of_stream(made, stream, "");
        if (!queue_) make_queue(schema);
        if (schema) check_stream_type(wanted_.stream, *schema, wanted_.queue, type_of_queue(**queue_));
        consumer_ = find_consumer(made, wanted_, stream.created, (*queue_)->element_size());
    }

    void make_queue(const std::optional<std::string>& schema) {
        try {
            queue_.emplace(wanted_.queue);
            return;
        } catch (const promisqs::queue_error& error) {
            if (error.code() != promisqs::errc::not_found) throw;
        }
        if (!schema)
            throw nats_problem(fmt::format("stream \"{}\" does not say of which type its messages are, so queue \"{}\" "
                                           "can't be made. Make it first: promisqs create",
                                           printable(wanted_.stream), printable(wanted_.queue)),
                               exit_code::wrong_use);
        try {
            promisqs::options kept;
            kept.life = promisqs::lifetime::keep;
            static_cast<void>(promisqs::untyped_queue::create(wanted_.queue, *wanted_.capacity, *schema, kept));
        } catch (const promisqs::queue_error& error) {
            if (error.code() != promisqs::errc::already_exists) throw;  // another bridge was quicker
        }
        queue_.emplace(wanted_.queue);
    }

    in_life::ending live(nats_connection& on) {
        std::optional<in_life> life;
        try {
            life.emplace(on, *work_, wanted_.once);  // throws if the connection is lost already
            const auto ending = life->run();
            if (ending == in_life::ending::lost) {
                link_.say_lost(on.why_lost());
                return ending;
            }
            life->finish(ending != in_life::ending::closed && ending != in_life::ending::removed);
            work_->end();
            return ending;
        } catch (const nats_interrupted&) {  // of run(): to subscribe does not wait
            life->finish(true);
            work_->end();
            return in_life::ending::interrupted;
        } catch (const nats_problem& problem) {
            link_.say_lost(problem.what());
            return in_life::ending::lost;
        } catch (...) {
            if (life) life->finish(false);
            work_->end();
            throw;
        }
    }

    void show_connected(bool is_connected) {
        bridge_counters& counters = work_->record()->counters();
        if (is_connected && link_.reconnects() != 0) counters.reconnects.fetch_add(1, std::memory_order_relaxed);
        counters.connected.store(is_connected ? 1 : 0, std::memory_order_relaxed);
    }

    void say_total(in_life::ending why) const {
        const in_work::totals done = work_ ? work_->done() : in_work::totals{};
        const auto more = [](std::uint64_t count, const char* what) {
            return count == 0 ? std::string() : fmt::format("; {} {}", count, what);
        };
        const char* const until = why == in_life::ending::drained   ? "the stream is empty"
                                  : why == in_life::ending::closed  ? "the queue is closed"
                                  : why == in_life::ending::removed ? "the queue was removed"
                                                                    : "it was interrupted";
        say("promisqs: {}: {} of stream \"{}\" {} pushed{}{}{}, until {}\n", link_.name(),
            count_of(done.pushed, "message"), printable(wanted_.stream), done.pushed == 1 ? "was" : "were",
            more(done.duplicates, "that came again were dropped"), more(done.skipped, "did not fit"),
            more(work_ ? work_->acks.count() : 0, "acknowledgements are left to the next bridge"), until);
    }

    const in_options& wanted_;
    server_link link_;
    std::optional<joined_queue> queue_;
    std::optional<stream_consumer> consumer_;
    std::optional<in_work> work_;
};

}  // namespace

exit_code run_bridge_in(const in_options& wanted) { return in_bridge(wanted).run(); }

}  // namespace promisqs_tool
