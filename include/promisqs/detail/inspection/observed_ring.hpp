// SPDX-License-Identifier: Apache-2.0
#pragma once

// A ring as it lies in a file: the functions of protocol/ring_hints.hpp read it through the kernel.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/observed_file.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ring_hints.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace promisqs::detail {

/// Whether no producer has begun to overwrite the message of a ticket, by a tail that was read after it was copied. A
/// producer claims a place before it writes there.
constexpr bool is_intact(const ticket_space& space, std::uint64_t ticket, std::uint64_t tail) noexcept {
    return !ticket_space::before(space.next_lap(ticket), tail);
}

/// The ticket that is n later, less than a lap.
constexpr std::uint64_t ticket_after(const ticket_space& space, std::uint64_t ticket, std::uint64_t n) noexcept {
    const std::uint64_t index = space.index(ticket) + n;
    return index < space.capacity() ? ticket + n : space.lap_after(ticket) + index - space.capacity();
}
/// The ticket that is n earlier, a lap at most.
constexpr std::uint64_t ticket_before(const ticket_space& space, std::uint64_t ticket, std::uint64_t n) noexcept {
    return space.index(ticket) >= n ? ticket - n : space.previous_lap(ticket) + space.capacity() - n;
}

/// A word of a file, read as an atomic is.
class observed_word {
public:
    observed_word(const observed_file& file, std::uint64_t offset) noexcept : file_(&file), offset_(offset) {}

    /// Each load is ordered as by acquire: see `observed_file::fetch`.
    [[nodiscard]] std::uint64_t load(std::memory_order /*at_most_acquire*/) const noexcept {
        return file_->word(offset_);
    }

private:
    const observed_file* file_;
    std::uint64_t offset_;
};

/// The counters and stamps of a queue's file: the `Memory` of ring_state.hpp.
class observed_memory {
public:
    observed_memory(const observed_file& file, const layout::plan& plan) noexcept : file_(&file), plan_(plan) {}

    [[nodiscard]] observed_word tail() const noexcept { return {*file_, offsetof(layout::prefix, words.tail)}; }
    [[nodiscard]] observed_word head() const noexcept { return {*file_, offsetof(layout::prefix, words.head)}; }
    [[nodiscard]] observed_word irregular_count() const noexcept {
        return {*file_, offsetof(layout::prefix, words.irregular_count)};
    }
    [[nodiscard]] observed_word irregular_cleared_at() const noexcept {
        return {*file_, offsetof(layout::prefix, words.irregular_cleared_at)};
    }
    [[nodiscard]] observed_word stamp(std::uint64_t index) const noexcept {
        return {*file_, slot(index) + plan_.stamp_offset};
    }

    [[nodiscard]] const observed_file& file() const noexcept { return *file_; }
    [[nodiscard]] const layout::plan& plan() const noexcept { return plan_; }
    /// Where a slot begins.
    [[nodiscard]] std::uint64_t slot(std::uint64_t index) const noexcept {
        return plan_.slots_offset + index * plan_.slot_stride;
    }

private:
    const observed_file* file_;
    layout::plan plan_;
};

class observed_ring : public ring_hints<observed_memory> {
    using base = ring_hints<observed_memory>;

public:
    using base::base;

    /// No call looks at more stamps: a larger queue is only looked at in part, for a file of zeroes costs nothing, and
    /// may claim to be a queue of any size.
    static constexpr std::uint64_t most_stamps = std::uint64_t{1} << 22;

    /// How many messages wait. As `size()`. One that is too large to be looked through counts as in order.
    [[nodiscard]] std::uint64_t messages() const {
        if (in_order() || space_.capacity() > most_stamps) return in_row();
        const std::uint64_t head = memory_.head().load(std::memory_order_relaxed);
        std::uint64_t found = 0;
        for_each_stamp([&](std::uint64_t ticket, std::uint64_t stamp) {
            const bool full = space_.is_stamp(stamp, ticket, slot_state::full) && !ticket_space::before(ticket, head);
            if (full || delivery_state(stamp - space_.lap(ticket)).is_orphan()) ++found;
            return true;
        });
        return found;
    }

    /// The number of tickets from the head up to the tail.
    [[nodiscard]] std::uint64_t in_row() const noexcept {
        const std::uint64_t head = memory_.head().load(std::memory_order_acquire);  // as [S1], by [I1]
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        return layout::lesser(space_.distance(head, tail), space_.capacity());
    }

    /// As `for_each_slot`, for `most_stamps` at most, and by reads of many.
    template <class Visit>
    void for_each_stamp(Visit visit) const {
        const std::uint64_t tail = space_.ticket_of(memory_.tail().load(std::memory_order_relaxed));
        if (!space_.valid(tail)) return;
        std::uint64_t ticket = space_.previous_lap(tail);
        std::vector<std::uint64_t> stamps;
        for (std::uint64_t left = layout::lesser(space_.capacity(), most_stamps); left != 0;) {
            const std::uint64_t in_lap = space_.capacity() - space_.index(ticket);
            if (!read_stamps(space_.index(ticket), layout::lesser(left, in_lap), stamps)) return;
            left -= stamps.size();
            for (const std::uint64_t stamp : stamps) {
                if (!visit(ticket, stamp)) return;
                ticket = space_.next(ticket);
            }
        }
    }

    /// Reads the stamps of slots in a row: of as many as one read of the file is worth.
    ///
    /// \return  false: the file is too short
    [[nodiscard]] bool read_stamps(std::uint64_t index, std::uint64_t most, std::vector<std::uint64_t>& stamps) const {
        constexpr std::uint64_t window = 65536;      // bytes
        constexpr std::uint64_t far_apart = 4096;    // bytes: each on its own, from there on
        constexpr std::uint64_t most_at_once = 256;  // of those
        const std::uint64_t stride = memory_.plan().slot_stride;
        const std::uint64_t first = memory_.slot(index) + memory_.plan().stamp_offset;
        stamps.clear();
        if (stride >= far_apart) {
            for (std::uint64_t i = 0; i < layout::lesser(most, most_at_once); ++i) {
                stamps.push_back(memory_.file().word(first + i * stride));
            }
            return !memory_.file().cut_short();
        }
        const std::uint64_t count = layout::lesser(most, window / stride);
        std::vector<std::uint64_t> words(((count - 1) * stride + 8) / 8);  // strides are multiples of 8
        if (!memory_.file().fetch(words.data(), words.size() * 8, first)) return false;
        for (std::uint64_t i = 0; i < count; ++i) stamps.push_back(words[i * stride / 8]);
        return true;
    }
};

}  // namespace promisqs::detail
