// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/error.hpp>
#include <promisqs/layout.hpp>
#include <promisqs/lifecycle.hpp>
#include <promisqs/participants.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/shared_file.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace promisqs {

/// One process's use of a queue, shared by the copies of a handle: the segment, and the participant entries of this process's
/// threads in it. A thread gets its entry on its first push or pop, and gives it back when it ends, or when the last copy of
/// the handle goes.
class attachment : public std::enable_shared_from_this<attachment> {
public:
    explicit attachment(joined_segment joined)
        : segment_(std::move(joined.object)),
          header_(joined.header),
          table_(segment_.at<layout::participant>(layout::participants_offset), header_.participants),
          entries_of_(shared_file::forks()) {}

    attachment(const attachment&) = delete;
    attachment& operator=(const attachment&) = delete;

    ~attachment() {
        {
            const std::lock_guard guard(shared_file::process_mutex());
            forget_parents_entries();
            for (layout::participant* entry : entries_) leave(*entry);
        }
        detail::close(segment_, header_.life);
    }

    [[nodiscard]] const segment& object() const noexcept { return segment_; }
    [[nodiscard]] const checked_header& header() const noexcept { return header_; }

    /// What a handle keeps of its attachment to find the calling thread's entry by, with as few loads in a row as possible:
    /// a push's first store waits for the address of the entry.
    class key {
    public:
        explicit key(attachment& owner) noexcept
            : owner_(&owner), file_id_(owner.segment_.file().id()), place_(file_id_ % known_entries.size()) {}

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
    static constinit inline thread_local bool over_ = false;  // whether this thread's `enlisted_` is gone

    // A thread's entries, to be given back when it ends.
    struct enlisted {
        std::uint64_t file_id;
        std::uint64_t forks;
        layout::participant* entry;
        std::weak_ptr<attachment> owner;
    };
    struct enlisted_list {
        std::vector<enlisted> all;
        ~enlisted_list() {
            over_ = true;
            known_entries = {};
            for (const enlisted& one : all) {
                if (const auto owner = one.owner.lock()) owner->retire(one);
            }
        }
    };
    static inline thread_local enlisted_list enlisted_;

    // How the table asks for the kernel's locks.
    struct entry_locks {
        const segment& object;
        [[nodiscard]] bool try_lock(std::uint32_t i) const {
            return object.try_lock(layout::participants_byte + i, platform::lock_kind::exclusive);
        }
        void unlock(std::uint32_t i) const noexcept { object.file().unlock(layout::participants_byte + i); }
    };

    layout::participant& find_or_enlist() {
        const std::uint64_t id = segment_.file().id();
        layout::participant* entry = nullptr;
        if (!over_) {
            for (const enlisted& one : enlisted_.all) {
                if (one.file_id == id && one.forks == shared_file::forks()) entry = one.entry;
            }
        }
        if (entry == nullptr) entry = &enlist();
        return *entry;
    }

    layout::participant& enlist() {
        if (!over_) {
            std::erase_if(enlisted_.all, [](const enlisted& one) { return one.owner.expired(); });
            enlisted_.all.reserve(enlisted_.all.size() + 1);
        }
        const std::lock_guard guard(shared_file::process_mutex());
        forget_parents_entries();
        if (segment_.file().descriptor() < 0) {
            throw queue_error(errc::system_failure, segment_.name(),
                              "expected a descriptor of its own after fork(), found that none could be opened; raise "
                              "RLIMIT_NOFILE (ulimit -n), see that /proc is mounted, or open the queue in the child");
        }
        entries_.reserve(entries_.size() + 1);
        entry_locks locks{segment_};
        layout::participant* entry =
            table_.enlist(locks, {platform::process_id(), platform::thread_id(), platform::wall_clock()});
        if (entry == nullptr) {
            throw queue_error(
                errc::too_many_participants, segment_.name(),
                "expected at most " + std::to_string(table_.count()) +
                    " threads using it at once, found as many already; end some, or create the queue with a "
                    "larger options::participants");
        }
        entries_.push_back(entry);
        if (!over_) enlisted_.all.push_back({segment_.file().id(), shared_file::forks(), entry, weak_from_this()});
        return *entry;
    }

    // A thread has ended.
    void retire(const enlisted& one) noexcept {
        const std::lock_guard guard(shared_file::process_mutex());
        if (one.forks != shared_file::forks()) return;  // the entry is a parent process's
        std::erase(entries_, one.entry);
        leave(*one.entry);
    }

    void leave(layout::participant& entry) noexcept {
        entry_locks locks{segment_};
        table_.leave(locks, entry);
    }

    // In a forked child the entries belong to the parent's threads.
    void forget_parents_entries() noexcept {
        if (entries_of_ == shared_file::forks()) return;
        entries_.clear();
        entries_of_ = shared_file::forks();
    }

    segment segment_;
    checked_header header_;
    participant_table table_;
    std::vector<layout::participant*> entries_;
    std::uint64_t entries_of_;  // `shared_file::forks()` when they were taken
};

}  // namespace promisqs
