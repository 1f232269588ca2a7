// SPDX-License-Identifier: Apache-2.0
#pragma once

// The shared bytes. docs/layout.md describes them for readers in other languages. A change of any byte raises `version`
// and is written down in CHANGELOG.md. The assertions below each struct are the byte map: how far each field is from
// the beginning of the object, or of its entry.

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace promisqs::detail::layout {

static_assert(std::endian::native == std::endian::little, "the shared layout is little-endian");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(std::atomic<std::uint64_t>) == 8,
              "64-bit atomics must be plain, lock-free words, because other processes share them");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4,
              "32-bit atomics must be plain, lock-free words, because other processes share them");

inline constexpr std::uint64_t magic = 0x5153'494D'4F52'5089;    // the bytes 89 'P' 'R' 'O' 'M' 'I' 'S' 'Q'
inline constexpr std::uint64_t unfinished_magic = magic ^ 0xFF;  // until the creator is done: 76 'P' 'R' 'O' …
inline constexpr std::uint32_t version = 4;
inline constexpr std::uint64_t max_alignment = 4096;
inline constexpr std::uint64_t max_capacity = std::uint64_t{1} << 32;
inline constexpr std::uint32_t max_participants = 65536;
inline constexpr std::uint32_t most_deaths = 7;      // the largest number of deaths that a stamp can count
inline constexpr std::uint32_t single_producer = 1;  // bits of `single_roles`
inline constexpr std::uint32_t single_consumer = 2;
inline constexpr std::uint64_t max_schema_size = std::uint64_t{1} << 20;
inline constexpr std::uint64_t max_segment_size = std::uint64_t{1} << 47;
/// The distance of two fields that different cores write: a cache line and its neighbour, fetched along with it.
inline constexpr std::size_t line = 128;

/// The header, without its magic. The creator writes it once.
struct alignas(8) header_fields {
    std::uint32_t layout_version;
    std::uint32_t lifetime;
    std::uint64_t element_size;
    std::uint64_t element_alignment;
    std::uint64_t capacity;
    std::uint64_t slot_stride;
    std::uint32_t payload_offset;
    std::uint32_t stamp_offset;
    std::uint64_t slots_offset;
    std::uint64_t participants_offset;
    std::uint32_t participant_count;
    std::uint32_t participant_stride;
    std::uint64_t schema_offset;
    std::uint64_t schema_size;
    std::uint64_t schema_fingerprint;
    std::uint64_t name_fingerprint;
    std::uint64_t segment_size;
    std::uint64_t created_at;   // nanoseconds since 1970, for people
    std::uint32_t creator_pid;  // for people
    std::uint32_t max_deaths;
    std::uint32_t single_roles;
    std::uint32_t zero;
};
struct alignas(8) header {
    std::atomic<std::uint64_t> magic;  // written last (release), read first (acquire)
    header_fields fields;
    std::uint64_t zero[14];
};
static_assert(offsetof(header, magic) == 0);
static_assert(offsetof(header, fields.layout_version) == 8);
static_assert(offsetof(header, fields.lifetime) == 12);
static_assert(offsetof(header, fields.element_size) == 16);
static_assert(offsetof(header, fields.element_alignment) == 24);
static_assert(offsetof(header, fields.capacity) == 32);
static_assert(offsetof(header, fields.slot_stride) == 40);
static_assert(offsetof(header, fields.payload_offset) == 48);
static_assert(offsetof(header, fields.stamp_offset) == 52);
static_assert(offsetof(header, fields.slots_offset) == 56);
static_assert(offsetof(header, fields.participants_offset) == 64);
static_assert(offsetof(header, fields.participant_count) == 72);
static_assert(offsetof(header, fields.participant_stride) == 76);
static_assert(offsetof(header, fields.schema_offset) == 80);
static_assert(offsetof(header, fields.schema_size) == 88);
static_assert(offsetof(header, fields.schema_fingerprint) == 96);
static_assert(offsetof(header, fields.name_fingerprint) == 104);
static_assert(offsetof(header, fields.segment_size) == 112);
static_assert(offsetof(header, fields.created_at) == 120);
static_assert(offsetof(header, fields.creator_pid) == 128);
static_assert(offsetof(header, fields.max_deaths) == 132);
static_assert(offsetof(header, fields.single_roles) == 136);
static_assert(offsetof(header, fields.zero) == 140);
static_assert(offsetof(header, zero) == 144);
static_assert(sizeof(header) == 256);

