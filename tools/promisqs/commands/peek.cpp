// SPDX-License-Identifier: Apache-2.0

#include "codec/message_printer.hpp"
#include "command_line/values.hpp"
#include "commands/commands.hpp"
#include "system/interruption.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/inspector.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace promisqs_tool {

namespace {

struct peek_options {
    std::string name;
    std::uint64_t count = 10;
    message_format format = message_format::columns;
};

std::string_view word_for(promisqs::message_state state) {
    switch (state) {
        case promisqs::message_state::ready: return "ready";
        case promisqs::message_state::pushing: return "pushing";
        case promisqs::message_state::tombstone: return "tombstone";
        case promisqs::message_state::to_redeliver: return "came back";
        case promisqs::message_state::popping: return "popping";
    }
    return "unknown";
}

std::string state_of(const promisqs::waiting_message& one) {
    std::string text(word_for(one.state));
    if (one.deaths != 0) text += fmt::format(", killed {}", one.deaths);
    return text;
}

/// Shows what waits in a queue.
class peeking {
public:
    peeking(const promisqs::inspector& queue, const peek_options& wanted)
        : queue_(queue), wanted_(wanted), printer_(wanted.format, plan_of(queue_), true) {}

    exit_code run() {
        for (const promisqs::waiting_message& one : queue_.returned(wanted_.count)) {
            if (one.state == promisqs::message_state::to_redeliver) show(one);
        }
        for (std::uint64_t index = 0; shown_ < wanted_.count && !is_interrupted(); ++index) {
            const auto found = queue_.peek(index);
            if (!found.has_value()) break;
            if (found->number >= next_) show(*found);  // others may have popped some
            next_ = std::max(next_, found->number + 1);
        }
        printer_.flush();
        if (without_bytes_ != 0 && wanted_.format != message_format::columns) {
            say("promisqs: left out {} places that have no message yet, or never will\n", without_bytes_);
        }
        if (shown_ != 0 || is_interrupted()) return exit_code::done;
        say("promisqs: queue \"{}\": no message waits\n", printable(wanted_.name));
        return exit_code::answer_is_no;
    }

private:
    void show(const promisqs::waiting_message& one) {
        if (one.bytes.empty()) ++without_bytes_;
        printer_.print(one.number, state_of(one), one.bytes);
        ++shown_;
    }

    const promisqs::inspector& queue_;
    const peek_options& wanted_;
    message_printer printer_;
    std::uint64_t shown_ = 0;
    std::uint64_t next_ = 0;
    std::uint64_t without_bytes_ = 0;
};

constexpr const char* details =
    "Copies the oldest messages that wait, and leaves them where they are. First those that came back from a "
    "consumer, then the others, by their numbers. It reads and takes no part: nobody notices it, nothing "
    "changes, and nothing is left if it is killed. A state other than ready: \"pushing\", the message is not "
    "complete yet; \"tombstone\", its producer died, and none will come; \"came back\", its consumer died or "
    "gave it back. Exit code 1: no message waits.";

}  // namespace

void add_peek(program& all) {
    auto wanted = std::make_shared<peek_options>();
    CLI::App& app = all.add({.name = "peek",
                             .summary = "Show the messages that wait in a queue",
                             .details = details,
                             .examples = {{"promisqs peek orders", "The next 10"},
                                          {"promisqs peek orders -n 1 --json | jq .", "The next one, in full"},
                                          {"promisqs peek orders --format hex", "As they lie in memory"}},
                             .run = [wanted] { return peeking(promisqs::inspector(wanted->name), *wanted).run(); }});
    app.add_option("NAME", wanted->name, name_help)->required();
    app.add_option("-n,--count", wanted->count, "How many at most (10)")->transform(whole_number(1));
    add_format_options(app, wanted->format);
}

}  // namespace promisqs_tool
