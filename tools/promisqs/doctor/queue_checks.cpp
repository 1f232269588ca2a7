// SPDX-License-Identifier: Apache-2.0

// What `doctor` finds out about queues.

#include "doctor/findings.hpp"
#include "inspect/queue_look.hpp"
#include "inspect/stalls.hpp"
#include "system/interruption.hpp"
#include "system/processes.hpp"
#include "text/shell.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <list>
#include <set>
#include <utility>

namespace promisqs_tool {

namespace {

/// A queue, as it was a tenth of a second ago, if it is worth a second look, and as it is now.
struct patient {
    promisqs::inspector from;
    queue_look before;
    queue_look now;
};

bool is_full(const queue_look& seen) { return seen.stats && seen.stats->size == seen.stats->capacity; }

bool needs_second_look(const queue_look& seen) {
    const bool is_held = std::any_of(seen.participants.begin(), seen.participants.end(),
                                     [](const auto& one) { return one.look.push || one.look.pop; });
    return is_held || is_full(seen) || (seen.stats && seen.stats->being_recovered);
}

class queue_check {
public:
    queue_check(const queue_look& before, const queue_look& now, std::vector<finding>& found)
        : before_(before), now_(now), found_(found) {}

    void run() {
        check_state();
        check_permissions();
        if (!now_.facts || !now_.stats) return;
        check_hold_ups();
        if (!is_abandoned() || holds_anything()) check_dead();
        check_recovery();
        if (now_.finding.used) check_room();
        check_participants();
        check_description();
    }

private:
    void add(bool is_problem, std::string_view kind, std::string what, std::string advice, cure by = cure::none) {
        found_.push_back({is_problem, now_.name, std::string(kind), std::move(what), std::move(advice), by});
    }
    [[nodiscard]] std::string path() const { return shell_word(path_of_queue(now_.name)); }

    void check_state() {
        switch (now_.finding.state) {
            case promisqs::queue_state::unfinished: return check_unfinished();
            case promisqs::queue_state::other_layout:
                return add(true, "other_layout", printable(now_.finding.what),
                           "Let the programs that use it end, and remove it (promisqs rm), or update all of them");
            case promisqs::queue_state::corrupt:
                return add(
                    true, "corrupt", printable(now_.finding.what),
                    "End the programs that use it, remove it (promisqs rm --force), and let them create it again");
            case promisqs::queue_state::abandoned:
            case promisqs::queue_state::closed: return check_abandoned();
            case promisqs::queue_state::in_use:
            case promisqs::queue_state::not_a_queue: return;
        }
    }
    void check_unfinished() {
        if (!now_.finding.locked)
            return add(true, "unfinished",
                       now_.file && now_.file->size == 0
                           ? "It is empty: what is left of a queue, or a file of another program."
                           : "It is what is left of a queue: its creator died while building it, or its last user "
                             "could not remove its name.",
                       "Remove it (promisqs rm), or let a program create it again", cure::remove_leftover);
        constexpr std::time_t long_ago = 10;
        const std::time_t age = now_.file ? std::time(nullptr) - now_.file->changed : 0;
        if (age >= long_ago)
            add(true, "unfinished",
                fmt::format("A process has been building it, or ending it, for {} s. All that open it wait.", age),
                fmt::format("If that process is stopped, let it go on, or end it: fuser -v {} shows it", path()));
    }
    // It was to go with its last user, and has none.
    [[nodiscard]] bool is_abandoned() const {
        return !now_.finding.used && now_.facts && now_.facts->created_with.life != promisqs::lifetime::keep;
    }
    [[nodiscard]] bool holds_anything() const {
        return std::any_of(now_.participants.begin(), now_.participants.end(),
                           [](const auto& one) { return one.look.push || one.look.pop; });
    }
    void check_abandoned() {
        if (!is_abandoned() || !now_.stats) return;
        const auto waiting = now_.stats->size;
        add(true, "abandoned",
            fmt::format("No process has it open, though it is to go with the last one: its users were killed. {}",
                        waiting == 0   ? "No message waits in it."
                        : waiting == 1 ? "1 message waits in it."
                                       : fmt::format("{} messages wait in it.", waiting)),
            waiting == 0 ? "Remove it (promisqs rm), or let a program open it again"
                         : "Let a program open it again, which gets the messages. promisqs rm removes them, too",
            cure::end_if_empty);
    }

