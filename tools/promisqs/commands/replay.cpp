// SPDX-License-Identifier: Apache-2.0

#include "recording/replay.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"

#include <CLI/CLI.hpp>

#include <memory>
#include <optional>
#include <string>

namespace promisqs_tool {

namespace {

constexpr const char* details =
    "Pushes the messages of a recording into a queue, at the times at which they were recorded. The first one is "
    "pushed at once.\n"
    "It takes part, as a producer. While the queue is full, it waits, and then catches up. It says how late it ran.\n"
    "The queue's messages must be of the recording's type. With --create, it makes the queue if there is none. The "
    "queue stays until it is removed.\n"
    "A recording that was cut short is replayed up to its last whole block, with a word on standard error. A damaged "
    "one is replayed up to the damage; the exit code is 5 then.\n"
    "If it is killed, the messages that it has pushed are in the queue.";

std::string complaint_on_speed(const std::string& text) {
    if (text == "max") return {};
    const std::string complaint = number_between(1e-6, 1e9)(text);
    return complaint.empty() ? complaint : complaint + "; or `max`";
}

void add_pace(CLI::App& app, replay_request& request) {
    const auto set_speed = [&request](const std::string& text) {
        request.speed = text == "max" ? std::nullopt : std::optional(std::stod(text));
    };
    app.add_option_function<std::string>("--speed", set_speed, "So many times as fast; `max`: as fast as there is room")
        ->type_name("X")
        ->check(complaint_on_speed);
    CLI::Option* const loop = app.add_flag("--loop", request.loops, "Again and again, until it is interrupted");
    app.add_option("--times", request.passes, "So many times, one after the other")
        ->type_name("N")
        ->transform(whole_number(1))
        ->excludes(loop);
}

void add_options(CLI::App& app, replay_request& request) {
    app.add_option("FILE", request.file, "The recording; - is standard input")->required();
    app.add_option("NAME", request.queue, name_help)->required();
    add_pace(app, request);
    app.add_option("--from", request.from, "Leave out messages with lower numbers than this")
        ->type_name("NUMBER")
        ->transform(whole_number(0));
    app.add_option("-n,--count", request.most, "End after so many messages")
        ->type_name("N")
        ->transform(whole_number(0));
    CLI::Option* const create = app.add_flag("--create", request.create, "Make the queue, if there is none");
    app.add_option("--capacity", request.capacity, "Of a queue that is made; else that of the recorded one")
        ->type_name("N")
        ->transform(whole_number(1))
        ->needs(create);
    app.add_flag("--strict", request.strict, "Push nothing of a recording that is not whole: exit code 5");
}

}  // namespace

void add_replay(program& all) {
    const auto request = std::make_shared<replay_request>();
    CLI::App& app =
        all.add({"replay",
                 "Push the messages of a recording",
                 details,
                 {{"promisqs replay orders.rec orders", "at the recorded pace"},
                  {"promisqs replay orders.rec test --create --speed 10", "ten times as fast, into a new queue"},
                  {"promisqs replay orders.rec test --speed max --times 3", "three times, as fast as can be"},
                  {"zstd -dc orders.rec.zst | promisqs replay - orders", "from a compressed recording"}},
                 [request] {
                     replay(*request);
                     return exit_code::done;
                 },
                 nullptr});
    add_options(app, *request);
}

}  // namespace promisqs_tool
