// SPDX-License-Identifier: Apache-2.0

#include "command_line/completion.hpp"

#include "command_line/command_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace promisqs_tool {

namespace {

/// What can stand for a value.
enum class value_kind { none, anything, queue, file, choice };

value_kind kind_of(const command& around, const command_option& one) {
    const std::string& word = one.is_argument ? one.names.front() : one.value;
    if (!one.choices.empty()) return value_kind::choice;
    if (word == "QUEUE" || (word == "NAME" && around.name != "create")) return value_kind::queue;
    if (word.find("FILE") != word.npos) return value_kind::file;
    return word.empty() ? value_kind::none : value_kind::anything;
}

std::string replaced(std::string_view text, std::string_view what, std::string_view escape) {
    std::string all;
    for (const char c : text) {
        if (what.find(c) != what.npos) all += escape;
        all += c;
    }
    return all;
}
// For text between two apostrophes, in any of the shells.
std::string in_apostrophes(std::string_view text) {
    std::string all;
    for (const char c : text) {
        if (c == '\'')
            all += "'\\''";
        else
            all += c;
    }
    return all;
}

std::vector<command_option> arguments_of(const command& one) {
    auto all = options_of(*one.app);
    std::erase_if(all, [](const auto& option) { return !option.is_argument; });
    return all;
}
std::vector<command_option> named_options_of(const command& one) {
    auto all = options_of(*one.app);
    std::erase_if(all, [](const auto& option) { return option.is_argument; });
    return all;
}
std::string joined(const std::vector<std::string>& words, std::string_view between = " ") {
    return fmt::format("{}", fmt::join(words, between));
}

// Of bash: what completes a value.
std::string bash_action(const command& around, const command_option& one) {
    switch (kind_of(around, one)) {
        case value_kind::queue: return "_promisqs_queues";
        case value_kind::file: return "compopt -o default";
        case value_kind::choice: return fmt::format("_promisqs_words '{}'", joined(one.choices));
        case value_kind::anything:
        case value_kind::none: break;
    }
    return ":";
}

std::string bash_case(const command& one) {
    std::vector<std::string> names;
    std::vector<std::string> with_value;
    std::string values;
    for (const command_option& option : named_options_of(one)) {
        names.insert(names.end(), option.names.begin(), option.names.end());
        if (option.value.empty()) continue;
        with_value.insert(with_value.end(), option.names.begin(), option.names.end());
        values += fmt::format("                {}) {} ;;\n", joined(option.names, "|"), bash_action(one, option));
    }
    const auto arguments = arguments_of(one);
    std::string text = fmt::format(
        "        {})\n            _promisqs_count_arguments '{}'\n            case $previous in\n{}            *)\n",
        one.name, joined(with_value), values);
    text += fmt::format("                if [[ $current == -* ]]; then _promisqs_words '{}'\n", joined(names));
    std::string positions;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        positions += fmt::format("                elif (( place {} {} )); then {}\n",
                                 arguments[i].is_repeated ? ">=" : "==", i, bash_action(one, arguments[i]));
    }
    return text + positions + "                fi ;;\n            esac ;;\n";
}

// One entry for _arguments of zsh.
std::string zsh_action(const command& around, const command_option& one) {
    switch (kind_of(around, one)) {
        case value_kind::queue: return "_promisqs_queues";
        case value_kind::file: return "_files";
        case value_kind::choice: return "(" + joined(one.choices) + ")";
        case value_kind::anything:
        case value_kind::none: break;
    }
    return " ";
}
std::string zsh_entry(const command& around, const command_option& one) {
    const std::string text = in_apostrophes(replaced(one.description, "[]:\\", "\\"));
    if (one.is_argument)
        return fmt::format("                '{}:{}:{}'", one.is_repeated ? "*" : "", one.names.front(),
                           zsh_action(around, one));
    std::string entries;
    for (const std::string& name : one.names) {
        const std::string value = one.value.empty() ? "" : fmt::format(":{}:{}", one.value, zsh_action(around, one));
        entries += fmt::format("{}                '{}[{}]{}'", entries.empty() ? "" : " \\\n", name, text, value);
    }
    return entries;
}

