// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/protocol/participants.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

// Default visibility: one instance per process, even across libraries built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs::detail {

/// The kernel's locks on participant entries, by a process that takes entries for its own threads.
struct entry_locks {
    const segment& object;
    [[nodiscard]] bool try_lock(std::uint32_t i) const {
        return object.try_lock(layout::participants_byte + i, os::lock_kind::exclusive);
    }
    void unlock(std::uint32_t i) const noexcept { object.file().unlock(layout::participants_byte + i); }
};

/// The participant entries that this process has in one queue: those of its threads, and those that are lent to rows of
/// messages that it holds. A thread gets its entry on its first push or pop. The entry is free again when the thread
/// ends, or when the process closes its last handle on the queue.
class thread_entries {
public:
    thread_entries(const segment& object, const participant_table& table) : object_(object), table_(table) {
        static_cast<void>(fork_handler());  // also when another static object is made before `at_start`
        const os::process_lock lock;
        forks_ = fork_count;
        next_ = std::exchange(first_, this);
        place_ = static_cast<std::size_t>(std::ranges::min_element(queues_at_) - queues_at_.begin());
        ++queues_at_[place_];
    }

    thread_entries(const thread_entries&) = delete;
    thread_entries& operator=(const thread_entries&) = delete;

    ~thread_entries() {
        const os::process_lock lock;
        forget_parents_entries();
        for (const owned& one : entries_) leave(one.entry);
        thread_entries** link = &first_;
        while (*link != this) link = &(*link)->next_;
        *link = next_;
        --queues_at_[place_];
    }

    /// The queue's place in the threads' tables. Different queues share one only if this process has more queues open
    /// than there are places.
    [[nodiscard]] std::size_t place() const noexcept { return place_; }

    /// The calling thread's entry, which is from now on among its records. Null: it has none, and there is no free one.
    ///
    /// \throws  `queue_error` with `errc::system_failure`; `std::bad_alloc`
    [[nodiscard, gnu::__cold__]] layout::participant* find_or_enlist() {
        const os::process_lock lock;
        forget_parents_entries();
        entry_records& mine = records_to_add_to();
        const auto [place, is_new] = mine.of_queues.try_emplace(file_id());
        if (is_new) place->second.entry = find();
        if (place->second.entry == nullptr)
            place->second.entry = enlist({mine.pid, mine.tid, os::wall_clock(), process_number()}, this_thread());
        layout::participant* entry = place->second.entry;
        if (entry == nullptr) mine.of_queues.erase(place);
        return entry;
    }

    /// An entry that is no thread's. Null: there is no free one.
    ///
    /// \throws  as `find_or_enlist`
    [[nodiscard, gnu::__cold__]] layout::participant* borrow() {
        const os::process_lock lock;
        forget_parents_entries();
        const auto spare = std::ranges::find(entries_, nullptr, &owned::thread);
        if (spare == entries_.end()) return enlist({os::process_id(), 0, os::wall_clock(), process_number()}, &lent_);
        spare->thread = &lent_;
        return spare->entry;
    }
    /// Takes it back. It has no claim open. It is kept for the next that wants one.
    void take_back(layout::participant& entry) noexcept {
        const os::process_lock lock;
        const auto lent = std::ranges::find(entries_, &entry, &owned::entry);
        if (lent != entries_.end()) lent->thread = nullptr;
    }

    [[noreturn, gnu::__cold__]] void raise_lost() const {
        raise(errc::system_failure, object_.name(),
              {"expected a descriptor of its own for the child of a fork(), found: ",
               system_message(object_.file().lost_because()),
               "; raise RLIMIT_NOFILE (ulimit -n), see that /proc is mounted and that no privileges were given up "
               "since it "
               "was opened, or open it again in the child"});
    }

private:
    // An entry, and whose it is: the address of what each thread has its own of, or of `lent_`. Null: nobody's.
    struct owned {
        const void* thread;
        layout::participant* entry;
    };
    static const void* this_thread() noexcept { return &known_entries; }
    [[nodiscard]] std::uint64_t file_id() const noexcept { return object_.file().id(); }

    // It has one that is not among its records if there was no memory to keep the record.
    [[nodiscard]] layout::participant* find() const noexcept {
        const auto found = std::ranges::find(entries_, this_thread(), &owned::thread);
        return found != entries_.end() ? found->entry : nullptr;
    }

    [[gnu::__cold__]] layout::participant* enlist(const participant_identity& identity, const void* whose) {
        if (object_.file().descriptor() < 0) raise_lost();
        entries_.reserve(entries_.size() + 1);
        entry_locks locks{object_};
        layout::participant* entry = table_.enlist(locks, identity, first_choice());
        if (entry == nullptr && leave_spare()) entry = table_.enlist(locks, identity);
        if (entry != nullptr) entries_.push_back({whose, entry});
        return entry;
    }

