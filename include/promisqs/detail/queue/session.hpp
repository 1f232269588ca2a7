// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/open.hpp>
#include <promisqs/detail/os/backoff.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/protocol/participants.hpp>
#include <promisqs/detail/protocol/recovery.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/protocol/wait_word.hpp>
#include <promisqs/detail/queue/dead_letters.hpp>
#include <promisqs/detail/queue/recovery_lock.hpp>
#include <promisqs/detail/queue/stall.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

// Of these a process must have only one, though its shared libraries hide what they can.
#pragma GCC visibility push(default)

namespace promisqs::detail {

/// A ring whose element type is not known.
using untyped_ring = ring<slots<runtime_stride>>;

inline untyped_ring ring_of(const segment& object, const checked_header& header) noexcept {
    const layout::plan& plan = header.plan;
    return {slots<runtime_stride>(object.counters(), object.at<std::byte>(plan.slots_offset),
                                  {plan.slot_stride, plan.payload_offset}),
            header.capacity, single_roles::of_bits(header.single_roles)};
}

/// The queues in which the calling thread has a claim open, while a callable of the user's runs. Until its end the thread can't
/// push or pop in the same queue: its entry holds one claim at a time, and a second one would leave the first without an owner.
struct claimed_queue {
    std::uint64_t file_id;
    const claimed_queue* outer;
};
inline constinit thread_local const claimed_queue* claimed_queues = nullptr;

[[noreturn]] inline void raise_in_callable(const std::string& queue) {
    throw queue_error(
        errc::in_callable, queue,
        "expected neither a push, pop or peek of the same queue nor a return from fork() inside the callable of "
        "push_with or pop_with, found one; do it after the call, or through another handle, opened by its name");
}

/// One process's use of a queue, shared by the copies of a handle: the segment, and the participant entries of this process's
/// threads in it. A thread gets its entry on its first push or pop, and gives it back when it ends, or when the last copy of
/// the handle goes.
class session {
    // What this process knows about its threads' entries is, in a forked child, its parent's.
    static void forget_known_entries() noexcept { known_entries = {}; }
    static inline const int at_fork = os::at_fork(nullptr, nullptr, &forget_known_entries);

public:
    explicit session(joined_segment joined)
        : joined_(std::move(joined)),
          table_(object().at<layout::participant>(layout::participants_offset), header().participants,
                 object().counters()),
          ring_(ring_of(object(), header())),
          dropped_(header().element_size),
          has_heavy_barriers_(!roles().producer && !roles().consumer ? true : os::join_heavy_barriers()) {
        const std::lock_guard guard(shared_file::process_mutex());
        forks_ = shared_file::forks();
        next_ = std::exchange(first_, this);
    }

    session(const session&) = delete;
    session& operator=(const session&) = delete;

    ~session() {
        const std::lock_guard guard(shared_file::process_mutex());
        forget_parents_entries();
        for (const enlisted& one : entries_) leave(one.entry);
        session** link = &first_;
        while (*link != this) link = &(*link)->next_;
        *link = next_;
    }

    [[nodiscard]] const segment& object() const noexcept { return joined_.object(); }
    [[nodiscard]] const checked_header& header() const noexcept { return joined_.header(); }
    [[nodiscard]] const single_roles& roles() const noexcept { return ring_.roles(); }

    [[nodiscard]] const participant_table& participants() const noexcept { return table_; }
    /// False: this process's light barriers must be full ones.
    [[nodiscard]] bool has_heavy_barriers() const noexcept { return has_heavy_barriers_; }
    [[nodiscard]] const untyped_ring& ring() const noexcept { return ring_; }

    /// What to call with the messages that are dropped through this.
    void on_dropped(dead_letters::callable callable) { dropped_.set(std::move(callable)); }

    /// Settles what the dead have left. Never waits.
    ///
    /// \param myself  the calling thread's entry, if it has one, and no claim open
    /// \par Throws    `queue_error` with `errc::system_failure`; what the callable for dropped messages throws
    recovery_report recover(const layout::participant* myself) {
        recovery_report report;
        if (const int error = try_recover(myself, report)) {
            if (object().file().observer() < 0) raise_lost();
            object().raise(error, "take the recovery lock of it");
        }
        return report;
    }

    /// Likewise, but leaves messages that would be dropped for later: for whoever had no time to set a callable.
    void recover_without_dropping() {
        recovery_report report;
        static_cast<void>(recover_with(nullptr, dead_letters::closed(), report));
    }

