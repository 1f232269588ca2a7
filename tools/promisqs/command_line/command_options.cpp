// SPDX-License-Identifier: Apache-2.0

#include "command_line/command_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace promisqs_tool {

namespace {

// The library writes "WHEN:{keep,last-close}", or the name of a type of C++.
std::string value_of(const std::string& type) {
    const std::string word = type.substr(0, type.find_first_of(":{ "));
    if (word == "UINT" || word == "INT") return "N";
    if (word == "FLOAT") return "NUMBER";
    return word.empty() ? "VALUE" : word;
}

std::vector<std::string> choices_of(const std::string& type) {
    const std::size_t begin = type.find('{');
    const std::size_t end = type.find('}');
    std::vector<std::string> all;
    if (begin == type.npos || end == type.npos || end < begin) return all;
    for (std::size_t at = begin + 1; at <= end;) {
        const std::size_t comma = std::min(type.find(',', at), end);
        all.push_back(type.substr(at, comma - at));
        at = comma + 1;
    }
    return all;
}

command_option option_of(const CLI::Option& one) {
    command_option result{};
    const std::string type = one.get_type_name();
    result.is_argument = one.get_positional() && one.get_lnames().empty() && one.get_snames().empty();
    if (result.is_argument) result.names.push_back(one.get_name(true));
    for (const std::string& name : one.get_snames()) result.names.push_back("-" + name);
    for (const std::string& name : one.get_lnames()) result.names.push_back("--" + name);
    if (one.get_expected_max() != 0) result.value = value_of(type);
    result.choices = choices_of(type);
    result.description = one.get_description();
    result.is_required = one.get_required();
    result.is_repeated = one.get_expected_max() > 1;
    return result;
}

}  // namespace

std::vector<command_option> options_of(const CLI::App& app) {
    std::vector<command_option> all;
    for (const CLI::Option* const one : app.get_options()) {
        if (!one->get_group().empty()) all.push_back(option_of(*one));
    }
    const auto is_help = [](const command_option& one) { return one.names.back() == "--help"; };
    for (command_option& one : all) {
        if (is_help(one)) one.description = "Show this help";
    }
    std::stable_partition(all.begin(), all.end(), [&](const auto& one) { return !is_help(one); });
    std::stable_partition(all.begin(), all.end(), [](const auto& one) { return one.is_argument; });
    return all;
}

std::string usage_of(const CLI::App& app) {
    std::string text = "promisqs " + app.get_name() + " [OPTIONS]";
    for (const command_option& one : options_of(app)) {
        if (!one.is_argument) continue;
        const std::string name = one.names.front() + (one.is_repeated ? "..." : "");
        text += one.is_required ? " " + name : fmt::format(" [{}]", name);
    }
    return text;
}

}  // namespace promisqs_tool
