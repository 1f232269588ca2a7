// SPDX-License-Identifier: Apache-2.0

#include "text/shell.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace promisqs_tool {

namespace {

bool is_plain(char one) {
    constexpr std::string_view others = "_-.,:+@%/=";
    return (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || (one >= '0' && one <= '9') ||
           others.find(one) != std::string_view::npos;
}

}  // namespace

std::string shell_word(std::string_view text) {
    if (!text.empty() && std::all_of(text.begin(), text.end(), &is_plain)) return std::string(text);
    std::string shown;
    std::string without(text);
    std::erase(without, '\\');
    if (printable(without) == without) {  // all of it can be shown as it is
        shown += '\'';
        for (const char one : text) one == '\'' ? shown += "'\\''" : shown += one;
        shown += '\'';
        return shown;
    }
    shown += "$'";
    for (const char one : text) {
        if (is_plain(one) || one == ' ')
            shown += one;
        else
            fmt::format_to(std::back_inserter(shown), "\\{:03o}", static_cast<unsigned char>(one));
    }
    return shown + "'";
}

}  // namespace promisqs_tool
