// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/delivery_table.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace promisqs_tool {

// The subject to which a message of a consumer is to be acknowledged tells which message that is:
// "$JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQUENCE.CONSUMER_SEQUENCE.TIMESTAMP.PENDING", in later servers with a domain and
// an account's hash before the stream, and more behind the rest.

/// \return  nothing: it is no such subject
[[nodiscard]] std::optional<delivery> delivery_of_ack(std::string_view subject);

/// The subject of a delivery, for a server that has made none of the longer form.
[[nodiscard]] std::string ack_subject_of(std::string_view stream, std::string_view consumer, const delivery& of);

}  // namespace promisqs_tool
