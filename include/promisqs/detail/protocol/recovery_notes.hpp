// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/protocol/slot_set.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace promisqs::detail {

/// How much of a recovery to do at once. Testing a lock is what costs: the kernel goes through all locks of the file.
struct recovery_extent {
    static constexpr std::uint32_t all = ~std::uint32_t{0};
    static constexpr std::uint64_t whole_lap = ~std::uint64_t{0};

    std::uint32_t claimants;  ///< how many locks to test of participants that seem to have a claim open
    std::uint32_t idle;       ///< of others
    std::uint32_t rivals;     ///< of those that have announced the ticket of a dead participant
    std::uint32_t windows;    ///< how many windows of slots to look at
    /// Whether an idle participant counts as alive if another one of its process is.
    bool presumes;
    /// Behind how many slots in a row, from the tail on, a push may be stuck that needs them all.
    std::uint64_t row;

    /// Everything.
    static constexpr recovery_extent full() noexcept { return {all, all, all, all, true, whole_lap}; }
    /// Everything, without trusting what participants say of their processes.
    static constexpr recovery_extent strict() noexcept { return {all, all, all, all, false, whole_lap}; }
    /// What a call may do that is not to take long. The next one goes on with the rest.
    static constexpr recovery_extent piece(std::uint64_t row = 1) noexcept { return {64, 8, 128, 2, true, row}; }
};

/// What a recovery finds out about a participant.
enum class verdict : std::uint8_t {
    unknown,    // or no longer there
    alive,      // at some instant in this recovery
    dead,       // its tickets are among those that are looked at
    dead_late,  // found when it was too late for that
    postponed   // dead, and something is left to be done
};

/// What a recovery writes down about participants and slots, in memory that it is given, and where the next piece of
/// one goes on.
///
/// A *window* is a part of the last lap before `tail`. A slot's place in it is the distance of its ticket from the
/// first one.
struct recovery_notes {
    /// The number of words that `recovery_notes` needs for a window of so many slots.
    static constexpr std::size_t words_for(std::uint64_t window) noexcept { return 6 * slot_set::words_for(window); }

    /// \param participants  one for each
    /// \param slots         one for each slot of a window
    /// \param words         `words_for` a window
    recovery_notes(std::span<verdict> participants, std::span<std::uint8_t> slots,
                   std::span<std::uint64_t> words) noexcept
        : verdicts(participants), states(slots) {
        std::fill(verdicts.begin(), verdicts.end(), verdict::unknown);
        const std::size_t each = slot_set::words_for(states.size());
        std::size_t next = 0;
        for (slot_set* one : {&announced, &pushes, &pops, &owned_pushes, &owned_pops, &blameless}) {
            *one = slot_set(words.subspan(next, each));
            next += each;
        }
    }

    std::span<verdict> verdicts;
    std::uint32_t verdicts_end = 0;  // from here on, all are `unknown`
    std::span<std::uint8_t> states;  // of `pops`: what the stamp said
    slot_set announced;              // by the dead
    slot_set pushes;                 // claimed and not published
    slot_set pops;                   // claimed and not released
    slot_set owned_pushes;           // of these, those that a living participant may own
    slot_set owned_pops;
    slot_set blameless;  // of `pops`: the dead only held the message

    // Where the next piece goes on.
    std::uint32_t next_claimant = 0;
    std::uint32_t next_idle = 0;
    std::uint64_t next_ticket = 0;
    std::uint32_t more_rivals = 1;  // how many times as many locks of rivals it may test
};

}  // namespace promisqs::detail