    /// Likewise, if some time has passed since this process did the last time. Where the system refuses the lock, it is left to
    /// others.
    ///
    /// \param now  by a steady clock, which may be a little behind
    /// \return     whether there is now a message to be delivered again
    bool recover_if_due(const layout::participant* myself, std::uint64_t interval, std::uint64_t now) {
        if (!schedule_.due(interval, now)) [[likely]]
            return false;
        note_stalls();
        recovery_report report;
        static_cast<void>(try_recover(myself, report));
        return report.messages_to_redeliver != 0;
    }

    /// Calls `act()` while no recovery is in progress anywhere; waits for one to end. False: the system refused the lock.
    template <class Act>
    bool between_recoveries(Act act) noexcept {
        for (backoff wait;; wait()) {
            const recovery_lock locks(object().file());
            if (locks.failure() != 0) return false;
            if (!locks.held()) continue;
            act();
            return true;
        }
    }

    /// Throws if the calling thread has a claim open: it would wait for itself.
    void refuse_in_callable() const {
        for (const claimed_queue* one = claimed_queues; one != nullptr; one = one->outer) {
            if (one->file_id == object().file().id()) raise_in_callable(object().name());
        }
    }

    /// What the participants of a side sleep on.
    [[nodiscard]] wait_word wait_word_of(role whose) const noexcept {
        return wait_word(ring_.memory().wait_word(whose));
    }
    /// Wakes all participants of a role that sleep.
    void wake(role whose) const noexcept {
        wait_word word = wait_word_of(whose);
        if (word.clear_asleep()) os::wake(word.futex(), os::everybody);
    }
    void wake_all() const noexcept {
        for (const role whose : {role::producer, role::consumer}) wake(whose);
    }

    /// Closes the queue, and wakes all who sleep.
    void close() noexcept {
        if (roles().producer) {
            close_single_producer();
        } else {
            ring_.close();
        }
        wake_all();
    }

    /// Whether somebody has closed it.
    [[nodiscard]] bool is_closed() const noexcept {
        return ring_.closed() || (roles().producer && wait_word_of(role::consumer).has(layout::closing));
    }

    /// Of a queue that was found closed: whether no push can come to its end any more. A single producer, which claims by a plain store and
    /// may wipe the closed bit out with it, can be in the middle of one. What was found before may not be so any more.
    [[nodiscard]] bool is_closed_for_good() const noexcept {
        if (!roles().producer) return true;
        wait_word word = wait_word_of(role::consumer);
        if (word.has(layout::ended)) return true;
        wait_for_other_processors();
        // [Q2] seq_cst: after the barrier. See [Q1]: a producer that comes to its second look from here on sees the bit, and if one has been
        // there before, we see its intent. The entry of one that is dead is not waited for.
        const std::uint64_t tail = object().counters().tail.load(std::memory_order_seq_cst);
        const auto& space = ring_.space();
        if (!space.closed(tail) || may_be_pushing(space.ticket_of(tail))) return false;
        word.set(layout::ended);
        return true;
    }

    /// Whether somebody, alive but perhaps stopped, is settling what the dead have left.
    [[nodiscard]] bool is_being_recovered() const noexcept {
        return os::byte_is_locked(object().file().descriptor(), layout::recovery_byte);
    }

    /// Whether the owner of an occupied entry is alive.
    [[nodiscard]] bool is_alive(std::uint32_t i) const noexcept {
        return os::byte_is_locked(object().file().observer(), layout::participants_byte + i);
    }

    /// Writes down since when the head and the tail have been held, for `stats`.
    void note_stalls() const noexcept { note_stall(object().counters(), ring_); }

    /// What a handle keeps of its session to find the calling thread's entry by, with as few loads in a row as possible:
    /// a push's first store waits for the address of the entry.
    class key {
    public:
        explicit key(session& owner) noexcept
            : owner_(&owner),
              file_id_(owner.object().file().id()),
              place_(file_id_ % known_entries_of_a_thread::table().size()) {}

        /// Whether the calling thread has used this side of the queue before.
        [[nodiscard]] bool is_known(role which) const noexcept {
            return known_entries[which][place_].file_id == file_id_;
        }

        /// The entry of the calling thread, which is known.
        [[nodiscard]] layout::participant& known(role which) const noexcept {
            return *known_entries[which][place_].entry;
        }

        /// The calling thread's entry; the first call for a side takes a lock and makes system calls.
        ///
        /// \par Throws  `queue_error` with `errc::too_many_participants`, `errc::role_taken`, or `errc::system_failure`
        [[nodiscard]] layout::participant& me(role which) const {
            if (!is_known(which)) make_known(which);
            return known(which);
        }

