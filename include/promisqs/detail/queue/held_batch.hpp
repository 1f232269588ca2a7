// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages that a process has claimed and not released yet: one that came back, or several in a row. They have a
// participant entry of their own, so that a thread can hold many, and goes on with pushes and pops in the meantime.
// This header only declares; definitions.hpp defines.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace promisqs::detail {

/// It can be moved. Its destructor leaves what is not released to other consumers. A forked child holds nothing.
class held_batch {
public:
    held_batch() noexcept = default;
    /// Takes an entry.
    ///
    /// \throws  as `session::borrow_entry`
    explicit held_batch(const queue_base& source);
    held_batch(held_batch&& other) noexcept { swap(other); }
    held_batch& operator=(held_batch&& other) noexcept {
        held_batch taken(std::move(other));
        taken.swap(*this);
        return *this;
    }
    ~held_batch() { give_back_rest(); }

    /// Makes an attempt to claim a message that came back, or up to `most` that wait in a row.
    ///
    /// \throws  `queue_error` with `errc::in_callable`, in a child that was forked since the entry was taken: it is the
    ///          parent's
    bool claim(std::uint64_t most);
    /// The entry, and where the claim of a single message is put. For a driver that finds one.
    [[nodiscard]] layout::participant& entry() noexcept { return *entry_; }
    [[nodiscard]] detail::claim& single() noexcept { return single_; }
    /// To be called once messages are claimed.
    void hold() noexcept;

    /// How many messages there are, released or not.
    [[nodiscard]] std::uint64_t size() const noexcept { return made_.size; }
    /// How many are not released.
    [[nodiscard]] std::uint64_t left() const noexcept { return is_here() ? left_ : 0; }
    /// \pre  i < size()
    [[nodiscard]] const void* payload(std::uint64_t i) const noexcept;
    /// \pre  i < size()
    [[nodiscard]] std::uint64_t number(std::uint64_t i) const noexcept;
    [[nodiscard]] bool is_held(std::uint64_t i) const noexcept;
    /// \return  whether it was held
    bool release(std::uint64_t i) noexcept;
    void give_back() noexcept { *this = held_batch(); }

private:
    void give_back_rest() noexcept;
    void swap(held_batch& other) noexcept;
    [[nodiscard]] bool is_here() const noexcept { return entry_ != nullptr && forks_ == fork_count; }
    [[nodiscard]] detail::claim at(std::uint64_t i) const noexcept;
    void return_entry() noexcept;

    std::shared_ptr<detail::session> session_;
    layout::participant* entry_ = nullptr;
    batch made_{};
    detail::claim single_{layout::no_ticket, 0};
    std::uint64_t state_ = 0;  // of the slots, in their stamps
    std::uint64_t left_ = 0;
    std::uint64_t forks_ = 0;  // `fork_count` when the entry was taken
};

/// Claims messages that are to be held.
struct claim_to_hold {
    static constexpr role whose = role::consumer;
    held_batch& room;
    std::uint64_t most;

    template <class Queue>
    bool attempt(const Queue& /*queue*/, layout::participant& /*self*/) const {
        return room.claim(most);
    }
    void describe(operation& described) const noexcept {
        described.made = &room.single();
        described.entry = &room.entry();
    }
};

}  // namespace promisqs::detail
