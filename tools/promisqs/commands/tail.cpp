// SPDX-License-Identifier: Apache-2.0

#include "codec/message_printer.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "system/interruption.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

namespace {

struct tail_options {
    std::string name;
    std::uint64_t count = std::numeric_limits<std::uint64_t>::max();
    message_format format = message_format::columns;
    promisqs::tap_start from = promisqs::tap_start::now;
};

/// Shows the messages of a queue as they pass.
class following {
public:
    explicit following(const tail_options& wanted)
        : wanted_(wanted),
          queue_(wanted.name),
          tap_(queue_.open_tap(wanted.from)),
          printer_(wanted.format, plan_of(queue_), false) {}

    exit_code run() {
        while (shown_ < wanted_.count && !is_interrupted()) {
            promisqs::tapped one = tap_.next();
            if (one.event == promisqs::tap_event::nothing) {
                flush();  // it may take long until there is more
                one = tap_.next_for(std::chrono::milliseconds(100));
            }
            if (one.event == promisqs::tap_event::nothing && is_over()) break;
            if (!take(one)) break;
        }
        flush();
        if (is_interrupted()) say(fmt::format("interrupted; showed {} messages, missed {}", shown_, missed_));
        return result_;
    }

private:
    // False: it was the last.
    bool take(const promisqs::tapped& one) {
        switch (one.event) {
            case promisqs::tap_event::message:
                printer_.print(one.number, "", one.bytes);
                ++shown_;
                return true;
            case promisqs::tap_event::missed:
                if (missed_unsaid_ == 0) first_missed_ = one.number;
                missed_unsaid_ += one.count;
                missed_ += one.count;
                if (std::chrono::steady_clock::now() - said_at_ > std::chrono::seconds(1)) flush();
                return true;
            case promisqs::tap_event::nothing: return true;
            case promisqs::tap_event::ended: return false;
            case promisqs::tap_event::lost: break;
        }
        flush();
        say("lost: it was started over, or something else has written into it");
        result_ = exit_code::broken;
        return false;
    }

    // Writes what was shown, and says how many were missed. That is not for each of them: they may be many.
    void flush() {
        printer_.flush();
        if (missed_unsaid_ == 0) return;
        say(fmt::format("missed {} messages, from number {} on", missed_unsaid_, first_missed_));
        missed_unsaid_ = 0;
        said_at_ = std::chrono::steady_clock::now();
    }

    // Whether no more can come, as the queue was removed.
    bool is_over() {
        if (queue_.is_named()) return false;
        // The last user that ends a queue removes its name first: it may still be seen to use it.
        if (!queue_.look().used) {
            say("was removed, and nobody uses it any more");
            return true;
        }
        if (!std::exchange(is_removed_, true)) say("was removed; its users go on with it");
        return false;
    }

    void say(std::string_view what) const {
        promisqs_tool::say("promisqs: queue \"{}\": {}\n", printable(wanted_.name), what);
    }

    const tail_options& wanted_;
    promisqs::inspector queue_;
    promisqs::tap tap_;
    message_printer printer_;
    std::uint64_t shown_ = 0;
    std::uint64_t missed_ = 0;
    std::uint64_t missed_unsaid_ = 0;  // of these
    std::uint64_t first_missed_ = 0;
    std::chrono::steady_clock::time_point said_at_{};
    bool is_removed_ = false;
    exit_code result_ = exit_code::done;
};

constexpr const char* details =
    "Shows each message once it has been pushed, whoever pops it. It reads and takes no part: it takes no "
    "message away and holds nobody up; nothing is left if it is killed. If it can't keep up, it says on standard "
    "error how many messages it has missed. It ends when the queue is closed and all was shown, or removed and "
    "not used any more.";

}  // namespace

void add_tail(program& all) {
    auto wanted = std::make_shared<tail_options>();
    CLI::App& app = all.add(
        {.name = "tail",
         .summary = "Show the messages of a queue as they pass",
         .details = details,
         .examples = {{"promisqs tail orders", "What is pushed from now on"},
                      {"promisqs tail orders --from left -n 100", "The last ones, popped or not, and what follows"},
                      {"promisqs tail orders --json | jq -c 'select(.price > 100)'", "Some of them"}},
         .run = [wanted] { return following(*wanted).run(); }});
    app.add_option("NAME", wanted->name, name_help)->required();
    app.add_option("-n,--count", wanted->count, "End after so many messages")->transform(whole_number(1));
    static const std::map<std::string, promisqs::tap_start> starts{{"now", promisqs::tap_start::now},
                                                                   {"waiting", promisqs::tap_start::oldest_waiting},
                                                                   {"left", promisqs::tap_start::oldest_left}};
    app.add_option_function<std::string>(
           "--from", [wanted](const std::string& word) { wanted->from = starts.at(word); },
           "now (the default), waiting: the oldest that waits, or left: the oldest that was not overwritten")
        ->check(CLI::IsMember(std::vector<std::string>{"now", "waiting", "left"}));
    add_format_options(app, wanted->format);
}

}  // namespace promisqs_tool