        /// Notes that the calling thread, which is known, finds this ticket not ready.
        ///
        /// \return  at which ticket that was so the last time; at first, `no_ticket`
        std::uint64_t is_idle_at(role which, std::uint64_t ticket) const noexcept {
            return std::exchange(known_entries[which][place_].idle_at, ticket);
        }

        /// The calling thread's entry; null if it has none yet, or has a claim open.
        [[nodiscard]] layout::participant* me_if_known() const noexcept {
            for (const role which : {role::producer, role::consumer}) {
                if (is_known(which)) return &known(which);
            }
            return nullptr;
        }

    private:
        friend class reentrancy_guard;

        // On both sides, unless the other one is for a single participant.
        void make_known(role which) const {
            const known_entry mine{file_id_, &owner_->find_or_enlist(which), layout::no_ticket};
            known_entries[which][place_] = mine;
            if (!owner_->roles().is_single(opposite(which))) known_entries[opposite(which)][place_] = mine;
        }

        session* owner_;
        std::uint64_t file_id_;
        std::size_t place_;
    };

private:
    // An entry, and whose it is: the address of what each thread has its own of.
    struct enlisted {
        const void* thread;
        layout::participant* entry;
    };
    static const void* this_thread() noexcept { return &known_entries; }

    // The bit may be wiped out by the store of a producer that was past its second look; that one sees `closing` at the end of its push, and
    // sets the bit again. Others see here that it is gone.
    void close_single_producer() noexcept {
        wait_word_of(role::consumer).set(layout::closing);
        for (int tries = 0; tries < 8; ++tries) {
            ring_.close();
            wait_for_other_processors();
            if (ring_.closed()) return;
        }
    }

    static void wait_for_other_processors() noexcept {
        // Where the kernel refuses: longer than any processor keeps a store to itself.
        if (!os::heavy_barrier()) os::nap();
    }

    [[nodiscard]] bool may_be_pushing(std::uint64_t ticket) const noexcept {
        for (std::uint32_t i = 0; i < table_.count(); ++i) {
            const auto& entry = table_[i];
            if (entry.occupied.load(std::memory_order_relaxed) == 0) continue;
            if (entry.push_intent.load(std::memory_order_acquire) == ticket && is_alive(i)) return true;
        }
        return false;
    }

    // How the table asks for the kernel's locks.
    struct entry_locks {
        const segment& object;
        [[nodiscard]] bool try_lock(std::uint32_t i) const {
            return object.try_lock(layout::participants_byte + i, os::lock_kind::exclusive);
        }
        void unlock(std::uint32_t i) const noexcept { object.file().unlock(layout::participants_byte + i); }
    };

    layout::participant& find_or_enlist(role which) {
        layout::participant& entry = find_or_enlist();
        if (roles().is_single(which)) take_role(which, table_.index_of(entry));
        return entry;
    }

    layout::participant& find_or_enlist() {
        refuse_in_callable();
        if (layout::participant* entry = try_find_or_enlist()) return *entry;
        // Those of the dead can be used again. Somebody else who is settling them is waited for.
        for (const deadline limit(patience);;) {
            recovery_report report;
            static_cast<void>(try_recover(nullptr, report));
            if (layout::participant* entry = try_find_or_enlist()) return *entry;
            if (!report.in_progress_elsewhere || !limit.wait()) raise_too_many(report);
        }
    }

    // Waits for nobody but a recovery that somebody else is in the middle of.
    void take_role(role which, std::uint32_t i) {
        os::join_heavy_barriers();  // also in a forked child
        for (const deadline limit(patience); !table_.take_role(which, i);) {
            recovery_report report;
            static_cast<void>(try_recover(&table_[i], report));
            if (table_.take_role(which, i)) return;
            if (!report.in_progress_elsewhere || !limit.wait()) raise_role_taken(which);
        }
    }

    // Null: there is no free entry.
    layout::participant* try_find_or_enlist() {
        const std::lock_guard guard(shared_file::process_mutex());
        forget_parents_entries();
        const auto mine = std::ranges::find(entries_, this_thread(), &enlisted::thread);
        return mine != entries_.end() ? mine->entry : try_enlist();
    }

    layout::participant* try_enlist() {
        if (object().file().descriptor() < 0) raise_lost();
        entries_.reserve(entries_.size() + 1);
        entry_locks locks{object()};
        layout::participant* entry = table_.enlist(locks, {os::process_id(), os::thread_id(), os::wall_clock()});
        if (entry == nullptr) return nullptr;
        entries_.push_back({this_thread(), entry});
        static const auto at_end = os::thread_end_key(&end_of_thread);
        os::call_at_thread_end(at_end, entry);
        return entry;
    }

