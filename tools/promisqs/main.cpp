// SPDX-License-Identifier: Apache-2.0

// promisqs: looks into the queues of this machine, of any type, and takes part in them. docs/tool.md is its guide.

#include "command_line/program.hpp"
#include "commands/commands.hpp"
#include "system/interruption.hpp"

namespace {

using namespace promisqs_tool;

exit_code run(int count, const char* const* arguments) {
    prepare_process();
    program all;
    for (const auto add :
         {&add_ls, &add_show, &add_top, &add_peek, &add_tail, &add_pop, &add_push, &add_record, &add_replay,
          &add_create, &add_rm, &add_close, &add_doctor, &add_export, &add_bench, &add_bridge, &add_documentation}) {
        add(all);
    }
    return all.run(count, arguments);
}

}  // namespace

int main(int count, char** arguments) {
    return static_cast<int>(report_failures([&] { return run(count, arguments); }));
}
