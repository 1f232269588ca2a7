// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of a recording. docs/recording.md is the specification; this is its copy for the compiler.
//
//   file header  the texts  the header's checksum |  block  |  block  | ...
//
//   block: block header  messages  0 to 7 zeroes  time runs

#include <promisqs/element.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace promisqs_tool {

static_assert(std::endian::native == std::endian::little, "a recording is little-endian, as what is in memory");

inline constexpr std::array<char, 8> recording_magic{'\x89', 'P', 'S', 'Q', 'R', 'E', 'C', '\n'};
inline constexpr std::array<char, 8> block_magic{'\x89', 'P', 'S', 'Q', 'B', 'L', 'K', '\n'};
inline constexpr std::uint32_t recording_version = 1;

struct file_header {
    std::array<char, 8> magic;
    std::uint32_t version;
    std::uint32_t size;  // of the whole header: this, both texts, zeroes, the checksum
    std::uint64_t element_size;
    std::uint64_t element_alignment;
    std::uint64_t schema_fingerprint;
    std::uint64_t name_fingerprint;
    std::uint64_t began_at;  // nanoseconds since 1970, UTC
    std::uint64_t capacity;  // of the queue, in messages
    std::uint32_t mode;      // recording_mode
    std::uint32_t name_size;
    std::uint32_t schema_size;
    std::uint32_t reserved;
};
static_assert(sizeof(file_header) == 80 && offsetof(file_header, capacity) == 56);

enum class recording_mode : std::uint32_t { tap = 0, drain = 1 };

enum class block_kind : std::uint32_t {
    messages = 1,
    gap = 2,  // messages that the tap has missed
    end = 3   // the recording ended in good order; nothing follows
};

struct block_header {
    std::array<char, 8> magic;
    block_kind kind;
    std::uint32_t runs;
    std::uint64_t index;   // of the block: 0, 1, 2, ...
    std::uint64_t number;  // of the first message
    std::uint64_t count;   // of the messages
    std::uint64_t payload_size;
    std::uint32_t payload_checksum;
    std::uint32_t header_checksum;  // of all that is before it
};
static_assert(sizeof(block_header) == 56 && offsetof(block_header, payload_checksum) == 48);

/// So many messages, one after the other, have the same time.
struct time_run {
    std::uint64_t time;  // nanoseconds since the beginning
    std::uint64_t count;

    friend bool operator==(const time_run&, const time_run&) = default;
};
static_assert(sizeof(time_run) == 16);

/// The largest header: a schema has at most 1 MiB, a queue's name 254 bytes.
inline constexpr std::uint64_t most_header_bytes = (std::uint64_t{1} << 20) + 1024;

/// The most messages of a block, in bytes, unless one is larger; and the most runs.
inline constexpr std::uint64_t most_block_bytes = std::uint64_t{1} << 26;
inline constexpr std::uint32_t most_block_runs = 1U << 16;

constexpr std::uint64_t padded(std::uint64_t size) noexcept { return (size + 7) / 8 * 8; }

/// CRC-32, as in zlib, gzip and PNG.
[[nodiscard]] std::uint32_t checksum_of(std::span<const std::byte> bytes) noexcept;

/// What a recording says of itself.
struct recording_facts {
    std::string queue;  ///< its name; any bytes
    promisqs::element_type type;
    std::uint64_t capacity;
    std::uint64_t began_at;  ///< nanoseconds since 1970, UTC
    recording_mode mode;
};

/// The whole header, with its checksum.
[[nodiscard]] std::vector<std::byte> header_of(const recording_facts& facts);

/// How many bytes the header has of which these are the first; 0: none that this program reads.
[[nodiscard]] std::uint64_t header_size(const file_header& first) noexcept;

/// What the whole header says; nothing, if it is damaged.
[[nodiscard]] std::optional<recording_facts> facts_of(std::span<const std::byte> header);

}  // namespace promisqs_tool
