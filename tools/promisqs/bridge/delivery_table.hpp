// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace promisqs_tool {

/// A message of a stream, as a consumer has delivered it. The first two numbers tell it from any other one, also from
/// one of a stream that was made again, and counts anew.
struct delivery {
    std::uint64_t sequence;           ///< in its stream, below 2^60
    std::int64_t timestamp;           ///< when the stream took it, in nanoseconds of Unix time
    std::uint64_t consumer_sequence;  ///< of this delivery
    std::uint64_t deliveries;         ///< how often it was delivered, this time included
};

/// What a bridge has done with a message of a stream.
enum class delivery_state : std::uint8_t {
    unknown = 0,
    held = 1,      ///< it is this bridge that pushes it
    pushing = 2,   ///< it is being pushed: perhaps it is in the queue
    pushed = 3,    ///< it is in the queue; the stream's consumer may not know yet
    confirmed = 4  ///< the same, and the consumer has said that it knows
};

/// An entry, in shared memory. A bridge that is killed leaves what it has written, in the order in which it has.
struct delivery_entry {
    std::atomic<std::uint64_t> word;  ///< the sequence, and the state in the lowest 4 bits; written last; 0: free
    std::atomic<std::int64_t> timestamp;
    std::atomic<std::uint64_t> consumer_sequence;
    std::atomic<std::uint64_t> deliveries;
};
static_assert(sizeof(delivery_entry) == 32 && std::atomic<std::uint64_t>::is_always_lock_free);

/// What a bridge has done with the messages of a stream: of all that it holds, or has pushed and not confirmed; and of
/// those that it has confirmed lately. A server that was killed can have forgotten those, and deliver them again.
///
/// One thread writes. Other processes may read.
class delivery_table {
public:
    /// How many entries a message has to choose from.
    static constexpr std::size_t ways = 32;

    /// \param entries  a power of two, `ways` at least; zeroes are an empty table
    explicit delivery_table(std::span<delivery_entry> entries) noexcept;

    /// Where a message is in the table, until it is forgotten.
    using place = std::size_t;

    [[nodiscard]] std::optional<place> find(const delivery& of) const noexcept;
    [[nodiscard]] delivery_state state_of(const delivery& of) const noexcept;
    [[nodiscard]] delivery_state state_at(place at) const noexcept;
    [[nodiscard]] delivery at(place at) const noexcept;

    /// Adds a message, as `held`. The oldest confirmed one makes room.
    ///
    /// \param floor  up to this sequence, confirmed messages may be forgotten
    /// \return       nothing: there is no room, as none that has the same places may be forgotten. A quarter of the table
    ///               has as good as never more than `ways` messages with the same places
    [[nodiscard]] std::optional<place> hold(const delivery& added, std::uint64_t floor) noexcept;
    /// How many entries can't make room.
    [[nodiscard]] std::size_t taken(std::uint64_t floor) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    /// The same message has been delivered again.
    void renew(place at, const delivery& again) noexcept;
    void set(place at, delivery_state state) noexcept;
    void forget(place at) noexcept;

    /// Those of all states but `confirmed`, by their sequence. What makes no sense is passed over.
    [[nodiscard]] std::vector<place> unsettled() const;

private:
    [[nodiscard]] std::size_t first_of(std::uint64_t sequence) const noexcept;

    std::span<delivery_entry> entries_;
    unsigned shift_;
};

}  // namespace promisqs_tool
