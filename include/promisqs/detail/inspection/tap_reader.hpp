// SPDX-License-Identifier: Apache-2.0
#pragma once

// Following the messages of a queue by reading alone. A look takes these steps, in this order:
//
//   1. read the header and the tail: what is before the tail has been claimed for a push
//   2. read the head, or stamps: what is before the head, or is full, has been published, whole
//   3. copy the slots of published messages in a row
//   4. read the count of irregularities, and then the header and the tail again
//
// A producer claims a place, by the tail, before it writes there. So what the second tail has not passed by a lap has
// not been touched between the steps 2 and 4, and its copy is whole: popped, redelivered or not.

#include <promisqs/detail/inspection/observed_queue.hpp>
#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/inspection.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace promisqs::detail {

/// How long to sleep between two looks of a tap, in nanoseconds: so that a quarter of a lap passes, as fast as messages
/// came lately. Where that is too short a time to sleep, not all can be shown. Then samples are taken, rarely.
class tap_pace {
public:
    static constexpr double longest = 1'000'000;
    static constexpr double shortest = 40'000;  // the system makes some 100,000 of it

    /// \param passed  messages since the last look
    void looked(std::uint64_t now, std::uint64_t passed, std::uint64_t capacity) noexcept {
        double wait = longest;
        if (passed != 0) {
            const double took = last_ == 0 ? longest : static_cast<double>(now - last_);
            wait = took * (static_cast<double>(capacity) / 4) / static_cast<double>(passed);
        }
        last_ = now;
        next_ = now + static_cast<std::uint64_t>(wait < shortest || wait > longest ? longest : wait);
    }

    /// Waits until the next look is due, or the deadline has come.
    [[gnu::__cold__]] void wait(std::uint64_t deadline) const noexcept {
        const std::uint64_t now = os::steady_clock();
        const std::uint64_t end = layout::lesser(next_, deadline);
        if (now < end) os::nap(static_cast<std::uint32_t>(end - now));
    }

private:
    std::uint64_t last_ = 0;
    std::uint64_t next_ = 0;
};

class tap_reader {
public:
    [[gnu::__cold__]] tap_reader(std::shared_ptr<const observed_file> file, const queue_view& seen, tap_start start)
        : file_(std::move(file)),
          stored_(seen.stored),
          plan_(seen.header.plan),
          space_(seen.header.capacity),
          element_size_(seen.header.element_size),
          slots_at_once_(layout::lesser(space_.capacity(), layout::greater(1, window / plan_.slot_stride))),
          room_(((slots_at_once_ - 1) * plan_.slot_stride + slot_bytes() + 7) / 8),
          // First: what is counted later concerns tickets from this tail on, or is found to have changed.
          irregular_(seen.ring.memory().irregular_count().load(std::memory_order_acquire)) {   // as [D2], by [I1]
        const std::uint64_t head = seen.ring.memory().head().load(std::memory_order_acquire);  // as [K0], by [I1]
        const std::uint64_t tail = space_.ticket_of(seen.ring.memory().tail().load(std::memory_order_relaxed));
        if (!space_.valid(head) || !space_.valid(tail)) {
            is_lost_ = true;
            return;
        }
        last_tail_ = tail;
        const std::uint64_t all = space_.distance(0, tail);
        const std::uint64_t oldest = ticket_before(space_, tail, layout::lesser(all, space_.capacity()));
        const bool head_is_among = !ticket_space::before(head, oldest) && !ticket_space::before(tail, head);
        next_ = tail;
        if (start == tap_start::oldest_left) next_ = oldest;
        if (start == tap_start::oldest_waiting) next_ = head_is_among ? head : oldest;
        // Places before this ticket that are free may have been tombstones.
        in_order_from_ = irregular_ == 0 ? oldest : tail;
    }

    /// What is next in the copies at hand, or, if there is none, after one look.
    [[nodiscard]] tapped next() {
        bool looked = false;
        for (;;) {
            if (done_ < copied_) {
                const tapped found = take();
                if (found.event != tap_event::nothing) return found;
            } else if (looked || is_lost_) {
                return only(is_lost_ ? tap_event::lost : last_look_);
            } else {
                looked = true;
                if (const std::uint64_t missed = look(); missed != 0) return skip(missed);
            }
        }
    }

