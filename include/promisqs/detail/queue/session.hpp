// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/deadline.hpp>
#include <promisqs/detail/lifecycle/open.hpp>
#include <promisqs/detail/os/backoff.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/protocol/held_places.hpp>
#include <promisqs/detail/protocol/participants.hpp>
#include <promisqs/detail/protocol/recovery.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>
#include <promisqs/detail/queue/closing.hpp>
#include <promisqs/detail/queue/dead_letters.hpp>
#include <promisqs/detail/queue/recovery_lock.hpp>
#include <promisqs/detail/queue/recovery_schedule.hpp>
#include <promisqs/detail/queue/recovery_workspace.hpp>
#include <promisqs/detail/queue/reentrancy.hpp>
#include <promisqs/detail/queue/refusals.hpp>
#include <promisqs/detail/queue/stall.hpp>
#include <promisqs/detail/queue/thread_entries.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/stats.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace promisqs::detail {

inline untyped_ring ring_of(const segment& object, const checked_header& header, bool full_barriers = false) noexcept {
    const layout::plan& plan = header.plan;
    slot_array<runtime_stride> memory(object.counters(), object.at<std::byte>(plan.slots_offset),
                                      {plan.slot_stride, plan.payload_offset, plan.stamp_offset});
    if (full_barriers) memory.use_full_barriers();
    return {memory, header.capacity, single_roles::of_bits(header.single_roles)};
}

/// One process's use of one queue, shared by the copies of a handle: the segment, the participant entries of this
/// process's threads, and recovery.
class session {
public:
    explicit session(joined_segment joined)
        : joined_(std::move(joined)),
          table_(object().at<layout::participant>(layout::participants_offset), header().participants,
                 object().counters()),
          has_heavy_barriers_(header().single_roles == 0 || os::join_heavy_barriers()),
          ring_(ring_of(object(), header(), !has_heavy_barriers_)),
          entries_(object(), table_),
          closer_(ring_, table_, object().file()),
          dropped_(header().element_size, header().element_alignment),
          schedules_{recovery_schedule(ring_.memory().look_due(role::producer)),
                     recovery_schedule(ring_.memory().look_due(role::consumer))},
          workspace_(header().participants, header().capacity) {}

    session(const session&) = delete;
    session& operator=(const session&) = delete;
    [[gnu::__cold__]] ~session() {}  // NOLINT(modernize-use-equals-default): compiled for size

    [[nodiscard]] const joined_segment& joined() const noexcept { return joined_; }
    [[nodiscard]] const segment& object() const noexcept { return joined_.object(); }
    [[nodiscard]] const checked_header& header() const noexcept { return joined_.header(); }
    [[nodiscard]] const std::string& name() const noexcept { return object().name(); }
    [[nodiscard]] const participant_table& participants() const noexcept { return table_; }
    [[nodiscard]] const untyped_ring& ring() const noexcept { return ring_; }
    [[nodiscard]] const detail::closer& closer() const noexcept { return closer_; }
    [[nodiscard]] dead_letters& dropped() noexcept { return dropped_; }
    /// False: this process's light barriers must be full ones.
    [[nodiscard]] bool has_heavy_barriers() const noexcept { return has_heavy_barriers_; }

    /// How a thread finds its entry again.
    [[nodiscard]] entry_key key() const noexcept { return {object().file().id(), entries_.place()}; }

    /// The calling thread's entry for a role. The first call of a thread takes a lock and makes system calls.
    ///
    /// \throws  `queue_error` with `errc::too_many_participants`, `errc::role_taken`, or `errc::system_failure`
    [[nodiscard, gnu::__cold__]] layout::participant& enlist(role which) {
        layout::participant& entry = find_or_enlist();
        if (ring_.roles().is_single(which)) take_role(which, table_.index_of(entry));
        return entry;
    }

    /// An entry of no thread, for messages that are held.
    ///
    /// \throws  `queue_error` with `errc::too_many_participants` or `errc::system_failure`; `std::bad_alloc`
    [[nodiscard, gnu::__cold__]] layout::participant& borrow_entry() {
        refuse_in_callable(object().file().id(), name());
        return enlist_by([&] { return entries_.borrow(); });
    }
    /// Takes it back.
    void return_entry(layout::participant& entry) noexcept { entries_.take_back(entry); }

