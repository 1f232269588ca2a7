// SPDX-License-Identifier: Apache-2.0

#include "bridge/stream_type.hpp"

#include "text/text.hpp"

#include <promisqs/schema.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

constexpr std::string_view description_begin = "promisqs schema: ";
constexpr const char* metadata_key = "promisqs-schema";  // servers from 2.10 on have metadata

std::string text_in(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<std::string> schema_in(const json& config) {
    const auto metadata = config.find("metadata");
    if (metadata != config.end() && metadata->is_object()) {
        if (std::string text = text_in(*metadata, metadata_key); !text.empty()) return text;
    }
    const std::string description = text_in(config, "description");
    if (!description.starts_with(description_begin)) return std::nullopt;
    return description.substr(description_begin.size());
}

std::string shown(const promisqs::element_type& type) {
    constexpr std::size_t most = 500;
    std::string text = printable(type.text.substr(0, most));
    if (type.text.size() > most) text += "…";
    return fmt::format("{} ({} bytes)", text, type.size);
}

void check_name(const std::string& stream) {
    if (stream.empty() || stream.find_first_of(" \t\r\n.*>/\\") != std::string::npos)
        throw nats_problem(fmt::format("expected the name of a stream, without dots, spaces, * and >, found \"{}\"",
                                       printable(stream)),
                           exit_code::wrong_use);
}

struct jetstream_context {
    explicit jetstream_context(const nats_connection& on) {
        check(natsConnection_JetStream(&context, on.get(), nullptr), "use JetStream");
    }
    jetstream_context(const jetstream_context&) = delete;
    jetstream_context& operator=(const jetstream_context&) = delete;
    ~jetstream_context() { jsCtx_Destroy(context); }

    jsCtx* context = nullptr;
};

}  // namespace

stream_look look_at_stream(const nats_connection& on, const std::string& stream) {
    check_name(stream);
    json answer = on.ask("STREAM.INFO." + stream);
    stream_look result{stream, answer["config"], answer["state"], std::nullopt};
    if (!result.config.is_object() || !result.state.is_object())
        throw nats_problem(fmt::format("the server does not describe stream \"{}\"", stream), exit_code::broken);
    result.created = text_in(answer, "created");
    result.schema = schema_in(result.config);
    return result;
}

promisqs::element_type type_of_queue(const promisqs::untyped_queue& queue) {
    promisqs::element_type type = queue.type();
    try {
        auto parsed = promisqs::parse_element_type(type.text);
        if (parsed.size == queue.element_size()) return parsed;
    } catch (const promisqs::schema_error&) {  // something else has written into the queue
    }
    return promisqs::opaque_element_type(queue.element_size(), queue.element_alignment());
}

message_type type_of_message(natsMsg* message) {
    message_type result;
    const char* text = nullptr;
    if (natsMsgHeader_Get(message, type_header, &text) == NATS_OK && text != nullptr) {
        std::string_view digits(text);
        result.is_json = digits.ends_with(json_mark);
        if (*result.is_json) digits.remove_suffix(json_mark.size());
        constexpr int sixteen = 16;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), result.fingerprint, sixteen);
        if (error != std::errc() || end != digits.data() + digits.size()) result.fingerprint = 0;
    }
    if (natsMsgHeader_Get(message, schema_header, &text) == NATS_OK && text != nullptr) result.schema = text;
    return result;
}

std::optional<std::string> schema_of_stream(const nats_connection& on, const stream_look& stream,
                                            const std::string& subject) {
    if (stream.schema) return stream.schema;
    if (stream.state.value("messages", std::uint64_t{0}) == 0) return std::nullopt;
    const jetstream_context js(on);
    natsMsg* found = nullptr;
    const natsStatus status =
        subject.empty() ? js_GetMsg(&found, js.context, stream.name.c_str(),
                                    stream.state.value("first_seq", std::uint64_t{1}), nullptr, nullptr)
                        : js_GetLastMsg(&found, js.context, stream.name.c_str(), subject.c_str(), nullptr, nullptr);
    const nats_owned<natsMsg> owned(found);
    if (status != NATS_OK) return std::nullopt;  // it has gone; or this user may not look
    std::string text = type_of_message(found).schema;
    return text.empty() ? std::nullopt : std::optional(std::move(text));
}

