// SPDX-License-Identifier: Apache-2.0

#include "codec/message_printer.hpp"

#include "system/output.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <map>
#include <vector>

namespace promisqs_tool {

namespace {

constexpr std::size_t most_lines = 256;  // of which the columns are aligned at once

std::vector<std::string> leading_titles(bool with_states) {
    return with_states ? std::vector<std::string>{"number", "state"} : std::vector<std::string>{"number"};
}

}  // namespace

void add_format_options(CLI::App& to, message_format& chosen) {
    static const std::map<std::string, message_format> formats{
        {"columns", message_format::columns}, {"json", message_format::json}, {"hex", message_format::hex}};
    CLI::Option* const format = to.add_option_function<std::string>(
                                      "--format", [&chosen](const std::string& word) { chosen = formats.at(word); },
                                      "columns (the default), json: a line for each message, or hex: its bytes")
                                    ->check(CLI::IsMember(std::vector<std::string>{"columns", "json", "hex"}));
    to.add_flag_callback(
          "--json", [&chosen] { chosen = message_format::json; }, "The same as --format json")
        ->excludes(format);
}

message_printer::message_printer(message_format format, const plan_found& found, bool with_states)
    : format_(format),
      with_states_(with_states),
      writer_(found.plan),
      columns_(found.plan, leading_titles(with_states)) {}

void message_printer::print(std::uint64_t number, std::string_view state, std::span<const std::byte> message) {
    output& out = standard_output();
    if (format_ == message_format::columns) {
        std::vector<std::string> leading{std::to_string(number)};
        if (with_states_) leading.emplace_back(state);
        columns_.add(std::move(leading), message);
        if (columns_.lines() == most_lines) write_lines();
    } else if (!message.empty()) {
        if (format_ == message_format::json) {
            writer_.append(out.buffer(), message);
        } else {
            out.write(hexadecimal(message));
        }
        out.buffer().push_back('\n');
        out.flush_if_long();
    }
}

void message_printer::write_lines() {
    if (columns_.lines() == 0) return;
    columns_.append(standard_output().buffer());
    standard_output().flush_if_long();
}

void message_printer::flush() {
    write_lines();
    standard_output().flush();
}

}  // namespace promisqs_tool
