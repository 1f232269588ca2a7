// SPDX-License-Identifier: Apache-2.0
#pragma once

// The file in /dev/shm that a bridge keeps beside its queue: what it is, what it has counted, and, of a bridge into the
// queue, what it has done with which message. It outlives a bridge that is killed; the next one goes on with it.

#include "bridge/delivery_table.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs_tool {

enum class bridge_direction : std::uint32_t { out = 1, in = 2 };

/// "out", "in".
[[nodiscard]] std::string_view to_string(bridge_direction direction) noexcept;

/// What a bridge connects. Two bridges of the same key do the same work, and share it.
struct bridge_key {
    bridge_direction direction;
    std::string queue;
    std::uint64_t queue_identity;  ///< another queue of the same name has another one
    std::string stream;
    std::string target;  ///< of a bridge out, the subject; of a bridge in, the consumer
    // Of a bridge in, in nanoseconds of Unix time:
    std::int64_t stream_created = 0;  ///< tells it from one of the same name of another server, or another account
    std::int64_t consumer_created = 0;
};

/// What a bridge counts. The totals go on when the next one takes the record over.
struct bridge_counters {
    std::atomic<std::uint64_t> in;          ///< messages taken: out of the queue, or from the stream
    std::atomic<std::uint64_t> out;         ///< messages that have arrived: in the stream, or in the queue
    std::atomic<std::uint64_t> in_flight;   ///< messages under way now
    std::atomic<std::uint64_t> reconnects;  ///< connections after the first one
    std::atomic<std::uint64_t> duplicates;  ///< messages that had arrived before, and were not delivered again
    std::atomic<std::uint64_t> uncertain;   ///< messages that may have arrived twice
    std::atomic<std::uint64_t> errors;      ///< refused publishes, failed connections, messages that do not fit
    std::atomic<std::uint64_t> connected;   ///< 1 while it is connected, else 0
};

/// The beginning of the file.
struct record_header {
    static constexpr std::uint64_t right_magic = 0x6764697262717370;  // "psqbridg"
    static constexpr std::uint32_t right_version = 1;

    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t direction;
    std::uint64_t entries;  ///< of the table behind the header, a power of two; 0: there is none
    std::uint64_t queue_identity;
    std::int64_t consumer_created;
    std::uint64_t key;  ///< `hash_of` it
    std::uint32_t process;
    std::atomic<std::uint32_t> peers;  ///< grows when another bridge of the same key has come
    std::int64_t started_at;           ///< when this process took it, in nanoseconds of Unix time
    std::atomic<std::uint64_t> tally;  ///< the queue's tombstones, as they were before a push began
    /// The consumer has said that all messages up to this sequence were acknowledged, at this time or before.
    std::atomic<std::uint64_t> floor;
    std::atomic<std::int64_t> floor_time;  ///< in nanoseconds of Unix time
    bridge_counters counters;
    char queue[256];  // these end with a zero; what is too long is cut
    char stream[256];
    char target[512];
    char url[512];
};
static_assert(sizeof(record_header) <= 4096);

inline constexpr std::size_t record_table_offset = 4096;
inline constexpr std::uint64_t most_record_entries = std::uint64_t{1} << 22;
inline constexpr const char* record_folder = "/dev/shm";
inline constexpr std::string_view record_prefix = "promisqs-bridge.";

/// A text of a header, which may hold anything.
template <std::size_t Size>
[[nodiscard]] std::string_view record_text(const char (&text)[Size]) noexcept {
    const std::string_view all(text, Size);
    return all.substr(0, all.find('\0'));
}

/// Whether the header is one that this program has written, and the file as long as it says.
[[nodiscard]] bool is_record(const record_header& header, std::uint64_t file_size) noexcept;

/// Whether two consumers of a name are the same one, by when they were made. One that was made again at once counts as
/// the same: what it delivers once more is known.
[[nodiscard]] bool is_same_consumer(std::int64_t created, std::int64_t other) noexcept;

/// A hash of all of the key but the time of the consumer.
[[nodiscard]] std::uint64_t hash_of(const bridge_key& key) noexcept;

/// A record, mapped. Only a file that belongs to this user alone is: nobody else can cut it short.
class record_file {
public:
    /// \return  nothing: it is no such file, or not this user's, or has gone
    [[nodiscard]] static std::optional<record_file> open(const std::string& name);
    /// Makes a file. It has its name once it is whole, and locked.
    ///
    /// \param number  the name ends with it
    /// \return        nothing: the name is taken
    /// \throws failure  there is no room
    [[nodiscard]] static std::optional<record_file> create(const bridge_key& key, std::uint64_t entries, int number);

    record_file(record_file&& other) noexcept
        : name_(std::move(other.name_)),
          file_(std::exchange(other.file_, -1)),
          header_(std::exchange(other.header_, nullptr)),
          size_(other.size_) {}
    record_file& operator=(record_file&& other) noexcept {
        std::swap(name_, other.name_);
        std::swap(file_, other.file_);
        std::swap(header_, other.header_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~record_file();

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] record_header& header() const noexcept { return *header_; }
    [[nodiscard]] bool has_table() const noexcept { return header_->entries != 0; }
    /// \pre  it has one
    [[nodiscard]] delivery_table table() const noexcept;

    /// Whether the consumer has said that this message was acknowledged.
    [[nodiscard]] bool is_below_floor(const delivery& of) const noexcept;

    /// Makes this process its owner.
    ///
    /// \return  false: it has one that is alive, or it was removed
    [[nodiscard]] bool lock() const noexcept;
    void unlock() const noexcept;
    /// Whether a process that is alive owns it, other than through this object.
    [[nodiscard]] bool is_owned() const noexcept;
    [[nodiscard]] bool is_named() const noexcept;
    /// \pre  this process owns it
    void remove() const noexcept;

private:
    record_file(std::string name, int file) : name_(std::move(name)), file_(file) {}
    [[nodiscard]] bool map(std::uint64_t size) noexcept;

    std::string name_;
    int file_;
    record_header* header_ = nullptr;
    std::uint64_t size_ = 0;
};

}  // namespace promisqs_tool