void check_stream_type(const std::string& stream, const std::string& schema, const std::string& queue,
                       const promisqs::element_type& type) {
    promisqs::element_type found;
    try {
        found = promisqs::parse_element_type(schema);
    } catch (const promisqs::schema_error& error) {
        throw nats_problem(fmt::format("stream \"{}\" has a schema that can't be read: {}", printable(stream),
                                       printable(error.what())),
                           exit_code::wrong_use);
    }
    const auto as_schema = [](const promisqs::element_type& of) {
        return promisqs::schema{of.text, of.fingerprint, of.name_fingerprint};
    };
    if (found.size == type.size && promisqs::compatible(as_schema(found), as_schema(type))) return;
    throw nats_problem(
        fmt::format("stream \"{}\" holds messages of another type than queue \"{}\". The queue's: {}. The "
                    "stream's: {}. Take another stream, or another queue",
                    printable(stream), printable(queue), shown(type), shown(found)),
        exit_code::wrong_use);
}

namespace {

std::vector<std::string_view> tokens_of(std::string_view subject) {
    std::vector<std::string_view> all;
    for (;;) {
        const std::size_t end = std::min(subject.find('.'), subject.size());
        all.push_back(subject.substr(0, end));
        if (end == subject.size()) return all;
        subject.remove_prefix(end + 1);
    }
}

bool matches(std::string_view pattern, std::string_view subject) {
    const auto wanted = tokens_of(pattern);
    const auto found = tokens_of(subject);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (wanted[i] == ">") return found.size() > i;
        if (i >= found.size() || (wanted[i] != "*" && wanted[i] != found[i])) return false;
    }
    return wanted.size() == found.size();
}

void check_subject(const std::string& subject) {
    const auto tokens = tokens_of(subject);
    const bool is_wrong = std::any_of(tokens.begin(), tokens.end(), [](const std::string_view one) {
        return one.empty() || one == "*" || one == ">" || one.find_first_of(" \t\r\n") != std::string_view::npos;
    });
    if (is_wrong)
        throw nats_problem(
            fmt::format("expected a subject such as orders.new for --subject, without * and >, found \"{}\"",
                        printable(subject)),
            exit_code::wrong_use);
    // A server reads lines of 4096 bytes at most, unless it is set up otherwise. The answer's subject is in the same line.
    constexpr std::size_t longest = 3900;
    if (subject.size() > longest)
        throw nats_problem(
            fmt::format("expected a subject of at most {} bytes for --subject, found {}", longest, subject.size()),
            exit_code::wrong_use);
}

void check_takes(const stream_look& stream, const out_options& wanted) {
    const std::string name = printable(stream.name);
    std::string all;
    bool is_taken = false;
    if (const auto subjects = stream.config.find("subjects"); subjects != stream.config.end()) {
        for (const json& one : *subjects) {
            if (!one.is_string()) continue;
            const auto pattern = one.get<std::string>();
            is_taken = is_taken || matches(pattern, wanted.subject);
            all += (all.empty() ? "" : ", ") + printable(pattern);
        }
    }
    if (!is_taken)
        throw nats_problem(fmt::format("stream \"{}\" does not take messages on subject \"{}\"; it takes: {}", name,
                                       printable(wanted.subject), all.empty() ? "none" : all),
                           exit_code::wrong_use);
    if (stream.config.value("no_ack", false))
        throw nats_problem(fmt::format("stream \"{}\" acknowledges nothing (no_ack), so no message can leave the queue "
                                       "for it. Switch acknowledging on",
                                       name),
                           exit_code::wrong_use);
    if (stream.config.value("sealed", false))
        throw nats_problem(fmt::format("stream \"{}\" is sealed: it takes no more messages", name),
                           exit_code::wrong_use);
}

