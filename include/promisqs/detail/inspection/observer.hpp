// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/inspection/observed_messages.hpp>
#include <promisqs/detail/inspection/observed_participants.hpp>
#include <promisqs/detail/inspection/observed_queue.hpp>
#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/object_name.hpp>
#include <promisqs/detail/os/observed_file.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/inspection.hpp>
#include <promisqs/stats.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace promisqs::detail {

[[gnu::__cold__]] inline queue_state state_of(const std::error_code& code) noexcept {
    if (code == errc::unfinished) return queue_state::unfinished;
    if (code == errc::layout_version_differs) return queue_state::other_layout;
    return code == errc::not_a_queue ? queue_state::not_a_queue : queue_state::corrupt;
}
[[gnu::__cold__]] inline queue_state state_of(const queue_view& seen, bool used) noexcept {
    if (seen.ring.closed()) return queue_state::closed;
    return used ? queue_state::in_use : queue_state::abandoned;
}

/// What an object is, in few system calls. Nothing: no queue, as far as this process may see.
[[gnu::__cold__]] inline std::optional<queue_state> state_of_object(object_name name) {
    auto file = std::make_shared<const observed_file>(std::move(name));
    if (!file->is_regular()) return std::nullopt;
    std::uint64_t magic = 0;
    const observed_queue queue(file);
    if (!file->fetch(&magic, sizeof magic, 0)) {
        const bool begun = file->describe().size == 0 && queue.is_locked();
        return begun ? std::optional(queue_state::unfinished) : std::nullopt;
    }
    if (magic == layout::unfinished_magic) return queue_state::unfinished;
    if (magic != layout::magic) return std::nullopt;
    try {
        return state_of(queue.see(), queue.is_used());
    } catch (const queue_error& error) {
        return state_of(error.code());
    }
}

/// What an inspector does.
class observer {
public:
    [[gnu::__cold__]] explicit observer(std::string_view name) : queue_(name) {}

    [[nodiscard]] const observed_queue& queue() const noexcept { return queue_; }

    [[nodiscard, gnu::__cold__]] queue_finding look() const {
        const observed_file::facts file = queue_.file().describe();
        queue_finding result{queue_state::not_a_queue, queue_.is_used(), queue_.is_locked(), {}, file.size, file.owner,
                             file.permissions};
        try {
            const queue_view seen = queue_.see();
            result.state = state_of(seen, result.used);
            result.what =
                concat({"a queue of ", digits(seen.header.capacity), " messages of ", digits(seen.header.element_size),
                        " bytes, of which ", digits(seen.ring.messages()), " wait; ",
                        seen.ring.closed() ? "closed, " : "", result.used ? "in use" : "no process has it open"});
            queue_.check_length();
        } catch (const queue_error& error) {
            result.state = state_of(error.code());
            result.what = error.what();
        }
        return result;
    }

    [[nodiscard, gnu::__cold__]] queue_facts facts() const {
        const queue_view seen = queue_.see();
        const layout::header_fields& header = seen.stored.fields;
        const layout::plan& plan = seen.header.plan;
        queue_facts result{};
        result.capacity = seen.header.capacity;
        result.element_size = seen.header.element_size;
        result.element_alignment = seen.header.element_alignment;
        result.slot_stride = plan.slot_stride;
        result.payload_offset = plan.payload_offset;
        result.stamp_offset = plan.stamp_offset;
        result.slots_offset = plan.slots_offset;
        result.segment_size = plan.segment_size;
        result.layout_version = header.layout_version;
        result.schema.resize(header.schema_size);
        if (!queue_.file().fetch(result.schema.data(), result.schema.size(), plan.schema_offset)) result.schema.clear();
        result.schema_fingerprint = header.schema_fingerprint;
        result.name_fingerprint = header.name_fingerprint;
        seen.header.put_into(result.created_with);
        result.created_with.permissions = seen.file.permissions;
        result.created_at = wall_time(header.created_at);
        result.creator = header.creator_pid;
        result.owner = seen.file.owner;
        return result;
    }

    [[nodiscard, gnu::__cold__]] std::vector<participant_look> participants() {
        const queue_view seen = queue_.see();
        auto found = participants_look(seen, sightings_).run();
        queue_.check_length();
        return found;
    }

    [[nodiscard, gnu::__cold__]] queue_stats stats() {
        const queue_view seen = queue_.see();
        const observed_ring& ring = seen.ring;
        const observed_file& file = queue_.file();
        queue_stats result{};
        result.capacity = seen.header.capacity;
        result.tombstones = file.word(offsetof(layout::prefix, words.tombstones));
        result.redelivered = file.word(offsetof(layout::prefix, words.redelivered));
        result.dropped = file.word(offsetof(layout::prefix, words.dropped));
        result.closed = ring.closed();
        result.being_recovered = file.is_locked(layout::recovery_byte);
        result.size = ring.messages();
        const ticket_space& space = ring.space();
        const std::uint64_t tail = ring.memory().tail().load(std::memory_order_relaxed);
        const std::uint64_t claimed = space.distance(0, space.ticket_of(tail));
        result.pushed = claimed - layout::lesser(claimed, result.tombstones);
        result.popped = result.pushed - layout::lesser(result.pushed, result.size + result.dropped);
        const auto participants = participants_look(seen, sightings_).run();
        for (const participant_look& one : participants) result.participants.push_back(one.who);
        result.head = stall_at(ring.stall_at_head(), ring, offsetof(layout::prefix, words.head_stall), participants,
                               &participant_look::push);
        result.tail = stall_at(ring.stall_at_tail(), ring, offsetof(layout::prefix, words.tail_stall), participants,
                               &participant_look::pop);
        queue_.check_length();
        return result;
    }

private:
    /// \param note  where participants have written down since when they wait at a position
    /// \param held  what a participant holds in the role of which others wait for it
    [[nodiscard, gnu::__cold__]] std::optional<stall> stall_at(std::optional<std::uint64_t> ticket,
                                                               const observed_ring& ring, std::uint64_t note,
                                                               const std::vector<participant_look>& participants,
                                                               std::optional<held_messages> participant_look::*held) {
        if (!ticket) return std::nullopt;
        stall result{ring.space().distance(0, *ticket), {}, {}};
        const std::uint64_t position = queue_.file().word(note);
        const std::uint64_t since = queue_.file().word(note + 8);
        const std::uint64_t now = os::steady_clock();
        if (position == result.message + 1 && since < now)
            result.at_least = std::chrono::nanoseconds(static_cast<std::int64_t>(now - since));
        for (const participant_look& one : participants) {
            const auto& claim = one.*held;
            if (!claim || result.message - claim->first >= claim->count) continue;
            if (!result.by || one.who.alive) result.by = one.who;
            if (result.at_least < claim->at_least) result.at_least = claim->at_least;
        }
        return result;
    }

    observed_queue queue_;
    sightings sightings_;
};

}  // namespace promisqs::detail

#pragma GCC visibility pop