    void check_permissions() {
        if (!now_.file) return;
        const unsigned mode = now_.file->permissions & 0777U;
        unsigned wanted = mode;  // without what is half a permission
        for (const unsigned shift : shifts) {
            const unsigned both = mode >> shift & 6U;
            if (both == 4 || both == 2) wanted &= ~(6U << shift);
        }
        if (wanted != mode)
            add(true, "permissions",
                fmt::format("Its permissions, {:04o}, let a user read it or write it, but not both: such a user can't "
                            "take part, and one that may only read it can block recoveries.",
                            mode),
                fmt::format("chmod {:04o} {}, for instance", wanted, path()));
        if ((mode & 6U) == 6U)
            add(false, "permissions", fmt::format("Its permissions, {:04o}, let any user change its messages.", mode),
                fmt::format("chmod o-rw {}, unless all users are trusted", path()));
        if (::faccessat(AT_FDCWD, path_of_queue(now_.name).c_str(), R_OK | W_OK, AT_EACCESS) != 0)
            add(false, "permissions", "This user may look at it, but not take part in it.",
                fmt::format("Use a user of its group, or the user {}", printable(user_name(now_.file->owner))));
    }

    void check_hold_ups() {
        for (const hold_up& one : hold_ups(*now_.stats, now_.participants)) {
            if (one.state == condition::dead) continue;  // check_dead
            constexpr std::chrono::seconds too_long(1);
            const bool is_stopped = one.state == condition::stopped;
            const bool is_problem = is_stopped || (one.is_waited_for && one.at_least >= too_long);
            const std::string process = one.by ? std::to_string(*one.by) : "PID";
            add(is_problem, one.is_waited_for ? "held_up" : "held", one.sentence,
                is_stopped
                    ? fmt::format("Let it go on (kill -CONT {0}), or end it (kill -KILL {0}): then others get "
                                  "on within 20 ms",
                                  process)
                    : fmt::format("See what it does inside its callable (gdb -p {0}, cat /proc/{0}/stack)", process));
        }
    }
    void check_dead() {
        std::vector<std::string> dead;
        std::size_t count = 0;
        for (const auto& one : now_.participants) {
            if (one.state != condition::dead) continue;
            constexpr std::size_t most = 8;
            std::string text = described(one);
            if (one.look.push) text += " (pushing " + described(*one.look.push) + ")";
            if (one.look.pop) text += " (popping " + described(*one.look.pop) + ")";
            if (++count <= most) dead.push_back(std::move(text));
        }
        if (count == 0) return;
        add(true, "dead_participants",
            fmt::format("{} died without closing it: {}{}.",
                        count == 1 ? "1 participant" : fmt::format("{} participants", count), fmt::join(dead, "; "),
                        count > dead.size() ? "; and more" : ""),
            "promisqs doctor --fix recovers what they have left. So does the next participant that finds nothing to "
            "do, and the next one that opens the queue",
            cure::recover);
    }
    void check_recovery() {
        if (now_.stats->being_recovered && before_.stats && before_.stats->being_recovered)
            add(true, "recovery",
                "A process has been recovering what the dead have left, for a tenth of a second at least. Until it has "
                "finished, no other can recover.",
                "If a process that uses the queue is stopped, let it go on, or end it");
    }

