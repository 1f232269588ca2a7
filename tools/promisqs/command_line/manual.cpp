// SPDX-License-Identifier: Apache-2.0

#include "command_line/manual.hpp"

#include "command_line/command_options.hpp"
#include "command_line/help.hpp"

#include <promisqs/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace promisqs_tool {

namespace {

// As text of the page: nothing in it is a request.
std::string escaped(std::string_view text) {
    std::string all;
    bool at_line_begin = true;
    for (const char c : text) {
        if (at_line_begin && (c == '.' || c == '\'')) all += "\\&";
        at_line_begin = c == '\n';
        switch (c) {
            case '\\': all += "\\e"; break;
            case '-': all += "\\-"; break;
            case '\'': all += "\\(aq"; break;
            case '`': all += "\\(ga"; break;
            case '^': all += "\\(ha"; break;
            case '~': all += "\\(ti"; break;
            default: all += c;
        }
    }
    return all;
}

std::string in_quotes(std::string_view text) {
    std::string all = escaped(text);
    for (std::size_t at = 0; (at = all.find('"', at)) != all.npos; at += 4) all.replace(at, 1, "\\(dq");
    return '"' + all + '"';
}

// In lines that are not long, as tools for such pages want it.
std::string lines_of(std::string_view text) { return escaped(wrapped(text, 70, 0)); }

std::string paragraphs(std::string_view text) {
    std::string all;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\n\n"), text.size());
        all += (all.empty() ? "" : ".PP\n") + lines_of(text.substr(0, end)) + "\n";
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return all;
}

std::string entry(const command_option& one) {
    std::string names;
    for (const std::string& name : one.names)
        names += fmt::format("{}\\f{}{}\\fR", names.empty() ? "" : ", ", one.is_argument ? "I" : "B", escaped(name));
    if (!one.is_argument && !one.value.empty()) names += fmt::format(" \\fI{}\\fR", escaped(one.value));
    return fmt::format(".TP\n{}\n{}\n", names, lines_of(one.description));
}

std::string section_of(const command& one) {
    std::string text = fmt::format(".SS {}\n{}.\n.PP\n.B {}\n", in_quotes(one.name), escaped(one.summary),
                                   escaped(usage_of(*one.app)));
    text += ".PP\n" + paragraphs(one.details);
    for (const command_option& option : options_of(*one.app)) text += entry(option);
    if (!one.examples.empty()) text += ".PP\nExamples:\n";
    for (const example& shown : one.examples)
        text += fmt::format(".TP\n.B {}\n{}\n", escaped(shown.line), lines_of(shown.what));
    return text;
}

}  // namespace

std::string manual_page(const program& all) {
    std::string text = fmt::format(".TH PROMISQS 1 \"\" \"promisqs {}.{}.{}\" \"User Commands\"\n",
                                   promisqs::version_major, promisqs::version_minor, promisqs::version_patch);
    text +=
        ".SH NAME\npromisqs \\- look into the queues of this machine, and take part in them\n"
        ".SH SYNOPSIS\n.B promisqs\n.I COMMAND\n[\\fIOPTIONS\\fR] ...\n"
        ".SH DESCRIPTION\n";
    text += paragraphs(
        "A queue of promisqs lies in shared memory: it is a file in /dev/shm. This program works on queues "
        "of any type. It reads the schema of the messages, which the queue's creator has stored there.\n\n"
        "Commands that look take no part: they write nothing, hold nobody up, and need read permission "
        "alone. Commands that move messages or recover take part as any other process does.");
    for (const command_group& group : groups_of(all)) {
        text += fmt::format(".SH {}\n", in_quotes(group.title));
        for (const command* const one : group.commands) text += section_of(*one);
    }
    text += ".SH OPTIONS\n";
    for (const command_option& option : options_of(all.app())) text += entry(option);
    text += ".SH EXIT STATUS\n";
    for (const exit_meaning& one : exit_meanings())
        text += fmt::format(".TP\n.B {}\n{}\n", one.code, escaped(one.meaning));
    text +=
        ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nIf it is set, there are no colours. There are none in a pipe or a file.\n"
        ".TP\n.B COLUMNS\nThe width of help texts where the output is no terminal; 80 by default.\n"
        ".SH FILES\n.TP\n.I /dev/shm/NAME\nThe queue of that name.\n"
        ".SH SEE ALSO\n.BR shm_overview (7)\n";
    return text;
}

}  // namespace promisqs_tool
