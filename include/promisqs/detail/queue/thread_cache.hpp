// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/role.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

#pragma GCC visibility push(default)

namespace promisqs::detail {

/// What a thread knows of its participant entries, by the id of the file through which they are used: a small cache without
/// a destructor, so that a look into it is all that a push pays.
struct known_entry {
    std::uint64_t file_id;
    layout::participant* entry;
    std::uint64_t idle_at;  // the ticket at which it last found nothing, or no room
};
struct known_entries_of_a_thread {
    using table = std::array<known_entry, 8>;
    std::array<table, 2> of_roles;  // a thread may have one side of a queue and not the other
    [[nodiscard]] constexpr table& operator[](role which) noexcept { return of_roles[static_cast<std::size_t>(which)]; }
};
inline constinit thread_local known_entries_of_a_thread known_entries{};

}  // namespace promisqs::detail

#pragma GCC visibility pop
