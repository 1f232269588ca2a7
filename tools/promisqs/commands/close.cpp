// SPDX-License-Identifier: Apache-2.0

#include "commands/commands.hpp"
#include "participate/joined_queue.hpp"
#include "system/output.hpp"
#include "text/text.hpp"

#include <memory>
#include <string>

namespace promisqs_tool {

namespace {

exit_code close_queue(const std::string& name) {
    joined_queue here(name);
    const bool was_closed = here->is_closed();
    here->close();
    const auto waiting = here->size();
    standard_output().print("{} \"{}\": {}\n", was_closed ? "closed already:" : "closed", printable(name),
                            waiting == 0   ? "no message waits"
                            : waiting == 1 ? "1 message waits, and can still be popped"
                                           : fmt::format("{} messages wait, and can still be popped", waiting));
    return exit_code::done;
}

constexpr const char* details =
    "Closes a queue, for good: no more messages can be pushed, by anybody. Producers get \"closed\". Consumers get "
    "what still waits, and then \"closed\". Takes part for a moment, as any program that opens the queue.\n\n"
    "The queue stays where it is, with its messages, even if its last user leaves while this program is at it. "
    "If this program is killed, the queue is closed, or it is not.";

}  // namespace

void add_close(program& all) {
    auto name = std::make_shared<std::string>();
    CLI::App& app = all.add({.name = "close",
                             .summary = "Close a queue: no more messages can be pushed",
                             .details = details,
                             .examples = {{"promisqs close orders", "Lets consumers drain it, and end"}},
                             .run = [name] { return close_queue(*name); }});
    app.add_option("NAME", *name, name_help)->required();
}

}  // namespace promisqs_tool
