// SPDX-License-Identifier: Apache-2.0

#include "commands/commands.hpp"
#include "inspect/queue_json.hpp"
#include "inspect/queue_look.hpp"
#include "inspect/stalls.hpp"
#include "inspect/struct_text.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "text/json.hpp"
#include "text/table.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

namespace {

struct show_options {
    std::string name;
    bool json = false;
};

// Looks twice where something is held: only then can it be told from what goes on in any busy queue.
queue_look look_well(const std::string& name, process_lookup& lookup) {
    promisqs::inspector from(name);
    queue_look found = look_at(from, lookup);
    const bool is_held = std::any_of(found.participants.begin(), found.participants.end(),
                                     [](const auto& one) { return one.look.push || one.look.pop; });
    if (!is_held) return found;
    ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
    static_cast<void>(::poll(&interrupted, 1, 110));
    return look_at(from, lookup);
}

std::string time_text(std::chrono::system_clock::time_point when) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
    std::tm parts{};
    if (::localtime_r(&seconds, &parts) == nullptr) return "?";
    std::string text(64, '\0');
    text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts));
    return text;
}

template <class Value>
void row(std::string_view what, const Value& value) {
    standard_output().print("  {:<14}{}\n", what, value);
}
void heading(std::string_view text) { standard_output().print("\n{}\n", text); }

std::string process_text(std::uint32_t process) {
    const auto found = process_lookup::look(process, process);
    return found ? fmt::format("{} ({})", process, printable(found->process_name)) : std::to_string(process);
}

std::string roles_text(const promisqs::options& created_with) {
    return fmt::format("{}, {}", created_with.single_producer ? "a single producer" : "any number of producers",
                       created_with.single_consumer ? "a single consumer" : "any number of consumers");
}

void show_totals(const promisqs::queue_stats& stats) {
    row("waiting", fmt::format("{} of {} messages", stats.size, stats.capacity));
    row("pushed", stats.pushed);
    row("popped", stats.popped);
    row("redelivered", fmt::format("{}, as their consumers died", stats.redelivered));
    row("dropped", fmt::format("{}, as poison messages", stats.dropped));
    row("tombstones", fmt::format("{}, places given up, as their producers died or threw", stats.tombstones));
    if (stats.being_recovered) row("recovery", "a process is recovering what the dead have left");
}

void show_file(const queue_look& seen) {
    if (!seen.file) return;
    const auto& file = *seen.file;
    row("file", fmt::format("/dev/shm/{}, {}, of {}, permissions {:04o}", printable(seen.name), short_bytes(file.size),
                            printable(user_name(file.owner)), file.permissions));
}

void show_options_of(const queue_look& seen) {
    const promisqs::queue_facts& facts = *seen.facts;
    const promisqs::options& made = facts.created_with;
    row("created", fmt::format("{}, {} ago, by process {}", time_text(facts.created_at),
                               short_time(age_of(facts.created_at)), process_text(facts.creator)));
    show_file(seen);
    row("lifetime", made.life == promisqs::lifetime::keep ? "kept until removed" : "goes with the last handle closed");
    row("roles", roles_text(made));
    row("participants", fmt::format("{} of {} entries taken", seen.participants.size(), made.participants));
    row("max deaths", made.max_deaths == 0
                          ? std::string("never drops a message whose consumers die")
                          : fmt::format("drops a message that {} consumers died with", made.max_deaths));
}

void show_layout(const promisqs::queue_facts& facts) {
    heading(fmt::format("layout version {}, in bytes", facts.layout_version));
    row("slots", fmt::format("{} at {}, one each {}: the message at {}, its stamp at {}", facts.capacity,
                             facts.slots_offset, facts.slot_stride, facts.payload_offset, facts.stamp_offset));
    row("size", facts.segment_size);
    row("schema", printable(facts.schema.substr(0, 2000)) + (facts.schema.size() > 2000 ? " ..." : ""));
    row("fingerprint", fmt::format("{:016x}, of the name {:016x}", facts.schema_fingerprint, facts.name_fingerprint));
}

