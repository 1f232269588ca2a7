// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who takes part in a queue, and what each is in the middle of. All of it is for people: nothing depends on it.

#include <promisqs/detail/inspection/observed_queue.hpp>
#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/inspection.hpp>
#include <promisqs/stats.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <vector>

namespace promisqs::detail {

/// A copy of an entry of the participant table.
struct participant_copy {
    std::uint32_t occupied;
    std::uint32_t pid;
    std::uint32_t tid;
    std::uint32_t zero;
    std::uint64_t registered_at;
    std::uint64_t process;
    std::uint64_t push_intent;
    std::uint64_t push_count;
    std::uint64_t pop_intent;
    std::uint64_t pop_count;
    std::uint64_t zeroes[8];
};
static_assert(sizeof(participant_copy) == sizeof(layout::participant));
static_assert(offsetof(participant_copy, pop_count) == offsetof(layout::participant, pop_count));

inline std::chrono::system_clock::time_point wall_time(std::uint64_t nanoseconds) {
    using duration = std::chrono::system_clock::duration;
    const std::chrono::nanoseconds since(static_cast<std::int64_t>(nanoseconds));
    return std::chrono::system_clock::time_point(std::chrono::duration_cast<duration>(since));
}

/// Since when each claim that is open has been seen to be open.
class sightings {
public:
    struct claim {
        std::uint32_t entry;
        std::uint64_t registered_at;
        bool is_push;
        std::uint64_t intent;
        std::uint64_t since;  // by the steady clock

        [[nodiscard]] bool is_same(const claim& other) const noexcept {
            return entry == other.entry && registered_at == other.registered_at && is_push == other.is_push &&
                   intent == other.intent;
        }
    };

    void begin() { now_.clear(); }
    /// \return  since when it has been seen
    std::uint64_t note(claim seen) {
        // Both lists are in the order of the entries.
        const auto first = std::lower_bound(before_.begin(), before_.end(), seen.entry,
                                            [](const claim& one, std::uint32_t entry) { return one.entry < entry; });
        for (auto known = first; known != before_.end() && known->entry == seen.entry; ++known) {
            if (known->is_same(seen)) seen.since = known->since;
        }
        now_.push_back(seen);
        return seen.since;
    }
    void end() { before_.swap(now_); }

private:
    std::vector<claim> before_;
    std::vector<claim> now_;
};

/// Looks through the table once.
class participants_look {
public:
    participants_look(const queue_view& seen, sightings& known) noexcept
        : seen_(seen), known_(known), file_(seen.ring.memory().file()) {}

    [[nodiscard]] std::vector<participant_look> run() {
        read_stall(offsetof(layout::prefix, words.head_stall), head_stall_);
        read_stall(offsetof(layout::prefix, words.tail_stall), tail_stall_);
        if (!file_.fetch(sole_, sizeof sole_, offsetof(layout::prefix, words.sole_producer))) return {};
        // Not `entries_used`, which anybody may have changed.
        const std::uint32_t all = seen_.header.participants;
        constexpr std::uint32_t at_once = 512;
        std::vector<participant_copy> copies(layout::lesser(all, at_once));
        std::vector<participant_look> found;
        known_.begin();
        for (std::uint32_t first = 0; first < all; first += at_once) {
            const std::size_t count = layout::lesser(all - first, at_once);
            const std::uint64_t place = layout::participants_offset + first * sizeof(participant_copy);
            if (!file_.fetch(copies.data(), count * sizeof(participant_copy), place)) break;
            for (std::uint32_t i = 0; i < count; ++i) {
                if (copies[i].occupied != 0) found.push_back(look(first + i, copies[i]));
            }
        }
        known_.end();
        return found;
    }

private:
    // When a position was first found waiting.
    struct stall_copy {
        std::uint64_t position = 0;
        std::uint64_t since = 0;
    };
    void read_stall(std::uint64_t place, stall_copy& note) const {
        static_assert(sizeof(stall_copy) == sizeof(layout::stall_note));
        if (!file_.fetch(&note, sizeof note, place)) note = {};
    }

