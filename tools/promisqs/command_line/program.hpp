// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "system/exit_code.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// A line to type, and what it does.
struct example {
    std::string line;
    std::string what;
};

/// One of the program's commands. Help, manual page and shell completions are made from it.
struct command {
    std::string name;
    std::string summary;  ///< one line, without a full stop
    std::string details;  ///< sentences
    std::vector<example> examples;
    std::function<exit_code()> run;
    CLI::App* app = nullptr;  ///< its options
};

/// The command line: all commands, and what is done with what is typed.
class program {
public:
    program();

    /// Adds a command. Its options are to be added to what is returned.
    CLI::App& add(command added);

    /// Does what the command line says. Errors end here, in a sentence on standard error.
    [[nodiscard]] exit_code run(int count, const char* const* arguments);

    [[nodiscard]] const std::list<command>& commands() const noexcept { return commands_; }
    [[nodiscard]] const CLI::App& app() const noexcept { return app_; }

private:
    CLI::App app_;
    std::list<command> commands_;  // at addresses that stay
};

/// Does what may fail, and says why it did, in a sentence on standard error.
[[nodiscard]] exit_code report_failures(const std::function<exit_code()>& action);

/// What every command line that names a queue says of it.
inline constexpr const char* name_help = "The queue's name, as `promisqs ls` shows it";

}  // namespace promisqs_tool
