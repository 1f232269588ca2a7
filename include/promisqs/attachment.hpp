// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/backoff.hpp>
#include <promisqs/error.hpp>
#include <promisqs/held.hpp>
#include <promisqs/layout.hpp>
#include <promisqs/lifecycle.hpp>
#include <promisqs/participants.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/recovery.hpp>
#include <promisqs/rescue.hpp>
#include <promisqs/shared_file.hpp>
#include <promisqs/slot_memory.hpp>

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

namespace promisqs {

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
class attachment {
public:
    explicit attachment(joined_segment joined)
        : joined_(std::move(joined)),
          table_(object().at<layout::participant>(layout::participants_offset), header().participants),
          ring_(ring_of(object(), header().capacity, header().plan)),
          dropped_(header().element_size) {
        const std::lock_guard guard(shared_file::process_mutex());
        forks_ = shared_file::forks();
        next_ = std::exchange(first_, this);
    }

    attachment(const attachment&) = delete;
    attachment& operator=(const attachment&) = delete;

    ~attachment() {
        const std::lock_guard guard(shared_file::process_mutex());
        forget_parents_entries();
        for (const enlisted& one : entries_) leave(one.entry);
        attachment** link = &first_;
        while (*link != this) link = &(*link)->next_;
        *link = next_;
    }

    [[nodiscard]] const segment& object() const noexcept { return joined_.object(); }
    [[nodiscard]] const checked_header& header() const noexcept { return joined_.header(); }

    [[nodiscard]] const participant_table& participants() const noexcept { return table_; }
    [[nodiscard]] const untyped_ring& ring() const noexcept { return ring_; }

    /// What to call with the messages that are dropped through this.
    void on_dropped(graveyard::callable callable) { dropped_.set(std::move(callable)); }

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
        static_cast<void>(recover_with(nullptr, graveyard::closed(), report));
    }

    /// Likewise, if some time has passed since this process did the last time. Where the system refuses the lock, it is left to
    /// others.
    ///
    /// \param now  by a steady clock, which may be a little behind
    /// \return     whether there is now a message to be delivered again
    bool recover_if_due(const layout::participant* myself, std::uint64_t interval, std::uint64_t now) {
        if (!schedule_.due(interval, now)) [[likely]]
            return false;
        note_held_positions();
        recovery_report report;
        static_cast<void>(try_recover(myself, report));
        return report.messages_to_redeliver != 0;
    }