std::string fish_lines(const command& one) {
    const std::string here = fmt::format("complete -c promisqs -n '__fish_seen_subcommand_from {}'", one.name);
    std::string text;
    const auto action = [&](const command_option& option) -> std::string {
        switch (kind_of(one, option)) {
            case value_kind::queue: return " -xa '(promisqs ls --names 2>/dev/null)'";
            case value_kind::file: return " -rF";
            case value_kind::choice: return fmt::format(" -xa '{}'", joined(option.choices));
            case value_kind::anything: return " -x";
            case value_kind::none: break;
        }
        return "";
    };
    for (const command_option& option : options_of(*one.app)) {
        const auto kind = kind_of(one, option);
        if (option.is_argument) {
            if (kind != value_kind::anything) text += here + action(option) + "\n";
            continue;
        }
        std::string names;
        for (const std::string& name : option.names)
            names += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
        text += fmt::format("{}{}{} -d '{}'\n", here, names, action(option), replaced(option.description, "'\\", "\\"));
    }
    return text;
}

}  // namespace

std::string bash_completion(const program& all) {
    std::vector<std::string> names;
    std::string cases;
    for (const command& one : all.commands()) {
        names.push_back(one.name);
        cases += bash_case(one);
    }
    return fmt::format(R"(# bash completion for promisqs

_promisqs_words() {{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}}

_promisqs_queues() {{
    local name quoted begin=''
    # Bash takes a colon for the end of a word.
    if [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]]; then begin=${{typed%"${{typed##*:}}"}}; fi
    while IFS= read -r name; do
        printf -v quoted '%q' "$name"
        if [[ $quoted == "$typed"* || $name == "$typed"* ]]; then COMPREPLY+=("${{quoted#"$begin"}}"); fi
    done < <(promisqs ls --names 2>/dev/null)
}}

# How many arguments stand before the one to be completed; $1: the options that take a value.
_promisqs_count_arguments() {{
    local word before=- i
    place=0
    for (( i = 2; i < COMP_CWORD; ++i )); do
        word=${{COMP_WORDS[i]}}
        if [[ $word != -* && $word != : && $before != : && " $1 " != *" $before "* &&
              ${{COMP_WORDS[i+1]}} != : ]]; then (( ++place )); fi
        before=$word
    done
}}

_promisqs() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} place typed i
    COMPREPLY=()
    typed=$current
    for (( i = COMP_CWORD - 1; i > 1; --i )); do  # what bash has torn apart at colons
        if [[ ${{COMP_WORDS[i]}} != : && ${{COMP_WORDS[i+1]}} != : ]]; then break; fi
        typed=${{COMP_WORDS[i]}}$typed
    done
    if [[ $current == : ]]; then current=''; fi
    if (( COMP_CWORD == 1 )); then
        _promisqs_words '{} --help --version'
        return
    fi
    case ${{COMP_WORDS[1]}} in
{}    esac
}}

complete -F _promisqs promisqs
)",
                       joined(names), cases);
}

std::string zsh_completion(const program& all) {
    std::string commands;
    std::string cases;
    for (const command& one : all.commands()) {
        commands += fmt::format("        '{}:{}'\n", one.name, in_apostrophes(replaced(one.summary, ":\\", "\\")));
        std::string entries;
        for (const command_option& option : options_of(*one.app)) entries += " \\\n" + zsh_entry(one, option);
        cases +=
            fmt::format("            {})\n                _arguments -s{}\n                ;;\n", one.name, entries);
    }
    return fmt::format(R"(#compdef promisqs

_promisqs_queues() {{
    local -a names
    names=("${{(@f)$(promisqs ls --names 2>/dev/null)}}")
    compadd -a names
}}

_promisqs() {{
    local curcontext=$curcontext state line
    local -a commands
    commands=(
{})
    _arguments -C '(-)--help[Show this help]' '(-)--version[Show the version]' '1:command:->command' '*::argument:->rest'
    case $state in
    command)
        _describe command commands
        ;;
    rest)
        case $words[1] in
{}        esac
        ;;
    esac
}}

if [[ $funcstack[1] == _promisqs ]]; then _promisqs "$@"; else compdef _promisqs promisqs; fi
)",
                       commands, cases);
}

std::string fish_completion(const program& all) {
    std::string text =
        "# fish completion for promisqs\n\ncomplete -c promisqs -f\n"
        "complete -c promisqs -n __fish_use_subcommand -l help -s h -d 'Show this help'\n"
        "complete -c promisqs -n __fish_use_subcommand -l version -d 'Show the version'\n";
    for (const command& one : all.commands())
        text += fmt::format("complete -c promisqs -n __fish_use_subcommand -a {} -d '{}'\n", one.name,
                            replaced(one.summary, "'\\", "\\"));
    for (const command& one : all.commands()) text += fish_lines(one);
    return text;
}

}  // namespace promisqs_tool
