// SPDX-License-Identifier: Apache-2.0

#include "command_line/help.hpp"

#include "command_line/command_options.hpp"
#include "system/output.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr std::size_t column_of_texts = 26;

std::size_t width() { return std::clamp<std::size_t>(standard_output().width(), 60, 100); }

std::string names_of(const command_option& one) {
    std::string text = fmt::format("{}", fmt::join(one.names, ", "));
    if (one.is_argument && one.is_repeated) text += "...";
    if (!one.is_argument && !one.value.empty()) text += " " + one.value;
    return text;
}

std::string entry(std::string_view names, std::string_view text) {
    std::string line = fmt::format("  {:<{}}", names, column_of_texts - 2);
    if (columns_of(line) > column_of_texts || line.back() != ' ') line += "\n" + std::string(column_of_texts, ' ');
    return line + wrapped(text, width(), column_of_texts) + "\n";
}

std::string paragraphs(std::string_view text) {
    std::string all;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\n\n"), text.size());
        all += "\n" + wrapped(text.substr(0, end), width(), 0) + "\n";
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return all;
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
    std::string all;
    std::size_t at = indent;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (at != indent && at + 1 + columns_of(word) > columns) {
            all += '\n';
            all.append(indent, ' ');
            at = indent;
        } else if (at != indent) {
            all += ' ';
            ++at;
        }
        all += word;
        at += columns_of(word);
    }
    return all;
}

std::vector<command_group> groups_of(const program& all) {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> groups{
        {{"Look, and take no part", " ls show top peek tail "},
         {"Move messages", " pop push record replay bridge "},
         {"Manage queues", " create close rm doctor "},
         {"Measure, and the rest", ""}}};
    std::vector<command_group> result;
    for (const auto& [title, names] : groups) result.push_back({title, {}});
    for (const command& one : all.commands()) {
        std::size_t which = 0;
        while (which + 1 < groups.size() && groups[which].second.find(" " + one.name + " ") == std::string_view::npos)
            ++which;
        result[which].commands.push_back(&one);
    }
    std::erase_if(result, [](const command_group& group) { return group.commands.empty(); });
    return result;
}

const std::vector<exit_meaning>& exit_meanings() {
    static const std::vector<exit_meaning> all{{0, "done"},
                                               {1, "the answer is no: nothing to pop, no room, problems found"},
                                               {2, "wrong use, or input that does not fit"},
                                               {3, "no such queue, or stream"},
                                               {4, "not allowed"},
                                               {5, "something broke"}};
    return all;
}

std::string help_of(const program& all) {
    std::string text =
        "promisqs: look into the queues of this machine, and take part in them.\n\n"
        "Usage: promisqs COMMAND [OPTIONS] ...\n";
    for (const command_group& group : groups_of(all)) {
        text += fmt::format("\n{}:\n", group.title);
        for (const command* const one : group.commands)
            text += fmt::format("  {:<12}{}\n", one->name, wrapped(one->summary, width(), 14));
    }
    text += "\nOptions:\n";
    for (const command_option& one : options_of(all.app())) text += entry(names_of(one), one.description);
    text += "\nExit codes:\n";
    for (const exit_meaning& one : exit_meanings()) text += fmt::format("  {}  {}\n", one.code, one.meaning);
    return text + "\npromisqs COMMAND --help explains a command, with examples.\n";
}

std::string help_of(const command& one) {
    std::string text = fmt::format("{}.\n\nUsage: {}\n", one.summary, usage_of(*one.app));
    text += paragraphs(one.details);
    bool is_first = true;
    bool was_argument = false;
    for (const command_option& option : options_of(*one.app)) {
        if (is_first || was_argument != option.is_argument)
            text += option.is_argument ? "\nArguments:\n" : "\nOptions:\n";
        is_first = false;
        was_argument = option.is_argument;
        text += entry(names_of(option), option.description);
    }
    if (!one.examples.empty()) text += "\nExamples:\n";
    for (const example& shown : one.examples)
        text += fmt::format("  {}\n      {}\n", shown.line, wrapped(shown.what, width(), 6));
    return text;
}

}  // namespace promisqs_tool
