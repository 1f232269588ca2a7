// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/protocol/delivery_state.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/stats.hpp>

#include <atomic>
#include <cstdint>

namespace promisqs::detail {

/// Finishes claims that no living participant owns, each from the stamp that was read before that was known. If the
/// stamp has changed since, the claim is over, and nothing is done.
///
/// `Letters` takes messages that are dropped. `bool stage(const void*)` copies a message that others may still be
/// overwriting; false postpones. `void commit()` confirms that we removed it.
template <class Memory, class Letters>
class abandoned_claims {
public:
    /// \param max_deaths  a message is dropped after this many deaths; 0: never
    /// \param report      where what is done is counted
    abandoned_claims(const ring<Memory>& ring, Letters& letters, std::uint64_t max_deaths,
                     recovery_report& report) noexcept
        : ring_(ring), letters_(letters), max_deaths_(max_deaths), report_(report) {}

    /// Whether the stamp of a slot has been changed.
    [[nodiscard]] bool changed() const noexcept { return changed_; }

    /// Finishes a push. The slot's stamp was *free* in the ticket's lap.
    void finish_push(std::uint64_t ticket) {
        const std::uint64_t lap = ring_.space().lap(ticket);
        std::uint64_t stamp = make_stamp(lap, slot_state::free);
        // First, so that a process that is killed in between has counted too many, and never too few: if the tally has
        // not changed, there is no new tombstone. Relaxed: [R5] comes after it.
        auto& tally = ring_.memory().tombstones();
        tally.fetch_add(1, std::memory_order_relaxed);
        // [R5] release, pairs with [C1]: what the dead producer wrote into the slot comes before the next producer's
        // bytes. Relaxed would let it come after. Failing orders nothing: the push is over.
        if (ring_.stamp_of(ticket).compare_exchange_strong(stamp, make_stamp(lap, slot_state::tombstone),
                                                           std::memory_order_release, std::memory_order_relaxed)) {
            ring_.count_irregularity();
            ++report_.tombstones;
            changed_ = true;
        } else {
            tally.fetch_add(~std::uint64_t{0}, std::memory_order_relaxed);  // takes it back
        }
    }

    /// Finishes a pop. False: it is to be finished later.
    ///
    /// \param state   what the slot's stamp was in the ticket's lap: full, tombstone, or retaken
    /// \param blamed  whether the message may have been the cause of the death
    [[nodiscard]] bool finish_pop(std::uint64_t ticket, const delivery_state& state, bool blamed) {
        const std::uint64_t stamp = ring_.space().lap(ticket) + state.value();
        if (state.value() == static_cast<std::uint64_t>(slot_state::tombstone)) {
            free_tombstone(ticket, stamp);
        } else if (!blamed) {
            // As when it is requeued. Where the state can't grow, we hold the recovery lock.
            make_orphan(ticket, stamp, state.can_be_requeued() ? state.after_requeue() : state.saturated());
        } else if (max_deaths_ != 0 && state.deaths() + 1 >= max_deaths_) {
            return drop(ticket, stamp);
        } else {
            make_orphan(ticket, stamp, state.after_death());
        }
        return true;
    }

private:
    void free_tombstone(std::uint64_t ticket, std::uint64_t stamp) {
        // Relaxed: it carries on what the maker of the tombstone released. Nobody has read the slot's bytes since.
        ring_.stamp_of(ticket).compare_exchange_strong(stamp, free_after(ticket), std::memory_order_relaxed,
                                                       std::memory_order_relaxed);
        changed_ = true;
    }

    void make_orphan(std::uint64_t ticket, std::uint64_t stamp, const delivery_state& state) {
        const std::uint64_t lap = ring_.space().lap(ticket);
        // [R7] release, pairs with [D4] and [C7]: the dead consumer's reads of the element come before the next
        // producer's bytes, and a consumer that finds the orphan sees the element. Relaxed would let it be written over
        // before. Failing orders nothing: the pop is over.
        if (ring_.stamp_of(ticket).compare_exchange_strong(stamp, lap + state.value(), std::memory_order_release,
                                                           std::memory_order_relaxed)) {
            ring_.count_irregularity();
            ++report_.messages_to_redeliver;
            changed_ = true;
        }
    }

    // False: it is to be dropped later.
    [[nodiscard]] bool drop(std::uint64_t ticket, std::uint64_t stamp) {
        if (!letters_.stage(ring_.payload({ticket, stamp}))) return false;
        // [R8] release, pairs with [P1] and [B5]: the dead consumer's reads of the element, and our copy, come before
        // the next producer's bytes. Relaxed would let them come after. Failing orders nothing: the pop is over.
        if (ring_.stamp_of(ticket).compare_exchange_strong(stamp, free_after(ticket), std::memory_order_release,
                                                           std::memory_order_relaxed)) {
            ++report_.messages_dropped;
            changed_ = true;
            letters_.commit();
        }
        return true;
    }

    // The stamp of a ticket's slot once it is free for the next lap.
    [[nodiscard]] std::uint64_t free_after(std::uint64_t ticket) const noexcept {
        return make_stamp(ring_.space().lap_after(ticket), slot_state::free);
    }

    const ring<Memory>& ring_;
    Letters& letters_;
    std::uint64_t max_deaths_;
    recovery_report& report_;
    bool changed_ = false;
};

}  // namespace promisqs::detail