    /// A count of the ring's irregularities, up to which no message was found that came back. Any thread may store it.
    [[nodiscard]] std::atomic<std::uint64_t>& none_returned() noexcept { return none_returned_; }

    /// Recovers what dead participants have left. Never waits.
    ///
    /// \param self  the calling thread's entry, if it has one, and no claim open
    /// \throws      `queue_error` with `errc::system_failure`; what the handler of dropped messages throws
    recovery_report recover(const layout::participant* self) {
        recovery_report report;
        if (const int error = try_recover(self, recovery_extent::full(), report)) {
            if (object().file().observer() < 0) entries_.raise_lost();
            object().raise(error, "take the recovery lock of it");
        }
        return report;
    }

    /// As `recover`, but leaves poison messages in the queue: a caller that has just opened it had no time to set a
    /// handler.
    void recover_without_dropping() {
        recovery_report report;
        static_cast<void>(recover_with(nullptr, dead_letters::slot(dropped_, false), recovery_extent::full(), report));
    }

    /// When participants that sleep on the wait word of a role look for the dead.
    [[nodiscard]] recovery_schedule& schedule(role whose) noexcept {
        return schedules_[static_cast<std::size_t>(whose)];
    }

    /// What `recover_if_due` has come to.
    struct look {
        std::uint64_t promise = 0;  ///< when the caller is to look again; 0: others do
        bool redelivers = false;    ///< whether there is now a message to be delivered again
    };
    /// As `recover`, if nobody else does so soon enough. Where the system refuses the lock, recovery is left to other
    /// processes.
    ///
    /// \param whose   on which word the caller waits
    /// \param wanted  how soon the next look is to be, in nanoseconds
    /// \param now     by a steady clock, which may be a little behind
    /// \param keeps   whether the caller sleeps until then, and then looks again
    /// \param row     how many slots in a row it waits for
    look recover_if_due(const layout::participant* self, role whose, std::uint64_t wanted, std::uint64_t now,
                        bool keeps, std::uint64_t row = 1) {
        const look result{.promise = schedule(whose).promise(wanted, now, keeps)};
        return result.promise == 0 ? result : recover_as_promised(self, row, result);
    }

    /// Calls `act()` while no recovery is in progress anywhere; waits for one to end. False: the system refused the
    /// lock.
    template <class Act>
    bool between_recoveries(Act act) noexcept {
        for (backoff wait;; wait()) {
            const recovery_lock lock(object().file());
            if (lock.failure() != 0) return false;
            if (!lock.owns_lock()) continue;
            act();
            return true;
        }
    }

    /// Wakes participants that sleep on the word of a role.
    ///
    /// \param wanted  how many can go on now
    void wake(role whose, std::uint64_t wanted) const noexcept {
        wait_word word = wait_word_of(whose);
        for (;; wanted = wait_word::everybody) {
            const wait_word::call made = word.prepare(wanted);
            if (made.sleepers == 0) return;
            const auto left = word.settle(made, os::wake(word.futex(), made.sleepers));
            if (left == wait_word::rest::wake_joiners) os::wake(word.futex(), os::everybody);
            if (left != wait_word::rest::wake_all) return;
        }
    }
    void wake_all() const noexcept {
        for (const role whose : {role::producer, role::consumer}) wake(whose, wait_word::everybody);
    }

    /// What the participants of a role sleep on.
    [[nodiscard]] wait_word wait_word_of(role whose) const noexcept {
        return wait_word(ring_.memory().wait_word(whose));
    }

    /// Closes the queue, and wakes all participants that sleep.
    void close() noexcept {
        closer_.close();
        wake_all();
    }
    /// Completes a closing that was left half done.
    ///
    /// \return  whether there was one
    bool complete_closing() const noexcept {
        if (!closer_.complete()) return false;
        wake_all();
        return true;
    }

    /// Whether a process, alive but perhaps stopped, is recovering the queue.
    [[nodiscard]] bool is_being_recovered() const noexcept {
        return os::byte_is_locked(object().file().descriptor(), layout::recovery_byte);
    }

