// SPDX-License-Identifier: Apache-2.0

#include "bridge/bridge_options.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"

#include <fmt/format.h>

#include <limits>
#include <memory>
#include <string>

namespace promisqs_tool {

namespace {

/// All that can be typed. Some of it is for one direction alone.
struct bridge_request {
    std::string direction;
    bridge_options both;
    out_options out;
    in_options in;
    std::string subject;
    std::string from;
    std::string to;
};

constexpr const char* details =
    "Carries messages between a queue on this machine and a stream of NATS JetStream, until it is interrupted.\n"
    "out: takes messages from the queue, as any consumer does, and publishes them. A message leaves the queue only "
    "once "
    "the stream has acknowledged it. If the bridge is killed, the queue delivers those again that were not "
    "acknowledged; each has a number, by which the stream drops what it has already. While the stream is full, or the "
    "server gone, messages wait in the queue.\n"
    "in: fetches messages from the stream, pushes them into the queue, and acknowledges each after its push. It keeps "
    "a "
    "record of what it has pushed in /dev/shm, by which it drops what is delivered again, after its own death too.\n"
    "The type travels with the messages: a bridge refuses a stream of another type. Several bridges may serve one "
    "queue, or one stream. On SIGTERM a bridge finishes what is in flight, and ends.";

// Options of the other direction.
void refuse_others(const CLI::App& app, const std::string& direction) {
    const bool is_out = direction == "out";
    const std::initializer_list<const char*> of_out{"--to",      "--create-stream", "--max-messages",    "--max-bytes",
                                                    "--max-age", "--replicas",      "--duplicate-window"};
    const std::initializer_list<const char*> of_in{"--from", "--consumer", "--ack-wait", "--create", "--skip-invalid"};
    for (const char* const one : is_out ? of_in : of_out) {
        if (app.get_option(one)->count() != 0)
            throw failure(exit_code::wrong_use,
                          fmt::format("{} is an option of `promisqs bridge {}`", one, is_out ? "in" : "out"));
    }
}

void require(const std::string& value, const std::string& direction, const char* option) {
    if (value.empty())
        throw failure(exit_code::wrong_use, fmt::format("`promisqs bridge {}` needs {}", direction, option));
}

exit_code run(const CLI::App& app, bridge_request& request) {
    refuse_others(app, request.direction);
    if (request.direction == "out") {
        require(request.to, "out", "--to STREAM");
        require(request.subject, "out", "--subject SUBJECT");
        static_cast<bridge_options&>(request.out) = request.both;
        request.out.stream = request.to;
        request.out.subject = request.subject;
        return run_bridge_out(request.out);
    }
    require(request.from, "in", "--from STREAM");
    require(request.in.consumer, "in", "--consumer NAME");
    static_cast<bridge_options&>(request.in) = request.both;
    request.in.stream = request.from;
    request.in.subject = request.subject;
    return run_bridge_in(request.in);
}

void add_options_of_both(CLI::App& app, bridge_request& to) {
    app.add_option("--subject", to.subject, "out: the subject to publish on; in: fetch messages of this one alone")
        ->type_name("SUBJECT");
    app.add_option_function<std::string>(
           "--format",
           [&to](const std::string& text) {
               to.both.format = text == "json" ? message_format::json : message_format::binary;
           },
           "What a message is in the stream: its bytes (binary, the default), or JSON, as any client can read it")
        ->type_name("FORMAT")
        ->check(CLI::IsMember({"binary", "json"}));
    constexpr std::uint32_t most_window = 65536;
    app.add_option("--window", to.both.window, "At most so many messages that are not acknowledged (1024)")
        ->type_name("N")
        ->transform(whole_number(1, most_window));
    app.add_flag("--once", to.both.once, "End when there is no more: the queue, or the stream, is empty");
}

void add_options_of_out(CLI::App& app, bridge_request& to) {
    new_stream& made = to.out.created;
    app.add_option("--to", to.to, "out: the stream")->type_name("STREAM");
    CLI::Option* const create =
        app.add_flag("--create-stream", to.out.create,
                     "out: make the stream if there is none: in files, and full is full (it refuses new messages)");
    const auto add = [&](const char* name, auto& value, const char* what, const char* type, const auto& range) {
        app.add_option(name, value, what)->type_name(type)->transform(range)->needs(create);
    };
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    add("--max-messages", made.messages, "Of a new stream: it holds at most so many", "N", whole_number(1, most));
    add("--max-bytes", made.bytes, "Of a new stream: it holds at most so many bytes", "BYTES", whole_number(1, most));
    add("--max-age", made.age, "Of a new stream: it drops messages so old", "SECONDS",
        seconds_between(1, most_seconds));
    add("--duplicate-window", made.duplicate_window,
        "Of a new stream: it knows a message that comes twice for so long (120)", "SECONDS",
        seconds_between(0.1, most_seconds));
    constexpr std::uint64_t most_replicas = 5;
    add("--replicas", made.replicas, "Of a new stream: so many servers hold it", "N", whole_number(1, most_replicas));
}

void add_options_of_in(CLI::App& app, bridge_request& to) {
    constexpr double most_ack_wait = 3600;
    app.add_option("--from", to.from, "in: the stream")->type_name("STREAM");
    app.add_option(
           "--consumer", to.in.consumer,
           "in: the stream's durable consumer, which is made if there is none; bridges that share one share the "
           "messages")
        ->type_name("NAME");
    app.add_option(
           "--ack-wait", to.in.ack_wait,
           "in: of a new consumer: the stream delivers again what a bridge has not acknowledged for so long (5). "
           "What a bridge holds stays its own while it runs and reaches the server")
        ->type_name("SECONDS")
        ->transform(seconds_between(0.1, most_ack_wait));
    app.add_option("--create", to.in.capacity,
                   "in: make the queue if there is none, of the stream's type, for so many messages")
        ->type_name("CAPACITY")
        ->transform(whole_number(1));
    app.add_flag("--skip-invalid", to.in.skip_invalid,
                 "in: give up messages that do not fit the queue's type, instead of ending");
}

}  // namespace

void add_bridge(program& all) {
    const auto request = std::make_shared<bridge_request>();
    const auto added = std::make_shared<const CLI::App*>(nullptr);
    CLI::App& app = all.add(
        {.name = "bridge",
         .summary = "Carry messages to other machines and back, by NATS JetStream",
         .details = details,
         .examples = {{"promisqs bridge out orders --to ORDERS --subject orders.new", "From a queue into a stream"},
                      {"promisqs bridge out orders --to ORDERS --subject orders.new --create-stream",
                       "The same; makes the stream"},
                      {"promisqs bridge in orders --from ORDERS --consumer desk", "From the stream into a queue"},
                      {"promisqs bridge in orders --from ORDERS --consumer desk --create 65536",
                       "The same; makes the queue"},
                      {"promisqs bridge out orders --to ORDERS --subject orders.new --format json",
                       "As JSON, for any client of NATS"}},
         .run = [request, added] { return run(**added, *request); }});
    *added = &app;
    app.add_option("DIRECTION", request->direction, "out: from the queue into the stream; in: the other way")
        ->required()
        ->check(CLI::IsMember({"out", "in"}));
    app.add_option("NAME", request->both.queue, name_help)->required();
    add_options_of_out(app, *request);
    add_options_of_in(app, *request);
    add_options_of_both(app, *request);
    add_server_options(app, request->both.server);
}

}  // namespace promisqs_tool