void check_size(const nats_connection& on, const stream_look& stream, const out_options& wanted,
                const promisqs::element_type& type) {
    if (wanted.format != message_format::binary) return;
    constexpr std::uint64_t headers = 256;  // bytes, and a little more
    const std::uint64_t needed = type.size + headers;
    const auto most_of_stream = stream.config.value("max_msg_size", std::int64_t{-1});
    const auto refuse = [&](const std::string& who, std::int64_t most, const char* setting) {
        throw nats_problem(fmt::format("{} takes messages of at most {} bytes, and those of queue \"{}\" have {}, and "
                                       "some {} of headers. Raise its {}",
                                       who, most, printable(wanted.queue), type.size, headers, setting),
                           exit_code::wrong_use);
    };
    if (needed > static_cast<std::uint64_t>(on.most_payload())) refuse("the server", on.most_payload(), "max_payload");
    if (most_of_stream >= 0 && needed > static_cast<std::uint64_t>(most_of_stream))
        refuse(fmt::format("stream \"{}\"", printable(stream.name)), most_of_stream, "max_msg_size");
}

// Puts the schema text wherever there is room for it, and nothing else.
void describe(json& config, const std::string& schema) {
    constexpr std::size_t most_description = 4096;
    constexpr std::size_t most_metadata = std::size_t{1} << 16;
    const std::string text = std::string(description_begin) + schema;
    if (text_in(config, "description").empty() && text.size() <= most_description) config["description"] = text;
    if (schema.size() <= most_metadata) config["metadata"][metadata_key] = schema;
}

json config_of_new(const out_options& wanted, const std::string& schema) {
    constexpr double nanoseconds = 1e9;
    const auto time = [](double seconds) { return static_cast<std::int64_t>(std::min(seconds * nanoseconds, 9e18)); };
    json config{{"name", wanted.stream},
                {"subjects", json::array({wanted.subject})},
                {"retention", "limits"},
                {"storage", "file"},
                {"discard", "new"},
                {"max_consumers", -1},
                {"max_msgs", static_cast<std::int64_t>(wanted.created.messages.value_or(0))},
                {"max_bytes", static_cast<std::int64_t>(wanted.created.bytes.value_or(0))},
                {"max_age", time(wanted.created.age.value_or(0))},
                {"num_replicas", wanted.created.replicas.value_or(1)}};
    for (const char* const limit : {"max_msgs", "max_bytes"}) {
        if (config[limit] == 0) config[limit] = -1;
    }
    if (wanted.created.duplicate_window) config["duplicate_window"] = time(*wanted.created.duplicate_window);
    describe(config, schema);
    return config;
}

stream_look look_or_create(const nats_connection& on, const out_options& wanted, const std::string& schema) {
    try {
        return look_at_stream(on, wanted.stream);
    } catch (const jetstream_error& error) {
        if (error.error() != JSStreamNotFoundErr || !wanted.create) throw;
    }
    try {
        static_cast<void>(on.ask("STREAM.CREATE." + wanted.stream, config_of_new(wanted, schema)));
    } catch (const jetstream_error& error) {
        if (error.error() != JSStreamNameExistErr) throw;  // another bridge has been quicker
    }
    return look_at_stream(on, wanted.stream);
}

// Whether the stream carries the text now.
bool write_into(const nats_connection& on, const stream_look& stream, const std::string& schema) {
    json config = stream.config;
    describe(config, schema);
    if (config == stream.config) return false;
    try {
        const json answer = on.ask("STREAM.UPDATE." + stream.name, config);
        const auto updated = answer.find("config");
        return updated != answer.end() && updated->is_object() && schema_in(*updated) == schema;
    } catch (const nats_problem&) {  // this user may not do that
        return false;
    }
}

}  // namespace

std::string prepare_stream(const nats_connection& on, const out_options& wanted, const promisqs::element_type& type) {
    check_subject(wanted.subject);
    const stream_look stream = look_or_create(on, wanted, type.text);
    check_takes(stream, wanted);
    check_size(on, stream, wanted, type);
    if (const auto found = schema_of_stream(on, stream, wanted.subject))
        check_stream_type(stream.name, *found, wanted.queue, type);
    if (stream.schema || write_into(on, stream, type.text)) return "";
    constexpr std::size_t most_header = std::size_t{1} << 14;
    return type.text.size() <= most_header ? type.text : "";
}

}  // namespace promisqs_tool
