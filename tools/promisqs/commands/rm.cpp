// SPDX-License-Identifier: Apache-2.0

#include "bridge/bridge_look.hpp"
#include "commands/commands.hpp"
#include "inspect/queue_look.hpp"
#include "participate/opening.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/processes.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/untyped_queue.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace promisqs_tool {

namespace {

struct rm_options {
    std::vector<std::string> names;
    bool force = false;
};

// "process 4711 (feed) and process 4712 (store) have"
std::string users_of(const std::string& name) {
    const auto file = file_status_of(name);
    process_lookup lookup;
    std::vector<std::string> users;
    for (const std::uint32_t process : process_lookup::all()) {
        if (!file || !lookup.has_mapped(process, file->inode).value_or(false)) continue;
        const auto found = process_lookup::look(process, process);
        users.push_back(fmt::format("process {} ({})", process, found ? printable(found->process_name) : "?"));
    }
    if (users.empty()) return "a process that can't be seen from here has";
    constexpr std::size_t most = 8;
    const std::size_t shown = std::min(most, users.size());
    std::string text = fmt::format("{}", fmt::join(users.begin(), users.begin() + static_cast<long>(shown), ", "));
    if (users.size() > most) text += fmt::format(" and {} more", users.size() - most);
    return text + (users.size() == 1 ? " has" : " have");
}

// What bridges have left that are dead: without the queue it is of no use.
void remove_records(const std::string& name) {
    for (const bridge_look& one : look_at_bridges()) {
        if (one.queue == name && !one.is_alive) remove_record(one.record);
    }
}

void remove_queue(const std::string& name, bool force) {
    const auto finding = promisqs::inspector(name).look();
    if (finding.state == promisqs::queue_state::not_a_queue)
        throw failure(exit_code::broken, printable(finding.what) + "; rm removes queues only");
    if (!force) {
        if (auto held = unused_queue::hold(name)) return held->remove();
        throw failure(
            exit_code::answer_is_no,
            fmt::format("queue \"{}\": {} it open. They could go on with it, but a process that opens the name "
                        "later would not find them; --force removes it all the same",
                        printable(name), users_of(name)));
    }
    wait_until_unlocked(name);
    if (!promisqs::untyped_queue::remove(name))
        throw failure(exit_code::no_such_queue, fmt::format("queue \"{}\": there is none any more", printable(name)));
}

void remove_one(const std::string& name, bool force) {
    remove_queue(name, force);
    remove_records(name);
}

// Does all that it can.
exit_code remove_all(const rm_options& wanted) {
    exit_code worst = exit_code::done;
    std::size_t done = 0;
    for (const std::string& name : wanted.names) {
        if (is_interrupted()) {
            say("promisqs: interrupted; {} of {} names are done\n", done, wanted.names.size());
            break;
        }
        const exit_code result = report_failures([&] {
            remove_one(name, wanted.force);
            return exit_code::done;
        });
        worst = std::max(worst, result);
        ++done;
    }
    return worst;
}

constexpr const char* details =
    "Removes queues, messages and all. A queue that a process has open is left alone, and the process is named, unless "
    "--force is given: then it loses its name, and the memory is given back when the last process has closed it. What "
    "is no queue is left alone in any case. The records of dead bridges of the queue go with it. An empty file counts "
    "as what is left of a queue.\n\n"
    "Of several names, all that can be removed are; the exit code is the highest one. "
    "If this program is killed, each queue is there, or is not, or is unfinished, which rm and create put right.";

}  // namespace

void add_rm(program& all) {
    auto wanted = std::make_shared<rm_options>();
    CLI::App& app = all.add({.name = "rm",
                             .summary = "Remove queues that no process has open",
                             .details = details,
                             .examples = {{"promisqs rm orders", "Unless a process has it open"},
                                          {"promisqs rm --force orders spare", "Two queues, even in use"}},
                             .run = [wanted] { return remove_all(*wanted); }});
    app.add_option("NAME", wanted->names, name_help)->required();
    app.add_flag("--force", wanted->force, "Also a queue that a process has open");
}

}  // namespace promisqs_tool
