// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace promisqs {

/// What `recover` found and did.
struct recovery_report {
    std::uint32_t participants_removed = 0;   ///< entries of dead participants that can be used again
    std::uint64_t tombstones = 0;             ///< places of messages whose producer died before they were complete
    std::uint64_t messages_to_redeliver = 0;  ///< messages whose consumer died holding them
    std::uint64_t messages_dropped = 0;       ///< poison messages: they have killed `options::max_deaths` consumers
    std::uint32_t postponed = 0;         ///< entries of dead participants at whose ticket a live one may be at work
    bool in_progress_elsewhere = false;  ///< another thread or process is recovering, so this call did nothing
};

/// A participant: a thread that uses a queue through a handle; or a process, for messages that it holds
/// (`claimed_messages`).
struct participant_stats {
    std::uint32_t process;                        ///< its pid, in its own namespace
    std::uint32_t thread;                         ///< its tid, in its own namespace; 0: it is no thread
    std::chrono::system_clock::time_point since;  ///< when it first pushed or popped
    bool alive;                                   ///< false: the next recovery removes it
    std::optional<std::uint64_t> pushing;         ///< the number of the message that it may be in the middle of pushing
    std::optional<std::uint64_t> popping;         ///< the same for popping. The first message of a queue is number 0
};

/// A position at which other participants wait.
struct stall {
    std::uint64_t message;                ///< the number of its message
    std::chrono::nanoseconds at_least;    ///< how long ago a participant first found it stalled
    std::optional<participant_stats> by;  ///< a participant that may hold it
};

/// A look at a queue, taken while others work: each figure is right for an instant, not all for the same one. A
/// recovery that is killed may fail to count `redelivered` and `dropped`, and may count a tombstone twice.
struct queue_stats {
    std::uint64_t size;
    std::uint64_t capacity;
    /// Messages ever pushed. A push in progress counts.
    std::uint64_t pushed;
    /// Messages ever popped, without those dropped. A pop in progress counts. So does a message whose consumer died,
    /// until a recovery has found it.
    std::uint64_t popped;
    /// Places given up, because their producer died or threw. Counted before it is done: if this has not changed, no
    /// push was given up.
    std::uint64_t tombstones;
    std::uint64_t redelivered;  ///< messages given back, because their consumer died holding them
    std::uint64_t dropped;      ///< poison messages
    bool closed;
    /// A process is recovering what the dead have left. If this stays true, that process was stopped in the middle of
    /// it, and no other can recover.
    bool being_recovered;
    std::vector<participant_stats> participants;
    std::optional<stall> head;  ///< where pops wait for a producer
    std::optional<stall> tail;  ///< where pushes wait for a consumer
};

}  // namespace promisqs