/// A position at which all participants of one role were found waiting for an operation of the other. For people.
struct stall_note {
    std::atomic<std::uint64_t> position;  // the number of its message, counted from 0, plus 1; 0: none
    std::atomic<std::uint64_t> since;     // when it was first found: nanoseconds of the steady clock
};
/// What the participants of one role sleep on.
struct alignas(line) wait_fields {
    std::atomic<std::uint32_t> word;  // see the flags below
    std::uint32_t zero;
    std::atomic<std::uint64_t> look_due;  // when a participant will look for the dead next: recovery_schedule.hpp
};
struct counters {
    alignas(line) std::atomic<std::uint64_t> tail;             // the next push ticket, and the closed bit
    alignas(line) std::atomic<std::uint64_t> head;             // the next pop ticket
    wait_fields consumers;                                     // consumers sleep here
    wait_fields producers;                                     // producers sleep here
    alignas(line) std::atomic<std::uint64_t> irregular_count;  // tombstones and orphans ever made
    std::atomic<std::uint64_t> irregular_cleared_at;           // the count up to which all of them are known to be gone
    alignas(line) std::atomic<std::uint64_t> tombstones;       // tallies, for people
    std::atomic<std::uint64_t> redelivered;
    std::atomic<std::uint64_t> dropped;
    stall_note head_stall;  // pops wait for a push
    stall_note tail_stall;  // pushes wait for a pop
    // Of a declared single role: the index of its holder's entry, plus 1; 0: nobody.
    alignas(line) std::atomic<std::uint32_t> sole_producer;
    std::atomic<std::uint32_t> sole_consumer;
    std::atomic<std::uint32_t> entries_used;  // no entry from this one on has ever been taken
    std::uint32_t zero_1;
    std::uint64_t zero[14];
};
/// What comes before the participants.
struct prefix {
    header head;
    counters words;
};
static_assert(offsetof(prefix, words.tail) == 256);
static_assert(offsetof(prefix, words.head) == 384);
static_assert(offsetof(prefix, words.consumers.word) == 512);
static_assert(offsetof(prefix, words.consumers.zero) == 516);
static_assert(offsetof(prefix, words.consumers.look_due) == 520);
static_assert(offsetof(prefix, words.producers.word) == 640);
static_assert(offsetof(prefix, words.producers.zero) == 644);
static_assert(offsetof(prefix, words.producers.look_due) == 648);
static_assert(offsetof(prefix, words.irregular_count) == 768);
static_assert(offsetof(prefix, words.irregular_cleared_at) == 776);
static_assert(offsetof(prefix, words.tombstones) == 896);
static_assert(offsetof(prefix, words.redelivered) == 904);
static_assert(offsetof(prefix, words.dropped) == 912);
static_assert(offsetof(prefix, words.head_stall.position) == 920);
static_assert(offsetof(prefix, words.head_stall.since) == 928);
static_assert(offsetof(prefix, words.tail_stall.position) == 936);
static_assert(offsetof(prefix, words.tail_stall.since) == 944);
static_assert(offsetof(prefix, words.sole_producer) == 1024);
static_assert(offsetof(prefix, words.sole_consumer) == 1028);
static_assert(offsetof(prefix, words.entries_used) == 1032);
static_assert(offsetof(prefix, words.zero_1) == 1036);
static_assert(offsetof(prefix, words.zero) == 1040);
static_assert(sizeof(prefix) == 1152);
inline constexpr std::size_t counters_offset = offsetof(prefix, words);
inline constexpr std::size_t participants_offset = sizeof(prefix);

/// An entry of the participant table. The first one begins at `participants_offset`.
struct alignas(line) participant {
    std::atomic<std::uint32_t> occupied;
    std::atomic<std::uint32_t> pid;  // for people
    std::atomic<std::uint32_t> tid;  // 0: it is of no thread; other numbers are for people
    std::uint32_t zero_1;
    std::atomic<std::uint64_t> registered_at;  // nanoseconds since 1970, for people
    std::atomic<std::uint64_t> process;        // a number that only entries of the same process have; 0: unknown
    std::atomic<std::uint64_t> push_intent;    // the ticket it is about to claim, or claimed last
    std::atomic<std::uint64_t> push_count;     // the number of tickets from there on
    std::atomic<std::uint64_t> pop_intent;
    std::atomic<std::uint64_t> pop_count;
};
static_assert(offsetof(participant, occupied) == 0);
static_assert(offsetof(participant, pid) == 4);
static_assert(offsetof(participant, tid) == 8);
static_assert(offsetof(participant, zero_1) == 12);
static_assert(offsetof(participant, registered_at) == 16);
static_assert(offsetof(participant, process) == 24);
static_assert(offsetof(participant, push_intent) == 32);
static_assert(offsetof(participant, push_count) == 40);
static_assert(offsetof(participant, pop_intent) == 48);
static_assert(offsetof(participant, pop_count) == 56);
static_assert(sizeof(participant) == 128);

