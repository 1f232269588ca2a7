// SPDX-License-Identifier: Apache-2.0
#pragma once

// The shared bytes. docs/layout.md describes them for readers in other languages; a change of any byte raises
// `layout_version` and is written down in CHANGELOG.md.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace promisqs::detail::layout {

static_assert(std::endian::native == std::endian::little, "the shared layout is little-endian");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(std::atomic<std::uint64_t>) == 8,
              "64-bit atomics must be plain, lock-free words, because other processes share them");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4,
              "32-bit atomics must be plain, lock-free words, because other processes share them");

inline constexpr std::uint64_t magic = 0x5153'494D'4F52'5089;    // the bytes 89 'P' 'R' 'O' 'M' 'I' 'S' 'Q'
inline constexpr std::uint64_t unfinished_magic = magic ^ 0xFF;  // until the creator is done: 76 'P' 'R' 'O' …
inline constexpr std::uint32_t version = 3;
inline constexpr std::uint64_t max_alignment = 4096;
inline constexpr std::uint64_t max_capacity = std::uint64_t{1} << 32;
inline constexpr std::uint32_t max_participants = 65536;
inline constexpr std::uint32_t most_deaths = 7;      // that a stamp counts
inline constexpr std::uint32_t single_producer = 1;  // bits of single_roles
inline constexpr std::uint32_t single_consumer = 2;
inline constexpr std::uint64_t max_schema_size = std::uint64_t{1} << 20;
inline constexpr std::uint64_t max_segment_size = std::uint64_t{1} << 47;
/// Two fields that different cores write lie this far apart: a line, and the neighbour that prefetchers fetch with it.
inline constexpr std::size_t line = 128;

//   0  magic                 8  layout version, lifetime
//  16  element size         24  element alignment
//  32  capacity             40  slot stride
//  48  payload offset       56  slots offset
//  64  participants offset  72  participant count, participant stride
//  80  schema offset        88  schema size
//  96  schema fingerprint  104  name fingerprint
// 112  segment size        120  created at
// 128  creator pid         132  deaths until a message is dropped
// 136  single sides       140  zero, up to 256
struct alignas(8) header_fields {  // what a reader checks
    std::uint32_t layout_version;
    std::uint32_t lifetime;
    std::uint64_t element_size;
    std::uint64_t element_alignment;
    std::uint64_t capacity;
    std::uint64_t slot_stride;
    std::uint64_t payload_offset;
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
static_assert(sizeof(header) == 256 && offsetof(header, fields) == 8);
static_assert(8 + offsetof(header_fields, layout_version) == 8 && 8 + offsetof(header_fields, lifetime) == 12);
static_assert(8 + offsetof(header_fields, element_size) == 16 && 8 + offsetof(header_fields, element_alignment) == 24);
static_assert(8 + offsetof(header_fields, capacity) == 32 && 8 + offsetof(header_fields, slot_stride) == 40);
static_assert(8 + offsetof(header_fields, payload_offset) == 48 && 8 + offsetof(header_fields, slots_offset) == 56);
static_assert(8 + offsetof(header_fields, participants_offset) == 64 &&
              8 + offsetof(header_fields, participant_count) == 72);
static_assert(8 + offsetof(header_fields, participant_stride) == 76 &&
              8 + offsetof(header_fields, schema_offset) == 80);
static_assert(8 + offsetof(header_fields, schema_size) == 88 && 8 + offsetof(header_fields, schema_fingerprint) == 96);
static_assert(8 + offsetof(header_fields, name_fingerprint) == 104 && 8 + offsetof(header_fields, segment_size) == 112);
static_assert(8 + offsetof(header_fields, created_at) == 120 && 8 + offsetof(header_fields, creator_pid) == 128);
static_assert(8 + offsetof(header_fields, max_deaths) == 132 && 8 + offsetof(header_fields, single_roles) == 136);
static_assert(8 + offsetof(header_fields, zero) == 140 && offsetof(header, zero) == 144);

//  256  tail            384  head            512  consumers' wait word    640  producers' wait word
//  768  irregular_count    776  calm at
//  896  tombstones          904  redelivered     912  dropped
//  920  head held       928  since           936  tail held               944  since
// 1024  sole producer   1028  sole consumer    1032  zero, up to 1152
struct stall_note {
    std::atomic<std::uint64_t> position;  // the ticket's number (that of the first message is 0) + 1; 0: none
    std::atomic<std::uint64_t> since;     // when somebody first found it held: nanoseconds of the steady clock
};
struct counters {
    alignas(line) std::atomic<std::uint64_t> tail;             // the next push ticket; and whether it is closed
    alignas(line) std::atomic<std::uint64_t> head;             // the next pop ticket
    alignas(line) std::atomic<std::uint32_t> consumers_wait;   // consumers sleep on this word
    alignas(line) std::atomic<std::uint32_t> producers_wait;   // producers sleep on this word
    alignas(line) std::atomic<std::uint64_t> irregular_count;  // voids and orphans, ever
    std::atomic<std::uint64_t> irregular_cleared_at;           // up to which of them they are known to be gone
    alignas(line) std::atomic<std::uint64_t> tombstones;       // tallies, for people
    std::atomic<std::uint64_t> redelivered;
    std::atomic<std::uint64_t> dropped;
    stall_note head_stall;  // for people
    stall_note tail_stall;
    alignas(
        line) std::atomic<std::uint32_t> sole_producer;  // of a declared single side: its entry's index + 1; 0: nobody
    std::atomic<std::uint32_t> sole_consumer;
    std::uint64_t zero[15];
};
inline constexpr std::size_t counters_offset = 256;
inline constexpr std::size_t participants_offset = 1152;
static_assert(offsetof(counters, tail) == 256 - counters_offset && offsetof(counters, head) == 384 - counters_offset);
static_assert(offsetof(counters, consumers_wait) == 512 - counters_offset);
static_assert(offsetof(counters, producers_wait) == 640 - counters_offset);
static_assert(offsetof(counters, irregular_count) == 768 - counters_offset);
static_assert(offsetof(counters, irregular_cleared_at) == 776 - counters_offset);
static_assert(offsetof(counters, tombstones) == 896 - counters_offset);
static_assert(offsetof(counters, redelivered) == 904 - counters_offset);
static_assert(offsetof(counters, dropped) == 912 - counters_offset);
static_assert(offsetof(counters, head_stall) == 920 - counters_offset);
static_assert(offsetof(counters, tail_stall) == 936 - counters_offset);
static_assert(offsetof(counters, sole_producer) == 1024 - counters_offset);
static_assert(offsetof(counters, sole_consumer) == 1028 - counters_offset);
static_assert(offsetof(counters, zero) == 1032 - counters_offset);
static_assert(counters_offset + sizeof(counters) == participants_offset);

//  0  occupied, pid     8  tid, zero     16  registered at     24  zero
// 32  push intent      40  push count    48  pop intent        56  pop count    64  zero, up to 128
struct alignas(line) participant {
    std::atomic<std::uint32_t> occupied;
    std::atomic<std::uint32_t> pid;  // for people
    std::atomic<std::uint32_t> tid;  // for people
    std::uint32_t zero_1;
    std::atomic<std::uint64_t> registered_at;  // nanoseconds since 1970, for people
    std::uint64_t zero_2;
    std::atomic<std::uint64_t> push_intent;  // the ticket it is about to claim, or claimed last
    std::atomic<std::uint64_t> push_count;   // and how many from there on
    std::atomic<std::uint64_t> pop_intent;
    std::atomic<std::uint64_t> pop_count;
};
static_assert(sizeof(participant) == 128);
static_assert(offsetof(participant, pid) == 4 && offsetof(participant, tid) == 8);
static_assert(offsetof(participant, registered_at) == 16 && offsetof(participant, push_intent) == 32);
static_assert(offsetof(participant, push_count) == 40 && offsetof(participant, pop_intent) == 48);
static_assert(offsetof(participant, pop_count) == 56);

// The wait words, docs/layout.md: three flags, and above them an epoch, which changes when those who sleep are woken.
inline constexpr std::uint32_t asleep = 1;   // somebody may sleep on this word
inline constexpr std::uint32_t closing = 2;  // consumers' word, with a single producer: the queue is being closed
inline constexpr std::uint32_t ended = 4;    // likewise: it is known to be closed, for good
inline constexpr std::uint32_t epoch = 8;

/// An intent that announces nothing. No ticket has this value, because no index reaches the index mask.
inline constexpr std::uint64_t no_ticket = std::numeric_limits<std::uint64_t>::max();

// Bytes of the object's file that are locked, never read or written (`F_OFD_SETLK`); they lie beyond any data.
inline constexpr std::int64_t lock_base = std::int64_t{1} << 48;
inline constexpr std::int64_t initialising_byte = lock_base;  // exclusive: being created, or its name being removed
inline constexpr std::int64_t users_byte = lock_base + 1;     // shared: one lock for each open handle
inline constexpr std::int64_t recovery_byte = lock_base + 2;  // exclusive: recovery in progress
inline constexpr std::int64_t participants_byte = lock_base + 16;  // exclusive: entry i is alive; plus i

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
    return (value + unit - 1) / unit * unit;
}