    // Returns 0, or why the system refused the lock, as an `errno`.
    int try_recover(const layout::participant* myself, recovery_report& report) {
        const int error = recover_with(myself, dead_letters::slot(dropped_), report);
        dropped_.deliver();
        return error;
    }
    template <class Letters>
    int recover_with(const layout::participant* myself, Letters letters, recovery_report& report) {
        const std::uint64_t begun = os::steady_clock();
        recovery_lock locks(object().file());
        report.in_progress_elsewhere = !locks.held() && locks.failure() == 0;
        if (!locks.held()) {
            schedule_.done(begun);
            return locks.failure();
        }
        recovery work(ring_, table_, locks, letters, header().max_deaths);
        report = work.run(myself);
        auto& counters = object().counters();
        if (work.changed()) wake_all();
        counters.tombstones.fetch_add(report.tombstones, std::memory_order_relaxed);
        counters.redelivered.fetch_add(report.messages_to_redeliver, std::memory_order_relaxed);
        counters.dropped.fetch_add(report.messages_dropped, std::memory_order_relaxed);
        schedule_.done(begun);
        return 0;
    }

    [[noreturn]] void raise_lost() const {
        throw queue_error(
            errc::system_failure, object().name(),
            "expected a descriptor of its own for the child of a fork(), found: " +
                std::generic_category().message(object().file().lost_because()) +
                "; raise RLIMIT_NOFILE (ulimit -n), see that /proc is mounted and that no privileges were given "
                "up since it was opened, or open it again in the child");
    }

    [[noreturn]] void raise_role_taken(role which) const {
        const bool pushes = which == role::producer;
        const std::string what = pushes ? "producer" : "consumer";
        std::string found = "somebody else";
        if (const std::uint32_t holder = table_.holder_of(which).load(std::memory_order_relaxed);
            holder != 0 && holder <= table_.count()) {
            const auto& entry = table_[holder - 1];
            found = "thread " + std::to_string(entry.tid.load(std::memory_order_relaxed)) + " of process " +
                    std::to_string(entry.pid.load(std::memory_order_relaxed));
        }
        throw queue_error(errc::role_taken, object().name(),
                          "expected a single " + what + ", as the queue was created with options::single_" + what +
                              ", found " + found +
                              " to be it, alive; let it end or close its handle first, or create " +
                              "the queue without that option");
    }

    [[noreturn]] void raise_too_many(const recovery_report& report) const {
        std::string found = "found all entries taken by threads that are alive";
        if (report.postponed != 0) {
            found += ", but for " + std::to_string(report.postponed) +
                     " dead ones at whose messages others, that are alive, are at work or stopped";
        }
        if (report.in_progress_elsewhere)
            found = "found all entries taken, and somebody (stopped?) settling those of the dead";
        throw queue_error(errc::too_many_participants, object().name(),
                          "expected at most " + std::to_string(table_.count()) +
                              " participants (threads that use the queue at once), " + found +
                              "; end some, or create it with a larger options::participants");
    }

    // Gives back all that the calling thread has, of all queues.
    static void end_of_thread(void* /*entry*/) noexcept {
        known_entries = {};
        const std::lock_guard guard(shared_file::process_mutex());
        for (session* one = first_; one != nullptr; one = one->next_) {
            one->forget_parents_entries();
            std::erase_if(one->entries_, [&](const enlisted& entry) {
                if (entry.thread != this_thread()) return false;
                one->leave(entry.entry);
                return true;
            });
        }
    }

    void leave(layout::participant* entry) const noexcept {
        entry_locks locks{object()};
        table_.leave(locks, *entry);
    }

    // In a forked child the entries are those of its parent's threads.
    void forget_parents_entries() noexcept {
        if (std::exchange(forks_, shared_file::forks()) != shared_file::forks()) entries_.clear();
    }

    // Of all in this process. Under `process_mutex`, like everything below that changes.
    static constinit inline session* first_ = nullptr;

    joined_segment joined_;
    participant_table table_;
    untyped_ring ring_;
    dead_letters dropped_;
    bool has_heavy_barriers_;
    recovery_schedule schedule_;
    std::vector<enlisted> entries_;
    std::uint64_t forks_ = 0;  // `shared_file::forks()` when the entries were taken
    session* next_ = nullptr;
};

}  // namespace promisqs::detail

#pragma GCC visibility pop