// A wait word: four flags, and above them an epoch. The epoch changes when a participant is about to sleep, and when
// sleepers are woken.
inline constexpr std::uint32_t asleep = 1;    // a participant may sleep on this word
inline constexpr std::uint32_t closing = 2;   // consumers' word, with a single producer: the queue is being closed
inline constexpr std::uint32_t ended = 4;     // the same: the queue is known to be closed for good
inline constexpr std::uint32_t watching = 8;  // one may leave what it is woken for and sleep again: wake all
inline constexpr std::uint32_t epoch = 16;

// The low bits of `look_due`.
inline constexpr std::uint64_t vacant = 1;     // nobody sleeps until then in order to look
inline constexpr std::uint64_t deputy = 2;     // one that wakes up soon after, in case the keeper dies
inline constexpr std::uint64_t deputies = 30;  // how many of them
inline constexpr std::uint64_t most_deputies = 8;

/// An intent that announces nothing. No ticket has this value, because no index reaches the index mask.
inline constexpr std::uint64_t no_ticket = ~std::uint64_t{0};

// Bytes of the object's file that are locked (`F_OFD_SETLK`), never read or written. They lie beyond all data.
inline constexpr std::int64_t lock_base = std::int64_t{1} << 48;
inline constexpr std::int64_t initialising_byte = lock_base;  // exclusive: the object is created, or its name removed
inline constexpr std::int64_t users_byte = lock_base + 1;     // shared: one lock for each open handle
inline constexpr std::int64_t recovery_byte = lock_base + 2;  // exclusive: a recovery is in progress
inline constexpr std::int64_t participants_byte = lock_base + 16;  // plus i, exclusive: the owner of entry i is alive

// Not `std::min` and `std::max`: many programs have macros of these names, and <algorithm> takes long to compile.
constexpr std::uint64_t lesser(std::uint64_t a, std::uint64_t b) noexcept { return b < a ? b : a; }
constexpr std::uint64_t greater(std::uint64_t a, std::uint64_t b) noexcept { return a < b ? b : a; }

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
    return (value + unit - 1) / unit * unit;
}

// A slot is an element and an 8-byte stamp. A participant that waits looks at the stamp again and again, and the
// participant that it waits for writes the element first, the stamp last. So the stamp of a small element lies behind
// it: where the slot takes two lines, the look does not steal the line that is written first. docs/decisions/9-slots.md
// has the measurements.

/// Elements from this size on lie behind their stamp, on a 64-byte boundary: the copy is what costs then.
inline constexpr std::uint64_t large_element = 256;

/// Where the element lies in its slot, in bytes.
constexpr std::uint64_t payload_offset(std::uint64_t element_size, std::uint64_t element_alignment) noexcept {
    return element_size < large_element ? 0 : greater(64, element_alignment);
}

/// Where the stamp lies in its slot, in bytes.
constexpr std::uint64_t stamp_offset(std::uint64_t element_size) noexcept {
    return element_size < large_element ? round_up(element_size, 8) : 0;
}

/// The bytes from one slot to the next. Slots are packed: that makes a stream of them faster. But one that fits on a
/// line and would take most of it has the line to itself, and so has the beginning of a large one.
constexpr std::uint64_t slot_stride(std::uint64_t element_size, std::uint64_t element_alignment) noexcept {
    const bool is_packed = element_size <= 32 || (element_size > 56 && element_size < large_element);
    const std::uint64_t size =
        greater(stamp_offset(element_size) + 8, payload_offset(element_size, element_alignment) + element_size);
    return round_up(size, greater(is_packed ? 8 : 64, element_alignment));
}

/// Where the parts lie. It follows from what the creator asked for: an opener derives the same from the stored request,
/// and compares.
struct plan {
    std::uint64_t slot_stride;
    std::uint64_t payload_offset;
    std::uint64_t stamp_offset;
    std::uint64_t schema_offset;
    std::uint64_t slots_offset;
    std::uint64_t segment_size;  // 0: more than `max_segment_size`
};

constexpr plan make_plan(std::uint64_t element_size, std::uint64_t element_alignment, std::uint64_t capacity,
                         std::uint32_t participants, std::uint64_t schema_size) noexcept {
    plan result{};
    result.slot_stride = slot_stride(element_size, element_alignment);
    result.payload_offset = payload_offset(element_size, element_alignment);
    result.stamp_offset = stamp_offset(element_size);
    result.schema_offset = participants_offset + std::uint64_t{participants} * sizeof(participant);
    result.slots_offset = round_up(result.schema_offset + schema_size, greater(line, element_alignment));
    const std::uint64_t room = max_segment_size - result.slots_offset;
    if (capacity <= room / result.slot_stride) {
        result.segment_size = result.slots_offset + capacity * result.slot_stride;
    }
    return result;
}

}  // namespace promisqs::detail::layout
