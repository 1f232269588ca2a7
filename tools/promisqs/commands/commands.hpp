// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "command_line/program.hpp"

namespace promisqs_tool {

// Each adds one command to the program.
void add_ls(program& all);
void add_show(program& all);
void add_top(program& all);
void add_peek(program& all);
void add_tail(program& all);
void add_pop(program& all);
void add_push(program& all);
void add_record(program& all);
void add_replay(program& all);
void add_create(program& all);
void add_rm(program& all);
void add_close(program& all);
void add_doctor(program& all);
void add_export(program& all);
void add_bench(program& all);
void add_bridge(program& all);
/// `man` and `completion`, made from the commands that are there.
void add_documentation(program& all);

}  // namespace promisqs_tool
