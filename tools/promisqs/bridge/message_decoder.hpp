// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/bridge_options.hpp"
#include "bridge/nats_connection.hpp"
#include "codec/json_reader.hpp"
#include "participate/joined_queue.hpp"

#include <promisqs/element.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace promisqs_tool {

/// Makes messages for the queue of those of a stream.
class message_decoder {
public:
    /// \throws failure  JSON can't be read, as the queue's schema is of no use
    message_decoder(joined_queue& to, const in_options& wanted);

    /// \return         valid until the next call, or the message's end
    /// \throws misfit  it does not fit the queue's type: why
    [[nodiscard]] std::span<const std::byte> decode(natsMsg* message);

private:
    void check_type(natsMsg* message) const;

    bool is_json_;
    promisqs::element_type type_;
    json_reader reader_;
    std::vector<std::byte> room_;
};

}  // namespace promisqs_tool