void show_type(const promisqs::queue_facts& facts) {
    const auto fields = fields_of(facts);
    heading(fmt::format("messages of {} bytes, aligned to {}", facts.element_size, facts.element_alignment));
    if (!fields) {
        standard_output().write("  their description is no schema, or of another size: it can't be trusted\n");
        return;
    }
    try {
        standard_output().write(struct_text(*fields));
    } catch (const promisqs::schema_error& error) {
        standard_output().print("  {}\n", printable(error.what()));
    }
}

std::string holds_text(const participant_view& one) {
    std::string text;
    const auto add = [&](std::string_view verb, const promisqs::held_messages& held) {
        text += fmt::format("{}{} {}, for {} at least", text.empty() ? "" : "; ", verb, described(held),
                            short_time(held.at_least));
    };
    if (one.look.push) add("pushes", *one.look.push);
    if (one.look.pop) add("pops", *one.look.pop);
    return text;
}

void show_participants(const std::vector<participant_view>& all) {
    if (all.empty()) return;
    table text({{"process", true}, {"name"}, {"thread", true}, {"name"}, {"role"}, {"since"}, {"state"}, {"holds"}});
    for (const auto& one : all) {
        const auto& who = one.look.who;
        const bool is_sole = one.look.sole_producer || one.look.sole_consumer;
        text.add({std::to_string(who.process), one.process_name, std::to_string(who.thread), one.thread_name,
                  fmt::format("{}{}", is_sole ? "single " : "", role_of(one)), short_time(age_of(who.since)),
                  std::string(to_string(one.state)), holds_text(one)});
    }
    heading("participants: threads that push or pop");
    standard_output().write(text.text("  "));
}

void show_text(const queue_look& seen) {
    const std::string name = standard_output().styled(fmt::emphasis::bold, printable(seen.name));
    standard_output().print("{}: {}\n", name, words_of(seen.finding.state));
    if (!seen.facts || !seen.stats) {
        standard_output().print("\n  {}\n", printable(seen.finding.what));
        show_file(seen);
        return;
    }
    const auto held = hold_ups(*seen.stats, seen.participants);
    if (!held.empty()) heading("who holds whom up");
    for (const hold_up& one : held) standard_output().print("  {}\n", one.sentence);
    standard_output().write("\n");
    show_totals(*seen.stats);
    standard_output().write("\n");
    show_options_of(seen);
    show_participants(seen.participants);
    show_type(*seen.facts);
    show_layout(*seen.facts);
}

exit_code show(const show_options& wanted) {
    process_lookup lookup;
    const queue_look seen = look_well(wanted.name, lookup);
    if (seen.finding.state == promisqs::queue_state::not_a_queue)
        throw failure(exit_code::broken, printable(seen.finding.what));
    if (wanted.json)
        standard_output().print("{}\n", line_of(json_of(seen)));
    else
        show_text(seen);
    return seen.finding.state == promisqs::queue_state::corrupt ? exit_code::broken : exit_code::done;
}

constexpr const char* details =
    "Shows everything that is known of a queue: what it was created with, how its memory is laid out, its messages as "
    "a struct of C++, its totals, who takes part, what each holds, and who holds whom up. Looks, and takes no part: "
    "nothing changes, nobody is held up, and a queue whose processes are all stopped is shown, too.\n\n"
    "Where a participant holds a message, it looks a second time, a tenth of a second later. "
    "Times are lower bounds: \"for 3 s at least\" is since a participant, or this program, has seen it first. "
    "\"elsewhere\" is a process that is alive and not to be seen in /proc: of another pid namespace, or hidden.\n\n"
    "Of a queue of another layout version, or an unfinished one, it shows what is known. "
    "Exit code 5: the queue is corrupt, or the object is no queue.";

}  // namespace

void add_show(program& all) {
    auto wanted = std::make_shared<show_options>();
    CLI::App& app = all.add(
        {.name = "show",
         .summary = "Show all about a queue: type, participants, who holds it up",
         .details = details,
         .examples = {{"promisqs show orders", "All about the queue \"orders\""},
                      {"promisqs show orders --json | jq -r .element.struct", "Its messages as a struct of C++"}},
         .run = [wanted] { return show(*wanted); }});
    app.add_option("NAME", wanted->name, name_help)->required();
    app.add_flag("--json", wanted->json, "One JSON object");
}

}  // namespace promisqs_tool