    /// As `next`, and waits.
    [[nodiscard]] tapped next(std::uint64_t nanoseconds) {
        while (done_ < copied_) {
            const tapped found = take();
            if (found.event != tap_event::nothing) return found;
        }
        const std::uint64_t now = os::steady_clock();
        const std::uint64_t deadline = nanoseconds < os::never - now ? now + nanoseconds : os::never;
        for (;;) {
            if (waits_ || next_ == last_tail_) pace_.wait(deadline);
            const tapped found = next();
            if (found.event != tap_event::nothing || os::steady_clock() >= deadline) return found;
        }
    }

private:
    static constexpr std::uint64_t window = 65536;  // bytes that are copied at once, if slots are not larger

    /// The bytes of a slot that are copied: up to the end of the element, and of the stamp.
    [[nodiscard]] std::uint64_t slot_bytes() const noexcept {
        return layout::greater(plan_.payload_offset + element_size_, plan_.stamp_offset + 8);
    }
    static tapped only(tap_event event) noexcept { return {event, 0, 0, {}}; }

    /// Passes over tickets that have been overwritten.
    [[nodiscard]] tapped skip(std::uint64_t count) noexcept {
        const tapped result{tap_event::missed, space_.distance(0, next_), count, {}};
        next_ = after_missed_;
        return result;
    }

    // The header and the tail. False: this is not the queue any more that the tap was opened on.
    [[nodiscard]] bool read_tail(std::uint64_t& tail) const noexcept {
        struct {
            observed_header stored;
            std::uint64_t zeroes[14];
            std::uint64_t tail;
        } beginning;
        static_assert(offsetof(decltype(beginning), tail) == offsetof(layout::prefix, words.tail));
        if (!file_->fetch(&beginning, sizeof beginning, 0) || !(beginning.stored == stored_)) return false;
        tail = beginning.tail;
        return space_.valid(space_.ticket_of(tail)) && !ticket_space::before(space_.ticket_of(tail), next_);
    }

    // The count of irregularities, and then the tail: what has been counted concerns places before it, which are not
    // to be believed once they are free.
    [[nodiscard]] bool read_irregular(std::uint64_t& tail) noexcept {
        std::uint64_t irregular = 0;
        if (!file_->fetch(&irregular, sizeof irregular, offsetof(layout::prefix, words.irregular_count))) return false;
        if (!read_tail(tail)) return false;
        tail = space_.ticket_of(tail);
        if (irregular != irregular_) in_order_from_ = tail;
        irregular_ = irregular;
        return true;
    }

    // Copies what comes next, as far as it lies in a row. Returns how many tickets must be passed over first.
    [[nodiscard]] std::uint64_t look() {
        done_ = copied_ = 0;
        last_look_ = tap_event::nothing;
        waits_ = false;
        std::uint64_t tail = 0;
        if (!read_tail(tail)) return lose();
        const bool closed = space_.closed(tail);
        tail = space_.ticket_of(tail);
        pace_.looked(os::steady_clock(), space_.distance(last_tail_, tail), space_.capacity());
        last_tail_ = tail;
        const std::uint64_t ahead = space_.distance(next_, tail);
        if (ahead == 0) {
            if (closed) last_look_ = tap_event::ended;
            return read_irregular(tail) ? 0 : lose();
        }
        if (ahead > space_.capacity()) return miss_up_to(tail);
        const std::uint64_t in_lap = space_.capacity() - space_.index(next_);
        const std::uint64_t ready = published(layout::lesser(layout::lesser(ahead, in_lap), slots_at_once_));
        waits_ = ready == 0;
        return waits_ || is_lost_ ? 0 : copy(ready);
    }
    std::uint64_t lose() noexcept {
        is_lost_ = true;
        return 0;
    }

