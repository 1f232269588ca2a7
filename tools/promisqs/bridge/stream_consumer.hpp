// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/bridge_options.hpp"
#include "bridge/nats_connection.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace promisqs_tool {

/// Up to where all messages of a consumer are acknowledged.
struct ack_floor {
    std::uint64_t sequence = 0;  ///< of the stream; 0: none is
    std::int64_t time = 0;       ///< when the last one was, in nanoseconds of Unix time
};
/// \param info  what the server says of a consumer
[[nodiscard]] ack_floor floor_in(const json& info);
/// How many messages it has delivered that are not acknowledged.
[[nodiscard]] std::uint64_t pending_in(const json& info);

/// A durable pull consumer of a stream, and what a bridge has to know of it.
struct stream_consumer {
    std::string stream;
    std::string name;
    std::int64_t stream_created;        ///< when, in nanoseconds of Unix time
    std::int64_t created;               ///< the same of the consumer
    std::chrono::nanoseconds ack_wait;  ///< a message that is not acknowledged for so long is delivered again
    std::uint64_t window;               ///< at most so many messages can be unacknowledged
    std::uint64_t batch;                ///< at most so many can be asked for at once
    std::chrono::nanoseconds expires;   ///< a request for messages can wait for so long
    ack_floor floor;
};

/// Looks for the consumer, and makes it if there is none.
///
/// \param stream_created  when its stream was made, as the server writes times
/// \param message_size    about, in bytes
/// \throws nats_problem      there is no such stream; or the consumer is of another kind
/// \throws nats_interrupted
[[nodiscard]] stream_consumer find_consumer(const nats_connection& on, const in_options& wanted,
                                            const std::string& stream_created, std::uint64_t message_size);

/// Whether that is another consumer of the same name: it was made again.
///
/// \param info  what the server says of it
[[nodiscard]] bool is_another(const json& info, const stream_consumer& than);

/// What to ask JetStream's interface for what it says of the consumer.
[[nodiscard]] std::string info_request(const stream_consumer& of);

/// Whether the consumer has delivered all messages, and each is acknowledged.
///
/// \throws  as `find_consumer`
[[nodiscard]] bool is_drained(const nats_connection& on, const stream_consumer& of);

}  // namespace promisqs_tool
