// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/protocol/participants.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// A ring whose element type is not known.
using untyped_ring = ring<slot_array<runtime_stride>>;

/// Closes a queue, and tells when it is closed for good.
///
/// The closed bit is a part of `tail`. A declared single producer moves `tail` by a plain store, which may wipe the bit
/// out. So the closer leaves a second mark, `closing`, in the consumers' wait word, which the producer reads at the end
/// of each push; and a consumer trusts the bit only once no such push can be under way.
class closer {
public:
    closer(const untyped_ring& ring, const participant_table& table, shared_file& file) noexcept
        : ring_(ring), table_(table), file_(file) {}

    /// \par If killed
    ///   with a single producer, the queue may be marked as closing and not closed; the next participant completes it
    void close() const noexcept {
        if (!ring_.roles().producer) return ring_.close();
        word().set(layout::closing);
        for (int tries = 0; tries < 8; ++tries) {
            ring_.close();
            wait_for_other_processors();
            if (ring_.closed()) return;
        }
    }

    /// Completes a closing whose caller, or a producer that wiped the bit out, was killed.
    ///
    /// \return  whether there was one
    bool complete() const noexcept {
        if (!ring_.roles().producer || !word().has(layout::closing) || ring_.closed()) return false;
        ring_.close();
        return true;
    }

    /// Whether a process has closed the queue.
    [[nodiscard]] bool is_closed() const noexcept {
        return ring_.closed() || (ring_.roles().producer && word().has(layout::closing));
    }

    /// Of a queue that was found closed: whether no push can come to its end any more. What was found before may not
    /// be true any more.
    [[nodiscard]] bool is_final() const noexcept {
        if (!ring_.roles().producer || word().has(layout::ended)) return true;
        wait_for_other_processors();
        // [Q2] seq_cst, pairs with [Q1]: after the barrier. A producer that looks at `tail` from here on sees the bit.
        // If one has looked before, its intent is visible below. Acquire would let this load come before the barrier,
        // and miss both. The entry of a dead producer is not waited for.
        const std::uint64_t tail = ring_.memory().tail().load(std::memory_order_seq_cst);
        if (!ring_.space().closed(tail) || may_be_pushing(ring_.space().ticket_of(tail))) return false;
        word().set(layout::ended);
        return true;
    }

private:
    [[nodiscard]] wait_word word() const noexcept { return wait_word(ring_.memory().wait_word(role::consumer)); }

    static void wait_for_other_processors() noexcept {
        // Where the kernel refuses: longer than any processor keeps a store to itself.
        if (!os::heavy_barrier()) os::nap();
    }

    [[nodiscard]] bool may_be_pushing(std::uint64_t ticket) const noexcept {
        for (std::uint32_t i = 0; i < table_.count(); ++i) {
            const auto& entry = table_[i];
            if (entry.occupied.load(std::memory_order_relaxed) == 0) continue;
            // [Q3] acquire, pairs with [P2]: an intent that has moved on shows that the push before it is published.
            // Relaxed would let a consumer miss that message.
            const bool there = entry.push_intent.load(std::memory_order_acquire) == ticket;
            if (there && os::byte_is_locked(file_.observer(), layout::participants_byte + i)) return true;
        }
        return false;
    }

    const untyped_ring& ring_;
    const participant_table& table_;
    shared_file& file_;
};

}  // namespace promisqs::detail