    /// Whether a push of `row` messages finds the queue full of what a process holds.
    [[nodiscard]] bool is_full_of_held(std::uint64_t row) const noexcept {
        return promisqs::detail::is_full_of_held(ring_, table_, row);
    }

    /// Whether the owner of an occupied entry is alive.
    [[nodiscard]] bool is_alive(std::uint32_t i) const noexcept {
        return os::byte_is_locked(object().file().observer(), layout::participants_byte + i);
    }

private:
    [[gnu::__cold__]] layout::participant& find_or_enlist() {
        refuse_in_callable(object().file().id(), name());
        return enlist_by([&] { return entries_.find_or_enlist(); });
    }
    // \param attempt  returns an entry, or null while there is none
    template <class Attempt>
    [[gnu::__cold__]] layout::participant& enlist_by(Attempt attempt) {
        if (layout::participant* entry = attempt()) return *entry;
        // The entries of dead participants can be used again. A recovery in another process is waited for.
        for (const deadline limit(patience);;) {
            recovery_report report;
            static_cast<void>(try_recover(nullptr, recovery_extent::strict(), report));
            if (layout::participant* entry = attempt()) return *entry;
            if (!report.in_progress_elsewhere || !limit.wait()) raise_too_many(name(), table_, report);
        }
    }

    // Waits for nothing but a recovery in another process.
    [[gnu::__cold__]] void take_role(role which, std::uint32_t i) {
        if (barriers_of_fork_.load(std::memory_order_relaxed) != fork_count) {
            os::join_heavy_barriers();
            barriers_of_fork_.store(fork_count, std::memory_order_relaxed);
        }
        for (const deadline limit(patience); !table_.take_role(which, i);) {
            recovery_report report;
            static_cast<void>(try_recover(&table_[i], recovery_extent::strict(), report));
            if (table_.take_role(which, i)) return;
            if (!report.in_progress_elsewhere || !limit.wait()) raise_role_taken(name(), table_, which);
        }
    }

    // Returns 0, or why the system refused the lock, as an `errno`.
    int try_recover(const layout::participant* self, const recovery_extent& extent, recovery_report& report) {
        const int error = recover_with(self, dead_letters::slot(dropped_, true), extent, report);
        dropped_.deliver();
        return error;
    }
    look recover_as_promised(const layout::participant* self, std::uint64_t row, look result) {
        note_stalls(object().counters(), ring_);
        recovery_report report;
        static_cast<void>(try_recover(self, recovery_extent::piece(row), report));
        result.redelivers = report.messages_to_redeliver != 0;
        return result;
    }
    void looked(std::uint64_t begun) noexcept {
        for (recovery_schedule& one : schedules_) one.looked(begun);
    }
    int recover_with(const layout::participant* self, dead_letters::slot letters, const recovery_extent& extent,
                     recovery_report& report) {
        const std::uint64_t begun = os::steady_clock();
        recovery_lock lock(object().file());
        report.in_progress_elsewhere = !lock.owns_lock() && lock.failure() == 0;
        if (!lock.owns_lock()) {
            looked(begun);
            return lock.failure();
        }
        recovery work(ring_, table_, lock, letters, header().max_deaths, workspace_.notes(), extent, self);
        report = work.run();
        if (work.changed()) wake_all();
        auto& counters = object().counters();
        counters.redelivered.fetch_add(report.messages_to_redeliver, std::memory_order_relaxed);
        counters.dropped.fetch_add(report.messages_dropped, std::memory_order_relaxed);
        looked(begun);
        return 0;
    }

    joined_segment joined_;
    participant_table table_;
    bool has_heavy_barriers_;
    std::atomic<std::uint64_t> barriers_of_fork_ = fork_count;  // when it joined them; a forked child joins once more
    untyped_ring ring_;
    thread_entries entries_;
    detail::closer closer_;
    dead_letters dropped_;
    std::array<recovery_schedule, 2> schedules_;
    recovery_workspace workspace_;
    std::atomic<std::uint64_t> none_returned_ = 0;
};

}  // namespace promisqs::detail

#pragma GCC visibility pop