    // Far enough behind the producers not to be overtaken at once.
    [[nodiscard]] std::uint64_t miss_up_to(std::uint64_t tail) noexcept {
        after_missed_ = ticket_before(space_, tail, layout::greater(space_.capacity() / 2, 1));
        return space_.distance(next_, after_missed_);
    }

    // How many of the next tickets have been published.
    [[nodiscard]] std::uint64_t published(std::uint64_t most) {
        std::uint64_t head = 0;
        if (!file_->fetch(&head, sizeof head, offsetof(layout::prefix, words.head))) return lose();
        // Relaxed would do: [I1]. A ticket that is claimed for a pop has been published.
        std::uint64_t ready = 0;
        if (space_.valid(head) && ticket_space::before(next_, head))
            ready = layout::lesser(most, space_.distance(next_, head));
        const observed_ring ring({*file_, plan_}, space_.capacity());
        while (ready < most) {
            if (!ring.read_stamps(space_.index(next_) + ready, most - ready, stamps_)) return lose();
            for (const std::uint64_t stamp : stamps_) {
                const std::uint64_t full = make_stamp(space_.lap(next_), slot_state::full);
                if (ticket_space::before(stamp, full)) return ready;
                ++ready;
            }
        }
        return ready;
    }

    // Copies the slots of published tickets. Returns how many of them had been overwritten by then.
    [[nodiscard]] std::uint64_t copy(std::uint64_t count) {
        const std::uint64_t place = plan_.slots_offset + space_.index(next_) * plan_.slot_stride;
        const std::uint64_t size = (count - 1) * plan_.slot_stride + slot_bytes();
        std::uint64_t tail = 0;
        if (!file_->fetch(room_.data(), size, place) || !read_irregular(tail)) return lose();
        if (space_.distance(next_, tail) > space_.capacity()) {
            const std::uint64_t overwritten = space_.distance(next_, tail) - space_.capacity();
            if (overwritten >= count) return miss_up_to(tail);
            // The others are whole.
            copied_ = count;
            done_ = overwritten;
            after_missed_ = next_ + overwritten;
            return overwritten;
        }
        copied_ = count;
        return 0;
    }

    // The next of the copies. `nothing`: it is no message.
    [[nodiscard]] tapped take() noexcept {
        const std::uint64_t ticket = next_;
        const std::byte* const slot = reinterpret_cast<const std::byte*>(room_.data()) + done_ * plan_.slot_stride;
        std::uint64_t stamp = 0;
        std::memcpy(&stamp, slot + plan_.stamp_offset, sizeof stamp);
        const std::uint64_t state = stamp - space_.lap(ticket);
        next_ = space_.next(ticket);
        ++done_;
        if (state == static_cast<std::uint64_t>(slot_state::tombstone)) return only(tap_event::nothing);
        const bool held = state != 0 && state <= delivery_state::last;
        const bool popped = stamp == space_.lap_after(ticket) && !ticket_space::before(ticket, in_order_from_);
        const std::uint64_t number = space_.distance(0, ticket);
        if (!held && !popped) return {tap_event::missed, number, 1, {}};
        return {tap_event::message, number, 0, {slot + plan_.payload_offset, element_size_}};
    }

    std::shared_ptr<const observed_file> file_;
    observed_header stored_;
    layout::plan plan_;
    ticket_space space_;
    std::uint64_t element_size_;
    std::uint64_t slots_at_once_;
    std::vector<std::uint64_t> room_;    // copies of slots in a row
    std::vector<std::uint64_t> stamps_;  // of those to come
    std::uint64_t copied_ = 0;           // how many slots the room holds
    std::uint64_t done_ = 0;             // how many of them have been taken
    std::uint64_t next_ = 0;             // the ticket of the next one
    std::uint64_t after_missed_ = 0;
    std::uint64_t last_tail_ = 0;
    std::uint64_t irregular_;
    std::uint64_t in_order_from_ = 0;
    tap_event last_look_ = tap_event::nothing;
    bool is_lost_ = false;
    bool waits_ = false;  // for a push in progress
    tap_pace pace_;
};

}  // namespace promisqs::detail
