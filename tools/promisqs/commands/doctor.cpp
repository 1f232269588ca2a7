// SPDX-License-Identifier: Apache-2.0

#include "bridge/bridge_look.hpp"
#include "commands/commands.hpp"
#include "doctor/findings.hpp"
#include "doctor/leftover.hpp"
#include "inspect/queue_look.hpp"
#include "participate/joined_queue.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "text/json.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

namespace {

struct doctor_options {
    std::string name;
    bool fix = false;
    bool json = false;
};

/// What recoveries have done in a queue so far.
struct recovered {
    std::uint64_t dead;  ///< participants that are still to be removed
    std::uint64_t tombstones;
    std::uint64_t redelivered;
    std::uint64_t dropped;
};
recovered look_at_recoveries(const std::string& name) {
    const auto stats = promisqs::inspector(name).stats();
    const auto dead =
        std::count_if(stats.participants.begin(), stats.participants.end(), [](const auto& one) { return !one.alive; });
    return {static_cast<std::uint64_t>(dead), stats.tombstones, stats.redelivered, stats.dropped};
}

std::string counted(std::uint64_t count, std::string_view what, std::string_view more = {}) {
    return count == 1 ? fmt::format("1 {}{}", what, more) : fmt::format("{} {}s{}", count, what, more);
}

// Whether nothing would be lost with it. Asked while no process can begin to use it.
bool may_go(const std::string& name) {
    promisqs::inspector from(name);
    const auto stats = from.stats();
    return from.facts().created_with.life != promisqs::lifetime::keep && stats.size == 0 && stats.participants.empty();
}

std::string difference(const recovered& before, const recovered& now) {
    std::string text = "removed " + counted(before.dead, "dead participant");
    if (const auto more = now.redelivered - before.redelivered; more != 0)
        text += fmt::format("; {} to be delivered again", counted(more, "message"));
    if (const auto more = now.tombstones - before.tombstones; more != 0)
        text += fmt::format("; {} never complete", counted(more, "message"));
    if (const auto more = now.dropped - before.dropped; more != 0)
        text += fmt::format("; {} dropped", counted(more, "poison message"));
    return text;
}

void recover(finding& one) {
    const auto before = look_at_recoveries(one.queue);
    joined_queue here(one.queue);  // this has recovered most
    static_cast<void>(here->recover());
    const auto now = look_at_recoveries(one.queue);
    if (now.dead == 0) one.fixed = difference(before, now);
}

void end_if_empty(finding& one) {
    static_cast<void>(joined_queue(one.queue)->recover());
    auto held = unused_queue::hold(one.queue);
    if (!held || !may_go(one.queue)) return;
    held->remove();
    one.fixed = "removed it: no process had it open, and no message waited";
}

/// Does what is safe about a finding.
void fix(finding& one) {
    static_cast<void>(report_failures([&] {
        if (one.by == cure::recover) recover(one);
        if (one.by == cure::end_if_empty) end_if_empty(one);
        if (one.by == cure::remove_record && remove_record(one.record)) one.fixed = "removed it";
        if (one.by == cure::remove_leftover && remove_leftover(one.queue)) one.fixed = "removed it";
        return exit_code::done;
    }));
}

void fix(std::vector<finding>& all) {
    // What is to be removed if it is empty has to be recovered before.
    for (const bool is_end : {false, true}) {
        for (finding& one : all) {
            if ((one.by == cure::end_if_empty) == is_end && !is_interrupted()) fix(one);
        }
    }
}

std::vector<std::uint32_t> owners_of(const std::vector<std::string>& names) {
    std::set<std::uint32_t> owners;
    for (const std::string& name : names) {
        if (const auto file = file_status_of(name)) owners.insert(file->owner);
    }
    return {owners.begin(), owners.end()};
}

std::vector<finding> examine(const std::vector<std::string>& names, const std::string& name) {
    const bool with_machine = name.empty();
    std::vector<finding> found;
    if (with_machine) found = check_machine();
    const auto of_owners = check_owners(owners_of(names));
    found.insert(found.end(), of_owners.begin(), of_owners.end());
    const auto of_queues = check_queues(names);
    found.insert(found.end(), of_queues.begin(), of_queues.end());
    const auto of_bridges = check_bridges(name);
    found.insert(found.end(), of_bridges.begin(), of_bridges.end());
    std::stable_partition(found.begin(), found.end(), [](const finding& one) { return one.is_problem; });
    return found;
}

json json_of(const finding& one) {
    return {{"level", one.is_problem ? "problem" : "note"},
            {"queue", one.queue.empty() ? json(nullptr) : json(one.queue)},
            {"kind", one.kind},
            {"what", one.what},
            {"advice", one.advice},
            {"fixed", one.fixed.empty() ? json(nullptr) : json(one.fixed)}};
}

void print(const finding& one) {
    output& out = standard_output();
    const auto colour = one.is_problem ? fmt::fg(fmt::terminal_color::red) : fmt::fg(fmt::terminal_color::yellow);
    out.print("{}{}: {}\n", out.styled(colour, one.is_problem ? "problem" : "note"),
              one.queue.empty() ? "" : fmt::format(", {}", printable(one.queue)), one.what);
    if (one.fixed.empty())
        out.print("    {}.\n", one.advice);
    else
        out.print("    Fixed: {}.\n", one.fixed);
}

exit_code diagnose(const doctor_options& wanted) {
    std::vector<std::string> names;
    if (wanted.name.empty()) {
        if (file_status_of("")) {
            for (const auto& one : promisqs::list_queues()) names.push_back(one.name);
        }
    } else {
        const auto finding = promisqs::inspector(wanted.name).look();
        if (finding.state == promisqs::queue_state::not_a_queue)
            throw failure(exit_code::broken, printable(finding.what));
        names.push_back(wanted.name);
    }
    auto found = examine(names, wanted.name);
    if (wanted.fix) fix(found);
    const auto problems = static_cast<std::size_t>(std::count_if(
        found.begin(), found.end(), [](const finding& one) { return one.is_problem && one.fixed.empty(); }));
    if (wanted.json) {
        json all{{"queues", names.size()}, {"problems", problems}, {"findings", json::array()}};
        for (const finding& one : found) all["findings"].push_back(json_of(one));
        standard_output().print("{}\n", line_of(all));
    } else {
        for (const finding& one : found) print(one);
        standard_output().print(
            "{}: {}\n", counted(names.size(), "queue"),
            problems == 0 ? std::string("nothing wrong") : counted(problems, "problem", wanted.fix ? " left" : ""));
    }
    return problems == 0 ? exit_code::done : exit_code::answer_is_no;
}

constexpr const char* details =
    "Looks for what is wrong with the queues of this machine, or with one of them, and says what to do. Without a "
    "name, it also looks at /dev/shm, /proc, limits and system calls. Without --fix it takes no part, and changes "
    "nothing.\n\n"
    "With --fix it does what is safe, and takes no message away that another consumer could get: it recovers what dead "
    "participants have left, as "
    "any participant does (so a message that has killed as many consumers as the queue allows is dropped, and shown on "
    "standard error); it removes "
    "what is left of a queue whose creator died; it removes the records of dead bridges whose queue is gone; and it "
    "removes a queue that no process has open, if it is empty and "
    "was to go with its last user. It stops and ends no process.\n\n"
    "Exit code 0: nothing is wrong, or all is fixed. 1: there are problems. Notes are no problems. If it is killed, "
    "the next recovery goes on.";

}  // namespace

void add_doctor(program& all) {
    auto wanted = std::make_shared<doctor_options>();
    CLI::App& app = all.add({.name = "doctor",
                             .summary = "Say what is wrong here, and what to do; or do it",
                             .details = details,
                             .examples = {{"promisqs doctor", "All queues, and what they need of the machine"},
                                          {"promisqs doctor orders --fix", "One queue; recovers what the dead left"}},
                             .run = [wanted] { return diagnose(*wanted); }});
    app.add_option("NAME", wanted->name, "A queue, as `promisqs ls` shows it; all by default");
    app.add_flag("--fix", wanted->fix, "Do what is safe");
    app.add_flag("--json", wanted->json, "One JSON object");
}

}  // namespace promisqs_tool