    // Gives an entry back that is nobody's. False: there is none.
    bool leave_spare() noexcept {
        const auto spare = std::ranges::find(entries_, nullptr, &owned::thread);
        if (spare == entries_.end()) return false;
        leave(spare->entry);
        *spare = entries_.back();
        entries_.pop_back();
        return true;
    }

    // Beside an entry of this process, or where there is room for as many as it has, also for another process that
    // looks for such a place next. The kernel keeps one lock for neighbours, and each call goes through all locks of a
    // file.
    [[nodiscard]] std::uint32_t first_choice() const noexcept {
        for (std::size_t i = entries_.size(); i-- > 0;) {
            const std::uint32_t beside = table_.index_of(*entries_[i].entry) + 1;
            if (table_.seems_free(beside)) return beside;
        }
        const std::uint64_t room = entries_.size();
        const std::uint32_t gap = table_.find_gap(2 * room);
        return gap == 0 ? 0 : gap + static_cast<std::uint32_t>(room);
    }

    // What the entries of this process have in common.
    static std::uint64_t process_number() noexcept {
        static std::uint64_t number = os::unique_number();
        static std::uint64_t forks = fork_count;
        if (std::exchange(forks, fork_count) != fork_count) number = os::unique_number();
        return number;
    }

    // The records of the calling thread, without those of queues that were closed, if there are many.
    [[gnu::__cold__]] static entry_records& records_to_add_to() {
        if (records_of_thread == nullptr) {
            auto made = std::make_unique<entry_records>();
            if (!os::call_at_thread_end(&end_of_thread)) throw std::bad_alloc();
            records_of_thread = made.release();
        }
        entry_records& mine = *records_of_thread;
        if (std::exchange(mine.forks, fork_count) != fork_count) {
            mine.of_queues.clear();
            mine.pid = os::process_id();
            mine.tid = os::thread_id();
        }
        if (mine.of_queues.size() < mine.purge_at) return mine;
        decltype(mine.of_queues) open;
        for (const thread_entries* one = first_; one != nullptr; one = one->next_) {
            if (auto record = mine.of_queues.extract(one->file_id())) open.insert(std::move(record));
        }
        mine.of_queues = std::move(open);
        mine.purge_at = 2 * (mine.of_queues.size() + known_entries.size());
        return mine;
    }

    // Gives back all entries of the calling thread, in all queues.
    [[gnu::__cold__]] static void end_of_thread(void* /*unused*/) noexcept {
        known_entries = {};
        const std::unique_ptr<entry_records> mine(std::exchange(records_of_thread, nullptr));
        const os::process_lock lock;
        for (thread_entries* one = first_; one != nullptr; one = one->next_) {
            if (mine->find(one->file_id()) == nullptr) continue;
            one->forget_parents_entries();
            const auto own = std::ranges::find(one->entries_, this_thread(), &owned::thread);
            if (own == one->entries_.end()) continue;
            one->leave(own->entry);
            *own = one->entries_.back();  // their order does not matter
            one->entries_.pop_back();
        }
    }

    // A thread that calls `exit` in a callable of `push_with` or `pop_with` still has its claim open. It leaves as if
    // it had been killed.
    [[gnu::__cold__, gnu::__noinline__]] void leave(layout::participant* entry) const noexcept {
        entry_locks locks{object_};
        if (is_claimed(file_id())) return locks.unlock(table_.index_of(*entry));
        table_.leave(locks, *entry);
    }

    // In a forked child the entries are those of its parent's threads.
    void forget_parents_entries() noexcept {
        if (std::exchange(forks_, fork_count) != fork_count) entries_.clear();
    }

    static void after_fork_in_child() noexcept {
        known_entries = {};  // only the thread that forked lives on here
        ++fork_count;
    }
    static int fork_handler() {
        static const int once = os::at_fork(nullptr, nullptr, &after_fork_in_child);
        return once;
    }
    // Before there are threads: one may fork while another first uses the library.
    static inline const int at_start = fork_handler();

    // What stands for a thread in the record of an entry that is lent.
    static constexpr char lent_ = 0;

    // Of all queues in this process. Under `process_mutex`, like everything below that changes.
    static constinit inline thread_entries* first_ = nullptr;
    // How many queues have each place.
    static constinit inline std::array<std::uint32_t, known_table().size()> queues_at_{};

    const segment& object_;
    const participant_table& table_;
    std::vector<owned> entries_;
    std::uint64_t forks_ = 0;  // `fork_count` when the entries were taken
    thread_entries* next_ = nullptr;
    std::size_t place_ = 0;
};

}  // namespace promisqs::detail

#pragma GCC visibility pop
