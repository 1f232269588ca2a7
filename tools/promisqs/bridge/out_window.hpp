// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/untyped_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <span>
#include <utility>

namespace promisqs_tool {

/// The messages that a bridge has claimed and that no acknowledgement has come for, in their order. Each has a place,
/// counted from 0 since the bridge was started. One thread at a time may use it.
class out_window {
public:
    using guard = promisqs::untyped_queue::claimed_messages;

    struct entry {
        std::span<const std::byte> message;  ///< in the queue
        std::uint64_t number;
        guard* holder;
        std::uint64_t index;
        bool acknowledged = false;
    };

    /// \param most  messages
    explicit out_window(std::uint64_t most) : most_(most) {}

    /// How many more messages may be claimed at once now.
    ///
    /// A claim takes a participant of the queue, so there are few at a time. When the window has been full, it is
    /// filled again by larger claims, not one for each acknowledgement.
    [[nodiscard]] std::uint64_t room() const noexcept {
        const std::uint64_t free = most_ - entries_.size();
        const std::uint64_t enough = was_full_ ? (most_ + 7) / 8 : 1;
        return guards_.size() < most_guards_ && free >= enough ? free : 0;
    }
    /// No more claims at once than there are now: the queue has no more participants.
    ///
    /// \return  false: there is none
    bool limit_claims() noexcept {
        most_guards_ = guards_.size();
        return most_guards_ != 0;
    }

    void add(guard&& claimed) {
        guards_.push_back(std::move(claimed));
        guard& holder = guards_.back();
        for (std::uint64_t i = 0; i < holder.size(); ++i) entries_.push_back({holder[i], holder.number(i), &holder, i});
        was_full_ = entries_.size() >= most_;
    }

    /// The places that are there: from the first to before the end.
    [[nodiscard]] std::uint64_t first() const noexcept { return first_; }
    [[nodiscard]] std::uint64_t end() const noexcept { return first_ + entries_.size(); }
    [[nodiscard]] std::uint64_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
    [[nodiscard]] const entry& at(std::uint64_t place) const noexcept { return entries_[place - first_]; }

    /// Releases a message.
    ///
    /// \return  whether it was not acknowledged before
    bool acknowledge(std::uint64_t place) noexcept {
        if (place < first_ || place >= end()) return false;
        entry& one = entries_[place - first_];
        if (std::exchange(one.acknowledged, true)) return false;
        const guard* const holder = one.holder;
        one.holder->release(one.index);
        while (!entries_.empty() && entries_.front().acknowledged) {
            entries_.pop_front();
            ++first_;
        }
        if (holder->held() == 0) guards_.remove_if([&](const guard& other) { return &other == holder; });
        return true;
    }

    /// Leaves all that are not acknowledged to other consumers.
    ///
    /// \return  how many
    std::uint64_t give_back() noexcept {
        std::uint64_t held = 0;
        for (guard& holder : guards_) held += holder.held();
        entries_.clear();
        guards_.clear();
        return held;
    }

private:
    static constexpr std::size_t usual_guards = 16;

    std::uint64_t most_;
    std::size_t most_guards_ = usual_guards;
    bool was_full_ = false;
    std::deque<entry> entries_;
    std::list<guard> guards_;  // at addresses that stay
    std::uint64_t first_ = 0;
};

}  // namespace promisqs_tool
