// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a thread finds its participant entry, for any number of queues, without a lock, an allocation or a system call.
// First it looks at the queue's place in a small table. There are as many places as most programs have queues open at
// once. Where two queues share a place, or more, the thread finds the others among its records.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/queue/adaptive_spin.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>

// Default visibility: one instance per process, even across libraries built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs::detail {

/// What a thread knows at one place of its table.
struct known_entry {
    std::array<std::uint64_t, 2> file_ids;  // by role: the queue; 0, if the thread does not have this role of it
    layout::participant* entry;
    std::array<std::uint64_t, 2> idle_at;   // by role: the ticket at which it last found nothing, or no room
    std::array<adaptive_spin, 2> polling;   // by role: before it says that there is nothing, or no room
    std::array<adaptive_spin, 2> spinning;  // by role: before it lets others run, in a wait
};

/// A thread's table. Without a destructor: one look into it is all that a push pays.
using known_table = std::array<known_entry, 64>;
inline constinit thread_local known_table known_entries{};

/// How many forks lie between this process and the first one that used the library.
inline constinit std::uint64_t fork_count = 0;

/// All entries of a thread, by the id of the queue's file. Ids are never used again, so that of a closed queue does no
/// harm.
struct entry_record {
    layout::participant* entry;
    std::array<bool, 2> has_role;
};
struct entry_records {
    std::unordered_map<std::uint64_t, entry_record> of_queues;
    std::uint32_t pid = 0;  // of the thread, so that it need not ask the system for each queue
    std::uint32_t tid = 0;
    std::uint64_t forks = ~fork_count;                // `fork_count` when all this was written
    std::size_t purge_at = 2 * known_table().size();  // how many records it takes to look for closed queues

    /// Null: there is none. A forked child has none of its parent's.
    [[nodiscard]] entry_record* find(std::uint64_t file_id) noexcept {
        if (forks != fork_count) return nullptr;
        const auto found = of_queues.find(file_id);
        return found != of_queues.end() ? &found->second : nullptr;
    }
};
/// Null: the thread has no entry.
inline constinit thread_local entry_records* records_of_thread = nullptr;

/// A queue in which the calling thread has a claim open, and the one around it (reentrancy.hpp).
struct claimed_queue {
    std::uint64_t file_id;
    const claimed_queue* outer;
};
inline constinit thread_local const claimed_queue* claimed_queues = nullptr;

}  // namespace promisqs::detail

#pragma GCC visibility pop

namespace promisqs::detail {

/// Whether the calling thread has a claim open in the queue.
[[nodiscard]] inline bool is_claimed(std::uint64_t file_id) noexcept {
    for (const claimed_queue* one = claimed_queues; one != nullptr; one = one->outer) {
        if (one->file_id == file_id) return true;
    }
    return false;
}

/// What a handle keeps to find the calling thread's entry, with as few loads in a row as possible: a push's first store
/// waits for the address of the entry.
class entry_key {
public:
    /// \param place  below the size of `known_table`; that of no other queue, if possible
    entry_key(std::uint64_t file_id, std::size_t place) noexcept
        : file_id_(file_id), offset_(place * sizeof(known_entry)) {}

    [[nodiscard]] std::uint64_t file_id() const noexcept { return file_id_; }

    /// The queue's place in the calling thread's table.
    [[nodiscard]] known_entry& here() const noexcept {
        void* const at = reinterpret_cast<std::byte*>(known_entries.data()) + offset_;
        return *static_cast<known_entry*>(at);
    }

    /// Whether the calling thread finds its entry in this role at the queue's place.
    [[nodiscard]] bool is_known(role which) const noexcept { return here().file_ids[index_of(which)] == file_id_; }

    /// That entry.
    [[nodiscard]] layout::participant& known() const noexcept { return *here().entry; }

    /// Puts the calling thread's entry at the queue's place, from which another queue's has displaced it.
    ///
    /// \return  whether it is there now; not if the thread has no entry in this role yet, or has a claim open
    [[gnu::__noinline__]] bool recall(role which) const noexcept {
        const entry_record* found = record();
        if (found == nullptr || !found->has_role[index_of(which)]) return false;
        know(*found);
        return true;
    }

    /// The calling thread's entry in either role. Null if it has none yet, or has a claim open.
    [[nodiscard]] layout::participant* known_in_any_role() const noexcept {
        if (is_known(role::producer) || is_known(role::consumer)) return here().entry;
        const entry_record* found = record();
        return found != nullptr ? found->entry : nullptr;
    }

    /// Notes that the calling thread, which has an entry, has a role.
    void remember(role which) const noexcept {
        entry_record* found = record();
        if (found == nullptr) return;
        found->has_role[index_of(which)] = true;
        know(*found);
    }

    /// Notes the ticket that the calling thread, which is known, finds not ready.
    ///
    /// \return  the ticket noted before; `no_ticket` if there is none
    std::uint64_t exchange_last_idle(role which, std::uint64_t ticket) const noexcept {
        return std::exchange(here().idle_at[index_of(which)], ticket);
    }

    /// Whether the calling thread, which is known, looks again before it says that there is nothing, or no room.
    [[nodiscard]] adaptive_spin& polling(role which) const noexcept { return here().polling[index_of(which)]; }
    /// Whether it spins in a wait before it lets others run.
    [[nodiscard]] adaptive_spin& spinning(role which) const noexcept { return here().spinning[index_of(which)]; }

private:
    static constexpr std::size_t index_of(role which) noexcept { return static_cast<std::size_t>(which); }

    [[nodiscard]] entry_record* record() const noexcept {
        if (records_of_thread == nullptr || is_claimed(file_id_)) return nullptr;
        return records_of_thread->find(file_id_);
    }

    void know(const entry_record& mine) const noexcept {
        known_entry& place = here();
        place.entry = mine.entry;
        place.idle_at.fill(layout::no_ticket);
        place.polling.fill({});
        place.spinning.fill({});
        for (std::size_t i = 0; i < place.file_ids.size(); ++i) place.file_ids[i] = mine.has_role[i] ? file_id_ : 0;
    }

    std::uint64_t file_id_;
    std::size_t offset_;  // of its place, in bytes: to multiply takes time
};

}  // namespace promisqs::detail
