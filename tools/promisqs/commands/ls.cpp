// SPDX-License-Identifier: Apache-2.0

#include "commands/commands.hpp"
#include "inspect/participants.hpp"
#include "inspect/queue_look.hpp"
#include "inspect/struct_text.hpp"
#include "system/output.hpp"
#include "system/processes.hpp"
#include "system/say.hpp"
#include "text/json.hpp"
#include "text/table.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

namespace {

struct ls_options {
    bool json = false;
    bool names = false;
};

/// A line of the list. Of what is no readable queue, only the file's size and owner are known.
struct listed {
    std::string name;
    promisqs::queue_state state;
    std::optional<promisqs::queue_facts> facts;
    std::optional<promisqs::queue_stats> stats;
    std::vector<promisqs::participant_look> participants;
    std::uint64_t bytes = 0;
    std::uint32_t owner = 0;
};

// Nothing: it is not there any more.
std::optional<listed> look(const promisqs::listed_queue& which) {
    listed found{which.name, which.state, {}, {}, {}, 0, 0};
    const auto file = file_status_of(which.name);
    if (!file) return std::nullopt;
    found.bytes = file->size;
    found.owner = file->owner;
    try {
        promisqs::inspector from(which.name);
        auto facts = from.facts();
        auto stats = from.stats();
        found.participants = from.participants();
        found.facts = std::move(facts);
        found.stats = std::move(stats);
    } catch (const promisqs::queue_error& error) {
        if (error.code() == promisqs::errc::not_found) return std::nullopt;
    }
    return found;
}

// For a script as it is, so that the script can use it.
std::string bare(const std::string& name) {
    const bool is_for_people = standard_output().is_terminal() || name.find('\n') != name.npos;
    return is_for_people ? printable(name) : name;
}

std::string text_of(const head_count& count) {
    return count.dead == 0 ? std::to_string(count.alive) : fmt::format("{} ({} dead)", count.alive, count.dead);
}

std::vector<std::string> cells_of(const listed& one) {
    std::vector<std::string> cells{
        printable(one.name), "?", "?", "?", "?", short_bytes(one.bytes), "?", printable(user_name(one.owner)),
        words_of(one.state)};
    if (!one.facts || !one.stats) return cells;
    cells[1] = type_name(one.facts->schema);
    cells[2] = fmt::format("{}/{}", one.stats->size, one.stats->capacity);
    cells[3] = text_of(count_producers(one.participants));
    cells[4] = text_of(count_consumers(one.participants));
    cells[6] = short_time(age_of(one.facts->created_at));
    return cells;
}

json json_of(const listed& one) {
    json line{
        {"name", one.name}, {"state", to_string(one.state)}, {"bytes", one.bytes}, {"owner", user_name(one.owner)}};
    if (!one.facts || !one.stats) return line;
    const auto producers = count_producers(one.participants);
    const auto consumers = count_consumers(one.participants);
    line["type"] = type_name(one.facts->schema);
    line["schema"] = one.facts->schema;
    line["element_size"] = one.facts->element_size;
    line["size"] = one.stats->size;
    line["capacity"] = one.stats->capacity;
    line["producers"] = {{"alive", producers.alive}, {"dead", producers.dead}};
    line["consumers"] = {{"alive", consumers.alive}, {"dead", consumers.dead}};
    line["age_seconds"] = std::chrono::duration<double>(age_of(one.facts->created_at)).count();
    return line;
}

// Objects that this user may not read: nobody can tell whether they are queues.
std::size_t count_unreadable() {
    if (::geteuid() == 0) return 0;
    const std::unique_ptr<::DIR, int (*)(::DIR*)> entries(::opendir("/dev/shm"), &::closedir);
    std::size_t count = 0;
    while (entries) {
        const ::dirent* const entry = ::readdir(entries.get());
        if (entry == nullptr) break;
        if (entry->d_type != DT_REG) continue;
        const bool denied =
            ::faccessat(::dirfd(entries.get()), entry->d_name, R_OK, AT_EACCESS) != 0 && errno == EACCES;
        if (denied) ++count;
    }
    return count;
}

void print_table(const std::vector<listed>& all) {
    table text({{"name"},
                {"type", false, 1},
                {"waiting", true},
                {"producers", true},
                {"consumers", true},
                {"bytes", true, 3},
                {"age", true, 2},
                {"owner", false, 4},
                {"state"}});
    for (const listed& one : all) text.add(cells_of(one));
    const output& out = standard_output();
    standard_output().write(out.is_terminal() ? text.text({}, out.width()) : text.text());
}

exit_code list(const ls_options& wanted) {
    std::vector<listed> all;
    const auto names = promisqs::list_queues();
    for (const promisqs::listed_queue& one : names) {
        if (wanted.names) {
            standard_output().print("{}\n", bare(one.name));
        } else if (auto found = look(one)) {
            if (wanted.json)
                standard_output().print("{}\n", line_of(json_of(*found)));
            else
                all.push_back(std::move(*found));
        }
    }
    if (!all.empty()) print_table(all);
    standard_output().flush();
    if (wanted.json || wanted.names) return exit_code::done;
    if (all.empty()) say("no queues\n");
    if (const std::size_t unreadable = count_unreadable(); unreadable != 0)
        say("not shown: {} in /dev/shm that this user may not read\n",
            unreadable == 1 ? std::string("1 object") : fmt::format("{} objects", unreadable));
    return exit_code::done;
}

constexpr const char* details =
    "Shows each queue with its type, how many messages wait and fit, how many threads push and pop (and how many of "
    "them are dead), its size in memory, its age, its owner and its state. A narrow terminal is spared the owner, the "
    "size, the age and the type. Looks, and takes no part: nothing changes, and nobody is held up.\n\n"
    "States: in use; abandoned (no process has it open); closed; unfinished (being built, or its creator died); other "
    "layout (made by another version of promisqs); corrupt.";

}  // namespace

void add_ls(program& all) {
    auto wanted = std::make_shared<ls_options>();
    CLI::App& app = all.add({.name = "ls",
                             .summary = "List the queues of this machine",
                             .details = details,
                             .examples = {{"promisqs ls", "All queues that this user may read"},
                                          {"promisqs ls --json | jq 'select(.consumers.alive == 0)'",
                                           "Queues from which nobody takes messages"}},
                             .run = [wanted] { return list(*wanted); }});
    CLI::Option* const as_json = app.add_flag("--json", wanted->json, "A JSON object for each queue, a line each");
    app.add_flag("--names", wanted->names, "Nothing but the names, a line each")->excludes(as_json);
}

}  // namespace promisqs_tool
