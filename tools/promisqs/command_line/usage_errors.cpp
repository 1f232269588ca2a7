// SPDX-License-Identifier: Apache-2.0

#include "command_line/usage_errors.hpp"

#include "command_line/command_options.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

// How many characters have to be changed, added or left out to make one word of another; two that have changed places
// count as one.
std::size_t distance(std::string_view from, std::string_view to) {
    std::vector<std::vector<std::size_t>> all(from.size() + 1, std::vector<std::size_t>(to.size() + 1));
    for (std::size_t i = 0; i <= from.size(); ++i) {
        for (std::size_t j = 0; j <= to.size(); ++j) {
            if (i == 0 || j == 0) {
                all[i][j] = i + j;
                continue;
            }
            const std::size_t change = all[i - 1][j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
            all[i][j] = std::min({all[i - 1][j] + 1, all[i][j - 1] + 1, change});
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                all[i][j] = std::min(all[i][j], all[i - 2][j - 2] + 1);
        }
    }
    return all[from.size()][to.size()];
}

// " Did you mean X?", if one of the words is near.
std::string suggestion(std::string_view typed, const std::vector<std::string>& words) {
    constexpr std::size_t longest = 40;
    const std::string* nearest = nullptr;
    std::size_t least = 3;
    if (typed.size() > longest) return {};
    for (const std::string& word : words) {
        const bool is_begun = typed.size() > 1 && word.starts_with(typed);
        const std::size_t far = is_begun ? 1 : distance(typed, word);
        if (far < least && far < std::max<std::size_t>(typed.size(), 2)) {
            least = far;
            nearest = &word;
        }
    }
    return nearest == nullptr ? std::string() : fmt::format(". Did you mean {}?", *nearest);
}

std::string sentence_of_extra(const std::string& extra, const CLI::App& app) {
    if (extra.size() < 2 || extra.front() != '-')
        return fmt::format("\"{}\" is an argument too many", printable(extra));
    std::vector<std::string> names;
    for (const command_option& one : options_of(app)) names.insert(names.end(), one.names.begin(), one.names.end());
    const std::string name = extra.substr(0, extra.find_first_of("= "));
    return fmt::format("there is no option {}{}", printable(name), name.size() > 2 ? suggestion(name, names) : "");
}

}  // namespace

std::string unknown_command(const program& all, int count, const char* const* arguments) {
    if (count < 2 || arguments[1][0] == '-' || arguments[1][0] == '\0') return {};
    const std::string typed = arguments[1];
    std::vector<std::string> names;
    for (const command& one : all.commands()) names.push_back(one.name);
    if (std::find(names.begin(), names.end(), typed) != names.end()) return {};
    return fmt::format("there is no command \"{}\"{}", printable(typed), suggestion(typed, names));
}

std::string sentence_of(const CLI::ParseError& error, const CLI::App& app) {
    const std::string text = error.what();
    const std::string name = error.get_name();
    constexpr std::string_view unexpected = "not expected: ";
    if (const std::size_t at = text.find(unexpected); at != text.npos)
        return sentence_of_extra(text.substr(at + unexpected.size()), app);
    if (name == "RequiredError") {
        for (const command_option& one : options_of(app)) {
            if (one.is_required && text.starts_with(one.names.back()))
                return fmt::format("{} is missing: {}", one.names.back(), one.description);
        }
    }
    if (name == "ArgumentMismatch" && text.ends_with("missing"))
        return fmt::format("{} is missing its value", printable(text.substr(0, text.find(':'))));
    constexpr std::string_view unconverted = "Could not convert: ";
    if (name == "ConversionError" && text.starts_with(unconverted)) {
        const std::size_t equals = text.find(" = ");
        if (equals != text.npos)
            return fmt::format("{}: expected a number in its range, found \"{}\"",
                               printable(text.substr(unconverted.size(), equals - unconverted.size())),
                               printable(text.substr(equals + 3)));
    }
    return printable(text);
}

}  // namespace promisqs_tool
