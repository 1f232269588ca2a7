// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/error.hpp>
#include <promisqs/layout.hpp>
#include <promisqs/lifecycle.hpp>
#include <promisqs/participants.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/shared_file.hpp>

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

/// One process's use of a queue, shared by the copies of a handle: the segment, and the participant entries of this process's
/// threads in it. A thread gets its entry on its first push or pop, and gives it back when it ends, or when the last copy of
/// the handle goes.
class attachment {
public:
    explicit attachment(joined_segment joined)
        : joined_(std::move(joined)),
          table_(object().at<layout::participant>(layout::participants_offset), header().participants) {
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

    private:
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
        const std::lock_guard guard(shared_file::process_mutex());
        forget_parents_entries();
        const auto mine = std::ranges::find(entries_, this_thread(), &enlisted::thread);
        return mine != entries_.end() ? *mine->entry : enlist();
    }

    layout::participant& enlist() {
        if (object().file().descriptor() < 0) raise_lost();
        entries_.reserve(entries_.size() + 1);
        entry_locks locks{object()};
        layout::participant* entry =
            table_.enlist(locks, {platform::process_id(), platform::thread_id(), platform::wall_clock()});
        if (entry == nullptr) raise_too_many();
        entries_.push_back({this_thread(), entry});
        static const auto at_end = platform::thread_end_key(&end_of_thread);
        platform::call_at_thread_end(at_end, entry);
        return *entry;
    }

    [[noreturn]] void raise_lost() const {
        throw queue_error(
            errc::system_failure, object().name(),
            "expected a descriptor of its own for the child of a fork(), found: " +
                std::generic_category().message(object().file().lost_because()) +
                "; raise RLIMIT_NOFILE (ulimit -n), see that /proc is mounted and that no privileges were given "
                "up since it was opened, or open it again in the child");
    }

    [[noreturn]] void raise_too_many() const {
        throw queue_error(errc::too_many_participants, object().name(),
                          "expected at most " + std::to_string(table_.count()) +
                              " participants (threads that use the queue at once), found all entries taken, be it by "
                              "processes that were "
                              "killed; end some, remove the queue if nobody uses it, or create it with a larger "
                              "options::participants");
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
    std::vector<enlisted> entries_;
    std::uint64_t forks_ = 0;  // `shared_file::forks()` when the entries were taken
    attachment* next_ = nullptr;
};

}  // namespace promisqs

#pragma GCC visibility pop
