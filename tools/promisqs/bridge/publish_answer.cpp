// SPDX-License-Identifier: Apache-2.0

#include "bridge/publish_answer.hpp"

#include "text/json.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

namespace promisqs_tool {

namespace {

publish_answer refused(std::string why, int error = 0) { return {false, false, error, std::move(why)}; }

publish_answer read_all(std::string_view text, std::string_view stream) {
    const json answer = json::parse(text, nullptr, false);
    if (!answer.is_object()) return refused(fmt::format("its answer is no JSON object: {}", printable(text)));
    try {
        if (const auto error = answer.find("error"); error != answer.end()) {
            const int code = error->value("err_code", 0);
            return refused(
                fmt::format("{} (error {})", printable(error->value("description", "no reason given")), code), code);
        }
        const auto by = answer.value("stream", std::string());
        if (by != stream) return refused(fmt::format("stream \"{}\" has taken it instead", printable(by)));
        return {true, answer.value("duplicate", false), 0, ""};
    } catch (const json::exception&) {
        return refused(fmt::format("its answer is of an unknown form: {}", printable(text)));
    }
}

}  // namespace

publish_answer read_answer(std::string_view text, std::string_view stream) {
    // Almost all look like this: {"stream":"orders","seq":17}
    constexpr std::string_view begin = "{\"stream\":\"";
    constexpr std::string_view middle = "\",";
    if (text.starts_with(begin)) {
        std::string_view rest = text.substr(begin.size());
        if (rest.starts_with(stream) && rest.substr(stream.size()).starts_with(middle)) {
            rest.remove_prefix(stream.size() + middle.size());
            while (rest.starts_with(' ')) rest.remove_prefix(1);
            constexpr std::string_view sequence = "\"seq\":";
            if (rest.starts_with(sequence)) {
                rest.remove_prefix(sequence.size());
                while (!rest.empty() && (rest.front() == ' ' || (rest.front() >= '0' && rest.front() <= '9')))
                    rest.remove_prefix(1);
                if (rest == "}") return {true, false, 0, ""};
            }
        }
    }
    return read_all(text, stream);
}

}  // namespace promisqs_tool
