// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/server_options.hpp"
#include "system/exit_code.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace promisqs_tool {

/// How messages look in a stream.
enum class message_format : std::uint8_t {
    binary,  ///< the element's bytes
    json     ///< as `promisqs pop` writes them
};

/// What both directions are told.
struct bridge_options {
    std::string queue;
    std::string stream;
    server_options server;
    message_format format = message_format::binary;
    std::uint32_t window = 1024;  ///< messages that are not acknowledged yet, at most
    bool once = false;            ///< end when there is nothing more
};

/// A stream that is to be made, if there is none. What is not given is the server's default.
struct new_stream {
    std::optional<std::uint64_t> messages;   ///< at most
    std::optional<std::uint64_t> bytes;      ///< at most
    std::optional<double> age;               ///< seconds
    std::optional<double> duplicate_window;  ///< seconds
    std::optional<std::uint32_t> replicas;
};

struct out_options : bridge_options {
    std::string subject;
    bool create = false;
    new_stream created;
};

struct in_options : bridge_options {
    std::string consumer;                   ///< a durable one
    std::string subject;                    ///< of the messages that the consumer is to get; empty: all
    std::optional<std::uint64_t> capacity;  ///< of a queue that is to be made, if there is none
    bool skip_invalid = false;              ///< messages that do not fit are given up
    double ack_wait = 5;                    ///< seconds; of a consumer that is to be made
};

/// From a queue into a stream, until interrupted.
exit_code run_bridge_out(const out_options& wanted);
/// From a stream into a queue, until interrupted.
exit_code run_bridge_in(const in_options& wanted);

}  // namespace promisqs_tool