    void check_room() {
        if (!is_full(now_) || !before_.stats || !is_full(before_)) return;
        if (now_.stats->popped != before_.stats->popped) return;
        const bool has_consumers = std::any_of(now_.participants.begin(), now_.participants.end(), [](const auto& one) {
            return one.look.last_pop && one.state != condition::dead;
        });
        add(!has_consumers, "full",
            fmt::format("It is full: {} messages wait, and {}.", now_.stats->size,
                        has_consumers ? "none was popped for a tenth of a second" : "no consumer is alive"),
            has_consumers ? "See what its consumers do: promisqs show"
                          : "Start a consumer, or look at it: promisqs peek");
    }
    void check_participants() {
        const std::uint64_t taken = now_.participants.size();
        const std::uint64_t all = now_.facts->created_with.participants;
        if (taken * 10 >= all * 9 && taken > 1)
            add(true, "participants",
                fmt::format("{} of its {} participant entries are taken. A thread that finds none can't take part.",
                            taken, all),
                "Use fewer threads or handles, or create it again with more participants");
        std::set<std::uint32_t> elsewhere;
        for (const auto& one : now_.participants) {
            if (one.state == condition::elsewhere) elsewhere.insert(one.look.who.process);
        }
        if (!elsewhere.empty())
            add(false, "elsewhere",
                fmt::format("{} of its processes can't be seen from here: of another pid namespace, or hidden. What is "
                            "shown of them is their number there.",
                            elsewhere.size()),
                "Look from inside their container, or as root");
        if (now_.stats->dropped != 0)
            add(false, "dropped",
                fmt::format("{} poison messages were dropped, each after several consumers had died with it.",
                            now_.stats->dropped),
                "See why consumers die. on_dropped hands such messages to a program");
    }
    void check_description() {
        if (!fields_of(*now_.facts))
            add(true, "schema",
                "The description of its messages is no schema, or of another size: something else has written into it.",
                "Remove it, and create it again");
    }

    static constexpr unsigned shifts[] = {0, 3};  // others, group

    const queue_look& before_;
    const queue_look& now_;
    std::vector<finding>& found_;
};

void add_processes(const queue_look& seen, std::set<std::uint32_t>& to) {
    for (const auto& participant : seen.participants) {
        if (participant.state == condition::alive || participant.state == condition::stopped)
            to.insert(participant.look.who.process);
    }
}

void check_files_of(const std::set<std::uint32_t>& processes, std::vector<finding>& found) {
    for (const std::uint32_t process : processes) {
        const auto files = process_lookup::open_files(process);
        if (!files || files->open * 10 < files->limit * 9) continue;
        found.push_back(
            {true,
             {},
             "limit_files",
             fmt::format("Process {} has {} files open, of {} (RLIMIT_NOFILE): it may fail to open a queue.", process,
                         files->open, files->limit),
             fmt::format("prlimit --pid {} --nofile=HIGHER, or LimitNOFILE= in its service", process)});
    }
}

}  // namespace

std::vector<finding> check_queues(const std::vector<std::string>& names) {
    constexpr std::size_t most_kept = 256;  // each has a file open
    std::vector<finding> found;
    std::list<patient> suspects;
    std::set<std::uint32_t> processes;
    process_lookup lookup;
    for (const std::string& name : names) {
        if (is_interrupted()) break;
        try {
            promisqs::inspector from(name);
            queue_look seen = look_at(from, lookup);
            add_processes(seen, processes);
            const bool again = needs_second_look(seen) && suspects.size() < most_kept;
            if (again)
                suspects.push_back({std::move(from), seen, seen});
            else
                queue_check(seen, seen, found).run();
        } catch (const promisqs::queue_error& error) {
            if (error.code() != promisqs::errc::no_permission) continue;  // it has gone
            found.push_back({true, name, "permissions", "This user may not read it.", "Look as its owner, or as root"});
        }
    }
    if (!suspects.empty()) {
        ::pollfd interrupted{interruption_descriptor(), POLLIN, 0};
        static_cast<void>(::poll(&interrupted, 1, 110));
    }
    for (patient& one : suspects) {
        one.now = look_at(one.from, lookup);
        queue_check(one.before, one.now, found).run();
    }
    check_files_of(processes, found);
    return found;
}

}  // namespace promisqs_tool
