// SPDX-License-Identifier: Apache-2.0

#include "command_line/completion.hpp"
#include "command_line/manual.hpp"
#include "commands/commands.hpp"
#include "system/output.hpp"

#include <memory>
#include <string>

namespace promisqs_tool {

namespace {

void add_man(program& all) {
    all.add({.name = "man",
             .summary = "Print the manual page",
             .details = "Prints the manual page in the format that man reads. It is made from the same definitions as "
                        "the help texts.",
             .examples = {{"promisqs man | man -l -", "Shows it"},
                          {"promisqs man > /usr/local/share/man/man1/promisqs.1", "Installs it"}},
             .run = [&all] {
                 standard_output().write(manual_page(all));
                 return exit_code::done;
             }});
}

void add_completion(program& all) {
    auto shell = std::make_shared<std::string>();
    CLI::App& app =
        all.add({.name = "completion",
                 .summary = "Print a script that makes a shell complete commands and queues",
                 .details = "The script makes the shell complete commands, options, and the names of the "
                            "queues that are there.",
                 .examples = {{"promisqs completion bash > ~/.local/share/bash-completion/completions/promisqs",
                               "Bash, with bash-completion; for this session: source "
                               "<(promisqs completion bash)"},
                              {"promisqs completion zsh > ~/.zfunc/_promisqs", "Zsh, if ~/.zfunc is in its fpath"},
                              {"promisqs completion fish > ~/.config/fish/completions/promisqs.fish", "Fish"}},
                 .run = [&all, shell] {
                     const auto script = *shell == "bash"  ? bash_completion(all)
                                         : *shell == "zsh" ? zsh_completion(all)
                                                           : fish_completion(all);
                     standard_output().write(script);
                     return exit_code::done;
                 }});
    app.add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

}  // namespace

void add_documentation(program& all) {
    add_man(all);
    add_completion(all);
}

}  // namespace promisqs_tool
