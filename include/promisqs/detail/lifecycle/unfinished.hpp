// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far the object that has a queue's name has come, and the locks of a process that builds it, or ends it. The rules
// are those of open.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <cstdint>

namespace promisqs::detail {

enum class condition {
    finished,   ///< a queue
    in_work,    ///< a process that is alive builds it
    abandoned,  ///< the process that built it died; or its last user could not remove its name
    foreign     ///< no queue of ours
};

/// What the object is while its `initialising` byte is free, or held by this process.
[[gnu::__cold__]] inline condition examine(const segment& object) {
    const int file = object.file().descriptor();
    std::uint64_t word = 0;
    if (!os::is_regular(file)) return condition::foreign;
    if (os::size_of(file) == 0) return condition::abandoned;
    if (!os::read_word(file, word)) return condition::foreign;
    if (word == layout::unfinished_magic) return condition::abandoned;
    return word == layout::magic ? condition::finished : condition::foreign;
}

[[gnu::__cold__]] inline condition look_at(const segment& object) {
    // The lock before the state: a process that drops its lock after this look has finished by the next one.
    const bool locked = os::byte_is_locked(object.file().descriptor(), layout::initialising_byte);
    const condition found = examine(object);
    return locked && found == condition::abandoned ? condition::in_work : found;
}

[[noreturn, gnu::__cold__, gnu::__noinline__]] inline void raise_foreign(const segment& object) {
    raise(errc::not_a_queue, object.name(),
          {"expected a promisqs queue, found a shared memory object of ",
           digits(static_cast<std::uint64_t>(os::size_of(object.file().descriptor()))),
           " bytes that does not begin like one; use another name, or ask its owner to remove it"});
}

[[noreturn, gnu::__cold__, gnu::__noinline__]] inline void raise_not_removable(const segment& object) {
    raise(errc::no_permission, object.name(),
          {"expected permission to remove it, found that it belongs to another user; ask its owner to remove it"});
}

[[noreturn, gnu::__cold__, gnu::__noinline__]] inline void raise_abandoned(const segment& object) {
    raise(errc::unfinished, object.name(),
          {"expected a complete queue, found what is left of one: its creator died while building it, or its last user "
           "could not remove its name; call create or open_or_create, which start over, or remove"});
}

/// Locks the object, for building it or for removing its name (rule 1). False: another process has locked it, or the
/// name leads elsewhere by now.
[[gnu::__cold__]] inline bool try_seize(const segment& object) {
    if (!object.try_lock(layout::initialising_byte, os::lock_kind::exclusive)) return false;
    if (object.is_named()) return true;
    object.file().unlock(layout::initialising_byte);
    return false;
}

enum class usage {
    none,    ///< no process uses it, and none can begin to: this one holds both locks
    in_use,  ///< a process that is alive uses it
    unknown  ///< another process is building it, or ending it; or its name leads elsewhere
};

/// Locks a queue that no process uses, to end it (rule 4).
[[gnu::__cold__]] inline usage try_end(const segment& object) noexcept {
    shared_file& file = object.file();
    do {
        if (file.lock(layout::initialising_byte, os::lock_kind::exclusive) != 0) return usage::unknown;
        const bool is_named = object.is_named();
        if (is_named && file.lock(layout::users_byte, os::lock_kind::exclusive) == 0) return usage::none;
        file.unlock(layout::initialising_byte);
        if (!is_named) return usage::unknown;
        // The last user may have left just now, and have found `initialising` locked, by us: then it relies on us.
    } while (!os::byte_is_locked(file.descriptor(), layout::users_byte));
    return usage::in_use;
}

/// Ends a queue for which `try_end` has taken the locks. A name that this process may not remove stays; what it leads
/// to is abandoned then, and takes up next to no memory. The locks are dropped with the object's descriptor.
///
/// \return  whether the name is gone
[[gnu::__cold__]] inline bool end(const segment& object) noexcept {
    if (object.unlink()) return true;
    if (object.mark_unfinished() == 0) static_cast<void>(object.clear());
    return false;
}

}  // namespace promisqs::detail
