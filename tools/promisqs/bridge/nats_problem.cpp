// SPDX-License-Identifier: Apache-2.0

#include "bridge/nats_problem.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <new>
#include <string_view>

namespace promisqs_tool {

namespace {

// The library keeps it for each thread.
std::string last_error(natsStatus status) { return explain(status, nats_GetLastError(nullptr)); }

struct jetstream_answer {
    int code;
    exit_code ends_with;
    bool passes;
    const char* advice;
};

constexpr std::array known_answers{
    jetstream_answer{JSStreamNotFoundErr, exit_code::no_such_queue, false,
                     ". Make it first: promisqs bridge out … --create-stream, or nats stream add"},
    jetstream_answer{JSConsumerFilterNotSubsetErr, exit_code::wrong_use, false,
                     ". Choose a subject of the stream for --subject, or leave it out"},
    jetstream_answer{JSNotEnabledForAccountErr, exit_code::broken, false,
                     ". Enable JetStream for this account in the server's configuration"},
    jetstream_answer{JSNotEnabledErr, exit_code::broken, false, ". Start the server with JetStream: nats-server -js"},
    jetstream_answer{JSClusterNotAvailErr, exit_code::broken, true, ""},
    jetstream_answer{JSClusterNotLeaderErr, exit_code::broken, true, ""},
    jetstream_answer{JSClusterNotActiveErr, exit_code::broken, true, ""},
    jetstream_answer{JSClusterIncompleteErr, exit_code::broken, true, ""},
    jetstream_answer{JSStreamOfflineErr, exit_code::broken, true, ""},
    jetstream_answer{JSConsumerOfflineErr, exit_code::broken, true, ""},
    jetstream_answer{JSTempStorageFailedErr, exit_code::broken, true, ""},
};

[[noreturn]] void raise_answer(const std::string& name, const json& error) {
    const int code = error.value("err_code", 0);
    const std::string text = printable(error.value("description", std::string("no reason given")));
    const auto* const known =
        std::find_if(known_answers.begin(), known_answers.end(), [&](const auto& one) { return one.code == code; });
    const bool is_known = known != known_answers.end();
    throw jetstream_error(fmt::format("JetStream refuses {}: {} (error {}){}", printable(name), text, code,
                                      is_known ? known->advice : ""),
                          is_known ? known->ends_with : exit_code::broken, code, is_known && known->passes);
}

}  // namespace

std::string explain(natsStatus status, const char* more) {
    std::string_view text = more == nullptr ? "" : more;
    if (const std::size_t end = text.find("): "); text.starts_with('(') && end != text.npos)
        text.remove_prefix(end + 3);
    const std::string_view name = natsStatus_GetText(status);
    return text.empty() || text == name ? printable(name) : printable(fmt::format("{} ({})", name, text));
}

void raise_connecting(natsStatus status, const std::string& urls) {
    const std::string why = last_error(status);
    switch (status) {
        case NATS_CONNECTION_AUTH_FAILED:
        case NATS_NOT_PERMITTED:
            throw nats_problem(fmt::format("{} refuses these credentials: {}. Check --creds, --nkey, --user, or "
                                           "--token-file",
                                           urls, why),
                               exit_code::not_allowed);
        case NATS_SSL_ERROR:
            throw nats_problem(
                fmt::format("no encrypted connection to {}: {}. Check --tls-ca, --tls-cert and --tls-key", urls, why),
                exit_code::not_allowed);
        case NATS_SECURE_CONNECTION_WANTED:
            throw nats_problem(
                fmt::format("{} does not encrypt: {}. Leave --tls out, or set the server up for TLS", urls, why),
                exit_code::broken);
        case NATS_SECURE_CONNECTION_REQUIRED:
            throw nats_problem(fmt::format("{} wants an encrypted connection: {}. Add --tls", urls, why),
                               exit_code::broken);
        case NATS_ADDRESS_MISSING:
        case NATS_INVALID_ARG:
            throw nats_problem(
                fmt::format("expected addresses such as nats://host:4222 for --url, found {} ({})", urls, why),
                exit_code::wrong_use);
        default: throw nats_problem(fmt::format("no server can be reached at {}: {}", urls, why));
    }
}

json checked_answer(const std::string& name, const natsMsg* answer) {
    const std::string_view text(natsMsg_GetData(answer), static_cast<std::size_t>(natsMsg_GetDataLength(answer)));
    json result = json::parse(text, nullptr, false);
    if (!result.is_object())
        throw nats_problem(fmt::format("the server's answer to {} is no JSON object", printable(name)),
                           exit_code::broken);
    const auto error = result.find("error");
    if (error != result.end() && error->is_object()) {
        try {
            raise_answer(name, *error);
        } catch (const json::exception&) {
            throw nats_problem(fmt::format("the server's answer to {} is an error of an unknown form", printable(name)),
                               exit_code::broken);
        }
    }
    return result;
}

void check(natsStatus status, const std::string& what) {
    if (status == NATS_OK) return;
    const std::string text = fmt::format("could not {}: {}", what, last_error(status));
    switch (status) {
        case NATS_INVALID_SUBJECT:
        case NATS_INVALID_ARG:
        case NATS_MAX_PAYLOAD: throw nats_problem(text, exit_code::wrong_use);
        case NATS_NOT_PERMITTED: throw nats_problem(text, exit_code::not_allowed);
        case NATS_NO_MEMORY: throw std::bad_alloc();
        default: throw nats_problem(text);
    }
}

}  // namespace promisqs_tool
