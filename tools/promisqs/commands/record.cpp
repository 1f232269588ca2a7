// SPDX-License-Identifier: Apache-2.0

#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "recording/session.hpp"

#include <memory>
#include <string>

namespace promisqs_tool {

namespace {

constexpr const char* details =
    "Writes the messages of a queue into a file, each with the time at which it was seen, until it is interrupted, or "
    "the queue is closed and empty.\n"
    "Without --drain it takes no part: it reads the messages as they pass, takes none away, and slows nobody down. "
    "Messages that pass faster than it can read them are missed. It says how many, and the file says which.\n"
    "With --drain it is a consumer: it pops the messages, and misses none. It writes what it has popped before it pops "
    "more. If it is killed, the messages of its last pop may be lost: at most as many as --batch says, by default "
    "64 KiB. It makes sure that the disk has room before it pops. If writing fails all the same, it pushes what it "
    "could not write, behind the other messages, and says how many.\n"
    "If it is killed, the file can be read up to the last block that was written whole. A file is readable by its "
    "owner alone.";

promisqs::tap_start start_at(const std::string& where) {
    if (where == "waiting") return promisqs::tap_start::oldest_waiting;
    return where == "left" ? promisqs::tap_start::oldest_left : promisqs::tap_start::now;
}

void add_options(CLI::App& app, record_request& request) {
    app.add_option("NAME", request.queue, name_help)->required();
    app.add_option("FILE", request.file, "The file to write; - is standard output")->required();
    CLI::Option* const drain =
        app.add_flag("--drain", request.drain, "Pop the messages, instead of watching them pass");
    app.add_option("-n,--count", request.most, "End after so many messages")
        ->type_name("N")
        ->transform(whole_number(0));
    app.add_option("--for", request.seconds, "End after so many seconds")
        ->type_name("SECONDS")
        ->transform(seconds_between(0, most_seconds));
    app.add_flag("--force", request.overwrite, "Write over a file that is there");
    app.add_option_function<std::string>(
           "--from", [&request](const std::string& where) { request.from = start_at(where); },
           "Where to begin: now (the default), with the oldest that waits (waiting), or with the oldest that is left, "
           "popped or not (left)")
        ->type_name("WHERE")
        ->check(CLI::IsMember({"now", "waiting", "left"}))
        ->excludes(drain);
    app.add_flag("--poll", request.poll, "Look without a pause: misses fewer messages, and takes all of a processor")
        ->excludes(drain);
    app.add_option("--batch", request.batch, "Pop at most so many messages at once")
        ->type_name("N")
        ->transform(whole_number(1))
        ->needs(drain);
}

}  // namespace

void add_record(program& all) {
    const auto request = std::make_shared<record_request>();
    CLI::App& app =
        all.add({"record",
                 "Write the messages of a queue into a file",
                 details,
                 {{"promisqs record orders orders.rec", "watches the queue until Ctrl-C"},
                  {"promisqs record orders orders.rec --for 60", "watches it for a minute"},
                  {"promisqs record orders orders.rec --drain -n 1000000", "takes out a million messages"},
                  {"promisqs record orders - --for 60 | zstd > orders.rec.zst", "compresses what it records"}},
                 [request] {
                     request->drain ? record_drain(*request) : record_tap(*request);
                     return exit_code::done;
                 },
                 nullptr});
    add_options(app, *request);
}

}  // namespace promisqs_tool