/// Where an element lies in its slot, in bytes. The slot begins with its 8-byte stamp.
constexpr std::uint64_t payload_offset(std::uint64_t element_size, std::uint64_t element_alignment) noexcept {
    // From 256 bytes on the copy is what costs, and it is fastest from a 64-byte boundary.
    return std::max<std::uint64_t>(element_size >= 256 ? 64 : 8, element_alignment);
}

/// Bytes from one slot to the next. Small slots are packed, several to a cache line, which makes a stream of them faster;
/// larger ones begin on a line of their own.
constexpr std::uint64_t slot_stride(std::uint64_t element_size, std::uint64_t element_alignment) noexcept {
    const std::uint64_t unit = element_size <= 32 ? 8 : 64;
    return round_up(payload_offset(element_size, element_alignment) + element_size, std::max(unit, element_alignment));
}

/// Where everything lies, as it follows from what the creator asked for. An opener derives the same from the stored
/// request, and compares.
struct plan {
    std::uint64_t slot_stride;
    std::uint64_t payload_offset;
    std::uint64_t schema_offset;
    std::uint64_t slots_offset;
    std::uint64_t segment_size;  // 0: more than `max_segment_size`
};

constexpr plan make_plan(std::uint64_t element_size, std::uint64_t element_alignment, std::uint64_t capacity,
                         std::uint32_t participants, std::uint64_t schema_size) noexcept {
    plan result{};
    result.slot_stride = slot_stride(element_size, element_alignment);
    result.payload_offset = payload_offset(element_size, element_alignment);
    result.schema_offset = participants_offset + std::uint64_t{participants} * sizeof(participant);
    result.slots_offset =
        round_up(result.schema_offset + schema_size, std::max<std::uint64_t>(line, element_alignment));
    const std::uint64_t room = max_segment_size - result.slots_offset;
    if (capacity <= room / result.slot_stride) {
        result.segment_size = result.slots_offset + capacity * result.slot_stride;
    }
    return result;
}

}  // namespace promisqs::detail::layout
