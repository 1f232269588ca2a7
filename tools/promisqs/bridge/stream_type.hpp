// SPDX-License-Identifier: Apache-2.0
#pragma once

// The type of messages, as it travels with them: in the stream's metadata or description, or in each message.

#include "bridge/bridge_options.hpp"
#include "bridge/nats_connection.hpp"
#include "text/json.hpp"

#include <promisqs/element.hpp>
#include <promisqs/untyped_queue.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// The fingerprint of a message's schema, in 16 hexadecimal digits; zeroes: unknown. Behind it, " json", if the message
/// is JSON, and not the element's bytes.
inline constexpr const char* type_header = "Promisqs-Type";
inline constexpr std::string_view json_mark = " json";
/// The text of its schema, where the stream does not carry it.
inline constexpr const char* schema_header = "Promisqs-Schema";

/// A stream, as its server describes it.
struct stream_look {
    std::string name;
    json config;
    json state;
    std::optional<std::string> schema;  ///< the text that it carries
    std::string created = {};           ///< when it was made, as the server writes times; exact, also after restarts
};

/// \throws nats_problem  there is none; or as `nats_connection::ask`
[[nodiscard]] stream_look look_at_stream(const nats_connection& on, const std::string& stream);

/// The type of a queue's messages, for others to read. It is opaque if what the queue says of it is of no use.
[[nodiscard]] promisqs::element_type type_of_queue(const promisqs::untyped_queue& queue);

/// What a message says of its type.
struct message_type {
    std::uint64_t fingerprint = 0;  ///< 0: unknown
    std::string schema;             ///< empty: it has none
    std::optional<bool> is_json;    ///< nothing: it says nothing of its type
};
[[nodiscard]] message_type type_of_message(natsMsg* message);

/// The schema text of a stream's messages: the stream's, or else that of a message in it.
///
/// \param subject  of the message, which is the last one; empty: the stream's first message is taken
/// \return         nothing: neither has one
[[nodiscard]] std::optional<std::string> schema_of_stream(const nats_connection& on, const stream_look& stream,
                                                          const std::string& subject);

/// \throws nats_problem  messages of the schema text are of another type than the queue's; it shows both
void check_stream_type(const std::string& stream, const std::string& schema, const std::string& queue,
                       const promisqs::element_type& type);

/// Makes sure that a stream is there that takes messages of this type on this subject. Makes it, if that is wanted, and
/// writes the type into it, if it has none.
///
/// \return  the schema text that each message has to carry, as the stream can't; empty: none
/// \throws nats_problem  there is no such stream
[[nodiscard]] std::string prepare_stream(const nats_connection& on, const out_options& wanted,
                                         const promisqs::element_type& type);

}  // namespace promisqs_tool