    [[nodiscard]] participant_look look(std::uint32_t i, const participant_copy& entry) {
        const ticket_space& space = seen_.ring.space();
        const std::uint64_t tail = space.ticket_of(seen_.ring.memory().tail().load(std::memory_order_relaxed));
        const std::uint64_t head = seen_.ring.memory().head().load(std::memory_order_relaxed);
        participant_look result{};
        result.push = held(i, entry, true, tail);
        result.pop = held(i, entry, false, head);
        result.who = {entry.pid,
                      entry.tid,
                      wall_time(entry.registered_at),
                      is_alive(i, entry, result.push || result.pop),
                      first_of(result.push),
                      first_of(result.pop)};
        result.entry = i;
        result.process = entry.process;
        result.sole_producer = sole_[0] == i + 1;
        result.sole_consumer = sole_[1] == i + 1;
        result.last_push = last(entry.push_intent);
        result.last_pop = last(entry.pop_intent);
        return result;
    }

    [[nodiscard]] std::optional<std::uint64_t> last(std::uint64_t intent) const noexcept {
        const ticket_space& space = seen_.ring.space();
        if (intent == layout::no_ticket || !space.valid(intent)) return std::nullopt;
        return space.distance(0, intent);
    }
    static std::optional<std::uint64_t> first_of(const std::optional<held_messages>& held) {
        return held ? std::optional(held->first) : std::nullopt;
    }

    // The locks of a process go together, so one is tested for each process, and those of participants that may be in
    // the middle of an operation.
    [[nodiscard]] bool is_alive(std::uint32_t i, const participant_copy& entry, bool in_operation) {
        if (!in_operation && entry.process != 0 && alive_.count(entry.process) != 0) return true;
        if (!file_.is_locked(layout::participants_byte + i)) return false;
        alive_.insert(entry.process);
        return true;
    }

    // The tickets of an intent that are claimed, and whose claim is open. A batch is published, or released, in order:
    // so they are its last ones. Messages that a process holds (tid 0) are released in any order: they are some of the
    // last ones.
    [[nodiscard]] std::optional<held_messages> held(std::uint32_t i, const participant_copy& entry, bool is_push,
                                                    std::uint64_t counter) {
        const ticket_space& space = seen_.ring.space();
        const std::uint64_t intent = is_push ? entry.push_intent : entry.pop_intent;
        if (intent == layout::no_ticket || !space.valid(intent) || !ticket_space::before(intent, counter)) return {};
        const std::uint64_t count = layout::lesser(
            layout::lesser(is_push ? entry.push_count : entry.pop_count, space.distance(intent, counter)),
            space.capacity());
        const std::uint64_t first = first_open(intent, count, is_push, !is_push && entry.tid == 0);
        if (first >= count) return {};
        const std::uint64_t now = os::steady_clock();
        std::uint64_t since = known_.note({i, entry.registered_at, is_push, intent, now});
        const std::uint64_t number = space.distance(0, ticket_after(space, intent, first));
        const stall_copy& note = is_push ? head_stall_ : tail_stall_;
        if (note.position == number + 1) since = layout::lesser(since, note.since);
        return held_messages{number, count - first, std::chrono::nanoseconds(static_cast<std::int64_t>(now - since))};
    }
    // Which of a row's claims is the first that is open; `count` if none is.
    [[nodiscard]] std::uint64_t first_open(std::uint64_t intent, std::uint64_t count, bool is_push,
                                           bool in_any_order) const {
        const auto is_open_at = [&](std::uint64_t i) {
            return is_open(ticket_after(seen_.ring.space(), intent, i), is_push);
        };
        constexpr std::uint64_t most_looks = 4096;  // one by one
        const std::uint64_t looks = in_any_order ? layout::lesser(count, most_looks) : 0;
        for (std::uint64_t i = 0; i < looks; ++i) {
            if (is_open_at(i)) return i;
        }
        std::uint64_t first = looks;
        for (std::uint64_t end = count; first < end;) {
            const std::uint64_t middle = first + (end - first) / 2;
            if (is_open_at(middle)) {
                end = middle;
            } else {
                first = middle + 1;
            }
        }
        // Of a long row that is released in any order, that may have missed some. As long as its count is more than 1,
        // there are some.
        return in_any_order && first == count && count > looks ? count - 1 : first;
    }
    [[nodiscard]] bool is_open(std::uint64_t ticket, bool is_push) const {
        const std::uint64_t stamp = seen_.ring.stamp_of(ticket).load(std::memory_order_relaxed);
        const delivery_state state(stamp - seen_.ring.space().lap(ticket));
        if (is_push) return state.value() == 0;
        return state.value() == 1 || state.value() == 2 || state.is_retaken();
    }

    const queue_view& seen_;
    sightings& known_;
    const observed_file& file_;
    std::unordered_set<std::uint64_t> alive_;
    stall_copy head_stall_;
    stall_copy tail_stall_;
    std::uint32_t sole_[2] = {0, 0};
};

}  // namespace promisqs::detail
