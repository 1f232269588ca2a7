// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace promisqs {

/// What `recover` found and did.
struct recovery_report {
    std::uint32_t participants_removed = 0;   ///< entries of dead participants that can be used again
    std::uint64_t tombstones = 0;             ///< places of messages whose producer died before they were complete
    std::uint64_t messages_to_redeliver = 0;  ///< whose consumer died with them in its hands
    std::uint64_t messages_dropped = 0;       ///< that have cost as many consumers as `options::max_deaths` says
    std::uint32_t postponed = 0;         ///< dead participants' entries: somebody alive may own the ticket they were at
    bool in_progress_elsewhere = false;  ///< somebody else was at it, so nothing was done here
};

/// Somebody who uses a queue: a thread, and a handle of it.
struct participant_stats {
    std::uint32_t process;                        ///< pid, in its own namespace
    std::uint32_t thread;                         ///< tid, likewise
    std::chrono::system_clock::time_point since;  ///< when it first pushed or popped
    bool alive;                                   ///< false: to be taken off by the next recovery
    std::optional<std::uint64_t> pushing;  ///< the number of the message that it is (perhaps) in the middle of pushing
    std::optional<std::uint64_t> popping;  ///< likewise of popping; the first message of a queue is number 0
};

/// A position at which others wait.
struct stall {
    std::uint64_t message;                ///< its number
    std::chrono::nanoseconds at_least;    ///< for how long, since somebody first found it held
    std::optional<participant_stats> by;  ///< who may hold it
};

/// A look at a queue, taken while others work: each figure is right for an instant, not all for the same one.
struct queue_stats {
    std::uint64_t size;
    std::uint64_t capacity;
    std::uint64_t pushed;  ///< messages ever pushed; those in the middle of it are counted
    std::uint64_t
        /// Messages ever popped; likewise, and until it comes back, one whose consumer died. Not those dropped
        popped;
    std::uint64_t
        tombstones;  ///< places given up, because their producer died or threw; a recoverer that dies may fail to count
    std::uint64_t
        /// Deaths of consumers with a message in their hands, but for those that had it dropped; likewise
        redelivered;
    std::uint64_t dropped;  ///< messages that cost too many consumers; likewise
    bool closed;
    /// Somebody is settling what the dead have left. If that does not end, it was stopped in the middle of it, and
    /// nobody else can.
    bool being_recovered;
    std::vector<participant_stats> participants;
    std::optional<stall> head;  ///< where pops wait for a producer
    std::optional<stall> tail;  ///< where pushes wait for a consumer
};

}  // namespace promisqs
