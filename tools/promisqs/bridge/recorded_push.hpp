// SPDX-License-Identifier: Apache-2.0
#pragma once

// Pushing messages of a stream, so that a bridge that is killed leaves word of which ones are in the queue.

#include "bridge/bridge_record.hpp"

#include <promisqs/status.hpp>
#include <promisqs/untyped_queue.hpp>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <stop_token>

namespace promisqs_tool {

/// To be called before the first push, and now and then while nothing is being pushed. Each tombstone that another
/// producer leaves between this and a kill in the middle of a push makes that push look as if it had failed.
void note_tally(promisqs::untyped_queue& queue, const bridge_record& record);

/// Pushes a message that is held in the record, waiting for room.
///
/// \return  as `push_wait_with_for`
/// \par If killed
///   the record says `held`, and the message is not in the queue; or `pushed`, and it is; or `pushing`, of which
///   `settle_pushes` makes one of the others
inline promisqs::status push_recorded(promisqs::untyped_queue& queue, const bridge_record& record,
                                      delivery_table::place at, std::span<const std::byte> message,
                                      std::chrono::nanoseconds timeout, const std::stop_token& stop) {
    delivery_table table = record.table();
    // In the callable there is a claim. If this process is killed, that becomes a tombstone, which is counted, or
    // the message is in the queue, and no tombstone is made.
    const promisqs::status result = queue.push_wait_with_for(
        [&](std::span<std::byte> room) {
            table.set(at, delivery_state::pushing);
            std::memcpy(room.data(), message.data(), room.size());
        },
        timeout, stop);
    if (result == promisqs::status::ok) table.set(at, delivery_state::pushed);
    return result;
}

/// Recovers until no dead participant is left.
///
/// \return  false: after so long a time, one is left, as a participant that is stopped may be in the way
[[nodiscard]] bool recover_all(promisqs::untyped_queue& queue, std::chrono::milliseconds patience);

/// Finds out what has become of the pushes of a dead bridge.
///
/// \pre  this process owns the record
/// \return  how many messages may be in the queue though they are now `held`
[[nodiscard]] std::uint64_t settle_pushes(promisqs::untyped_queue& queue, const record_file& left,
                                          std::chrono::milliseconds patience);

}  // namespace promisqs_tool
