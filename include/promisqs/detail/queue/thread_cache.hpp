// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

// Default visibility: one instance per process, even across libraries built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs::detail {

/// What a thread remembers of its participant entry in one queue.
struct known_entry {
    std::uint64_t file_id;
    layout::participant* entry;
    std::uint64_t idle_at;  // the ticket at which it last found nothing, or no room
};

/// What a thread remembers of its entries in all queues. A small cache without a destructor: one look into it is all
/// that a push pays.
struct thread_cache {
    using table = std::array<known_entry, 8>;
    std::array<table, 2> of_roles;  // a thread may have one role of a queue and not the other
    [[nodiscard]] constexpr table& operator[](role which) noexcept { return of_roles[static_cast<std::size_t>(which)]; }
};
inline constinit thread_local thread_cache known_entries{};

/// How many forks lie between this process and the first one that used the library.
inline constinit std::uint64_t fork_count = 0;

}  // namespace promisqs::detail

#pragma GCC visibility pop

namespace promisqs::detail {

/// What a handle keeps to find the calling thread's entry, with as few loads in a row as possible: a push's first store
/// waits for the address of the entry.
class entry_key {
public:
    explicit entry_key(std::uint64_t file_id) noexcept
        : file_id_(file_id), place_(file_id % thread_cache::table().size()) {}

    [[nodiscard]] std::uint64_t file_id() const noexcept { return file_id_; }
    [[nodiscard]] std::size_t place() const noexcept { return place_; }

    /// Whether the calling thread has used the queue in this role before.
    [[nodiscard]] bool is_known(role which) const noexcept { return known_entries[which][place_].file_id == file_id_; }

    /// The entry of the calling thread, which is known.
    [[nodiscard]] layout::participant& known(role which) const noexcept { return *known_entries[which][place_].entry; }

    /// The calling thread's entry in either role. Null if it has none yet, or has a claim open.
    [[nodiscard]] layout::participant* known_in_any_role() const noexcept {
        for (const role which : {role::producer, role::consumer}) {
            if (is_known(which)) return &known(which);
        }
        return nullptr;
    }

    void remember(role which, layout::participant& entry) const noexcept {
        known_entries[which][place_] = {file_id_, &entry, layout::no_ticket};
    }

    /// Notes the ticket that the calling thread, which is known, finds not ready.
    ///
    /// \return  the ticket noted before; `no_ticket` if there is none
    std::uint64_t exchange_last_idle(role which, std::uint64_t ticket) const noexcept {
        return std::exchange(known_entries[which][place_].idle_at, ticket);
    }

private:
    std::uint64_t file_id_;
    std::size_t place_;
};

}  // namespace promisqs::detail