    /// Calls `act()` while no recovery is in progress anywhere; waits for one to end. False: the system refused the lock.
    template <class Act>
    bool between_recoveries(Act act) noexcept {
        for (backoff wait;; wait()) {
            const rescue_locks locks(object().file());
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

    /// Whether somebody, alive but perhaps stopped, is settling what the dead have left.
    [[nodiscard]] bool is_being_recovered() const noexcept {
        return platform::byte_is_locked(object().file().descriptor(), layout::recovery_byte);
    }

    /// Whether the owner of an occupied entry is alive.
    [[nodiscard]] bool is_alive(std::uint32_t i) const noexcept {
        return platform::byte_is_locked(object().file().observer(), layout::participants_byte + i);
    }

    /// Writes down since when the head and the tail have been held, for `stats`.
    void note_held_positions() const noexcept { note_held(object().counters(), ring_); }

    /// What a handle keeps of its attachment to find the calling thread's entry by, with as few loads in a row as possible:
    /// a push's first store waits for the address of the entry.
    class key {
    public:
        explicit key(attachment& owner) noexcept
            : owner_(&owner), file_id_(owner.object().file().id()), place_(file_id_ % known_entries.size()) {}

        /// Whether the calling thread has used the queue before.
        [[nodiscard]] bool is_known() const noexcept { return known_entries[place_].file_id == file_id_; }

        /// Calls `use(entry)` with the calling thread's entry if this thread has used the queue before.
        ///
        /// \return  what `use` returned; false if it has not
        template <class Use>
        [[gnu::always_inline]] bool with_known(Use&& use) const {
            const known_entry& known = known_entries[place_];
            return known.file_id == file_id_ && use(*known.entry);
        }

        /// The calling thread's entry; the first call takes a lock and makes system calls.
        ///
        /// \par Throws  `queue_error` with `errc::too_many_participants`, or `errc::system_failure`
        [[nodiscard]] layout::participant& me() const {
            known_entry& known = known_entries[place_];
            if (known.file_id != file_id_) known = {file_id_, &owner_->find_or_enlist()};
            return *known.entry;
        }

        /// The calling thread's entry; null if it has none yet, or has a claim open.
        [[nodiscard]] layout::participant* me_if_known() const noexcept {
            const known_entry& known = known_entries[place_];
            return known.file_id == file_id_ ? known.entry : nullptr;
        }

    private:
        friend class open_claim;
        attachment* owner_;
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

    // How the table asks for the kernel's locks.
    struct entry_locks {
        const segment& object;
        [[nodiscard]] bool try_lock(std::uint32_t i) const {
            return object.try_lock(layout::participants_byte + i, platform::lock_kind::exclusive);
        }
        void unlock(std::uint32_t i) const noexcept { object.file().unlock(layout::participants_byte + i); }
    };

    layout::participant& find_or_enlist() {
        refuse_in_callable();
        if (layout::participant* entry = try_find_or_enlist()) return *entry;
        // Those of the dead can be used again. Somebody else who is settling them is waited for.
        for (const detail::deadline limit(detail::patience);;) {
            recovery_report report;
            static_cast<void>(try_recover(nullptr, report));
            if (layout::participant* entry = try_find_or_enlist()) return *entry;
            if (!report.in_progress_elsewhere || !limit.wait()) raise_too_many(report);
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
        layout::participant* entry =
            table_.enlist(locks, {platform::process_id(), platform::thread_id(), platform::wall_clock()});
        if (entry == nullptr) return nullptr;
        entries_.push_back({this_thread(), entry});
        static const auto at_end = platform::thread_end_key(&end_of_thread);
        platform::call_at_thread_end(at_end, entry);
        return entry;
    }

    // Returns 0, or why the system refused the lock, as an `errno`.
    int try_recover(const layout::participant* myself, recovery_report& report) {
        const int error = recover_with(myself, graveyard::grave(dropped_), report);
        dropped_.mourn();
        return error;
    }
    template <class Grave>
    int recover_with(const layout::participant* myself, Grave grave, recovery_report& report) {
        const std::uint64_t begun = platform::steady_clock();
        rescue_locks locks(object().file());
        report.in_progress_elsewhere = !locks.held() && locks.failure() == 0;
        if (!locks.held()) {
            schedule_.done(begun);
            return locks.failure();
        }
        report = recovery(ring_, table_, locks, grave, header().max_deaths).run(myself);
        auto& counters = object().counters();
        counters.voided.fetch_add(report.slots_voided, std::memory_order_relaxed);
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

    [[noreturn]] void raise_too_many(const recovery_report& report) const {
        std::string found = "found all entries taken by threads that are alive";
        if (report.left_for_later != 0) {
            found += ", but for " + std::to_string(report.left_for_later) +
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
        for (attachment* one = first_; one != nullptr; one = one->next_) {
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
    static constinit inline attachment* first_ = nullptr;

    joined_segment joined_;
    participant_table table_;
    untyped_ring ring_;
    graveyard dropped_;
    rescue_schedule schedule_;
    std::vector<enlisted> entries_;
    std::uint64_t forks_ = 0;  // `shared_file::forks()` when the entries were taken
    attachment* next_ = nullptr;
};

/// Keeps the calling thread from pushing and popping in a queue.
class open_claim {
public:
    explicit open_claim(const attachment::key& key) noexcept
        : node_{key.file_id_, claimed_queues}, known_(known_entries[key.place_]), place_(key.place_) {
        known_entries[place_].file_id = 0;
        claimed_queues = &node_;
    }
    open_claim(const open_claim&) = delete;
    open_claim& operator=(const open_claim&) = delete;
    ~open_claim() {
        claimed_queues = node_.outer;
        if (!forked()) known_entries[place_] = known_;
    }

    /// Whether this is a child forked meanwhile: the claim is its parent's.
    [[nodiscard]] bool forked() const noexcept { return forks_ != shared_file::forks(); }

private:
    claimed_queue node_;
    known_entry known_;
    std::size_t place_;
    std::uint64_t forks_ = shared_file::forks();  // it changes only in a child, which has one thread then
};

}  // namespace promisqs

#pragma GCC visibility pop
