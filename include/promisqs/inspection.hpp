// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

#include <promisqs/options.hpp>
#include <promisqs/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs {

/// What an object with a queue's name is found to be.
enum class queue_state {
    in_use,        ///< a queue, and a process that is alive, or stopped, has it open
    abandoned,     ///< a queue that no process has open: its users were killed, or it was to be kept
    closed,        ///< a queue that has been closed, whether a process has it open or not
    unfinished,    ///< being built; or what is left of a queue: its creator died, or its last user could not remove it
    other_layout,  ///< a queue of another layout version; nothing more can be said of it
    corrupt,       ///< it begins like a queue, and a field holds an impossible value
    not_a_queue    ///< something else
};

/// The name of a state, as written above.
constexpr std::string_view to_string(queue_state value) noexcept {
    switch (value) {
        case queue_state::in_use: return "in_use";
        case queue_state::abandoned: return "abandoned";
        case queue_state::closed: return "closed";
        case queue_state::unfinished: return "unfinished";
        case queue_state::other_layout: return "other_layout";
        case queue_state::corrupt: return "corrupt";
        case queue_state::not_a_queue: return "not_a_queue";
    }
    return "unknown";
}

/// What a look at an object has found.
struct queue_finding {
    queue_state state;
    bool used;         ///< a process, alive but perhaps stopped, has it open
    bool locked;       ///< a process, alive but perhaps stopped, is building it, ending it, or removing its name
    std::string what;  ///< what was found, in a sentence
    // Of the file, whatever it is; 0 of what is no file:
    std::uint64_t file_size;    ///< bytes
    std::uint32_t owner;        ///< the user id that it belongs to
    std::uint32_t permissions;  ///< as in `options::permissions`
};

/// What the header of a queue, and its file, say. Other processes have written it: it may be wrong, but none of its
/// numbers leads outside the file.
struct queue_facts {
    std::uint64_t capacity;           ///< messages
    std::uint64_t element_size;       ///< bytes
    std::uint64_t element_alignment;  ///< bytes
    std::uint64_t slot_stride;        ///< bytes from one slot to the next
    std::uint64_t payload_offset;     ///< bytes from the beginning of a slot to its element
    std::uint64_t stamp_offset;       ///< bytes from the beginning of a slot to its stamp
    std::uint64_t slots_offset;       ///< bytes from the beginning of the file to the first slot
    std::uint64_t segment_size;       ///< bytes in all
    std::uint32_t layout_version;
    std::string schema;  ///< as it is stored; up to 1 MiB, of any bytes
    std::uint64_t schema_fingerprint;
    std::uint64_t name_fingerprint;
    options created_with;  ///< all but `memory`, `abandoned` and `strict`, which concern processes
    std::chrono::system_clock::time_point created_at;
    std::uint32_t creator;  ///< its pid, in its own namespace
    std::uint32_t owner;    ///< the user id that the file belongs to
};

/// Messages in a row that a participant has claimed, and not yet published or released.
struct held_messages {
    std::uint64_t first;                ///< the number of the first one
    std::uint64_t count;                ///< how many
    std::chrono::nanoseconds at_least;  ///< for how long, as far as this inspector, or a participant, has seen it
};

/// A participant: a thread that uses a queue through a handle.
struct participant_look {
    participant_stats who;
    std::uint32_t entry;                ///< its place in the participant table
    std::uint64_t process;              ///< a number that the participants of one process have in common; 0: unknown
    bool sole_producer;                 ///< it holds that role; see `options::single_producer`
    bool sole_consumer;                 ///< the same
    std::optional<held_messages> push;  ///< what it is in the middle of pushing, perhaps
    std::optional<held_messages> pop;   ///< what it is in the middle of popping, perhaps
    /// The number of the message that it pushed last, of a batch the first one: it is a producer. Nothing: it has
    /// pushed none, or has just lost a place to another producer.
    std::optional<std::uint64_t> last_push;
    std::optional<std::uint64_t> last_pop;  ///< the same for popping: it is a consumer
};

/// What has become of a message that is in a queue.
enum class message_state {
    ready,         ///< it waits for a consumer
    pushing,       ///< its producer is in the middle of its push, or dead
    tombstone,     ///< there is none, and none will come: its producer died, or threw
    to_redeliver,  ///< its consumer died, or requeued it, and it waits for another one
    popping        ///< a consumer is in the middle of popping it
};

/// A copy of a message that is in a queue.
struct waiting_message {
    std::uint64_t number;  ///< counted from the first message of the queue, which is number 0
    message_state state;
    std::uint32_t deaths;          ///< how many consumers have died with it
    std::uint32_t requeues;        ///< how often it was requeued since then; one counts as 2
    std::vector<std::byte> bytes;  ///< the message, whole; nothing if it is a tombstone, or not pushed yet
};

/// Where a tap begins.
enum class tap_start {
    now,             ///< with the next message that is pushed
    oldest_waiting,  ///< with the oldest that no consumer has claimed
    oldest_left      ///< with the oldest that has not been overwritten, popped or not: up to a whole lap back
};

/// What a tap has come upon.
enum class tap_event {
    message,  ///< a message, whole
    missed,   ///< messages that were overwritten before they could be copied; or, rarely, that may have been none
    nothing,  ///< nothing, for now
    ended,    ///< the queue was closed, and all its messages have been shown
    lost      ///< the file was cut short, or started over, or its counters hold impossible values: open another tap
};

struct tapped {
    tap_event event;
    std::uint64_t number;              ///< of the message; of the first one that was missed
    std::uint64_t count;               ///< how many were missed
    std::span<const std::byte> bytes;  ///< the message, until the next call; aligned to 8 bytes
};

/// An object that is a queue, or begins like one.
struct listed_queue {
    std::string name;
    queue_state state;  ///< anything but `not_a_queue`
};

}  // namespace promisqs
