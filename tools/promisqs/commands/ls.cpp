// SPDX-License-Identifier: Apache-2.0

#include "../commands.hpp"
#include "../output.hpp"
#include "../text.hpp"

#include <promisqs/inspector.hpp>

#include <memory>

namespace promisqs_tool {

namespace {

struct ls_options {
    bool json = false;
};

exit_code list(const ls_options& wanted) {
    static_cast<void>(wanted);
    for (const promisqs::listed_queue& one : promisqs::list_queues()) {
        standard_output().print("{} {}\n", printable(one.name), to_string(one.state));
    }
    return exit_code::done;
}

}  // namespace

void add_ls(program& all) {
    auto wanted = std::make_shared<ls_options>();
    CLI::App& app = all.add({.name = "ls",
                             .summary = "List the queues of this machine",
                             .details = "",
                             .examples = {{"promisqs ls", "All queues that this user may read"}},
                             .run = [wanted] { return list(*wanted); }});
    app.add_flag("--json", wanted->json, "One JSON object for each queue, a line each");
}

}  // namespace promisqs_tool
