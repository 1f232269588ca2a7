// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far the object that has a queue's name has come, and what to do while it is no complete queue. The rules are
// those of open.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/deadline.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace promisqs::detail {

enum class condition { finished, unfinished, empty, foreign };

[[gnu::cold]] inline condition examine(const segment& object) {
    const int file = object.file().descriptor();
    std::uint64_t word = 0;
    if (!os::is_regular(file)) return condition::foreign;
    if (os::size_of(file) == 0) return condition::empty;
    if (!os::read_word(file, word)) return condition::foreign;
    if (word == layout::unfinished_magic) return condition::unfinished;
    return word == layout::magic ? condition::finished : condition::foreign;
}

[[noreturn, gnu::cold, gnu::noinline]] inline void raise_foreign(const segment& object) {
    raise(errc::not_a_queue, object.name(),
          {"expected a promisqs queue, found a shared memory object of ",
           digits(static_cast<std::uint64_t>(os::size_of(object.file().descriptor()))),
           " bytes that does not begin like one; use another name, or ask its owner to remove it"});
}

[[noreturn, gnu::cold, gnu::noinline]] inline void raise_not_removable(const segment& object) {
    raise(errc::no_permission, object.name(),
          {"expected permission to remove it, found that it belongs to another user; ask its owner to remove it"});
}

/// Locks the object, for building it or for removing its name (rule 1). False: another process has locked it, or the
/// name leads elsewhere by now.
[[gnu::cold]] inline bool try_seize(const segment& object) {
    if (!object.try_lock(layout::initialising_byte, os::lock_kind::exclusive)) return false;
    if (object.is_named()) return true;
    object.file().unlock(layout::initialising_byte);
    return false;
}

/// Removes the name of an unfinished object, unless its creator is at work on it (rule 2).
[[gnu::cold]] inline void remove_abandoned(const segment& object) {
    if (!try_seize(object)) return;
    const auto state = examine(object);
    const bool abandoned = state == condition::unfinished || state == condition::empty;
    if (abandoned && !object.unlink()) raise_not_removable(object);
    object.file().unlock(layout::initialising_byte);
}

/// Waits for the creator of an object that is not finished; takes the object away if the creator is dead.
class unfinished_objects {
public:
    /// \param replace  whether to remove an abandoned object; otherwise it is an error
    explicit unfinished_objects(bool replace) noexcept : replace_(replace) {}

    /// One step; the caller looks again after it.
    ///
    /// \param locked  whether the creator holds its lock, as seen before `state`
    /// \param limit   is restarted when there is progress
    [[gnu::cold]] void deal_with(const segment& object, condition state, bool locked, deadline& limit) {
        if (locked) {
            const std::int64_t size = os::size_of(object.file().descriptor());
            if (size != size_) limit.restart();  // its creator is getting on
            size_ = size;
            creator_locks_it_.restart();
            limit.wait_or_throw(object.name());
        } else if (state == condition::unfinished && replace_) {
            remove_abandoned(object);
            limit.wait_or_throw(object.name());
        } else if (!creator_locks_it_.wait()) {
            // Before that, an empty object may have a creator that has not come to lock it.
            if (!replace_) raise_abandoned(object);
            remove_abandoned(object);
            creator_locks_it_.restart();
        }
    }

private:
    [[noreturn, gnu::cold, gnu::noinline]] static void raise_abandoned(const segment& object) {
        raise(errc::unfinished, object.name(),
              {"expected a complete queue, found one whose creator died while building it; "
               "call create or open_or_create, which start over, or remove"});
    }

    bool replace_;
    std::int64_t size_ = 0;
    deadline creator_locks_it_{grace};
};

/// Opens an object that its creator has finished. Nothing if there is none of that name.
///
/// \param replace  whether to remove an object that was abandoned unfinished; otherwise it is an error
/// \param limit    how long to wait without progress
[[gnu::cold]] inline std::optional<segment> find_finished(const std::string& name, bool replace, deadline& limit) {
    unfinished_objects unfinished(replace);
    for (;;) {
        auto found = segment::find(name);
        if (!found) return std::nullopt;
        // The lock before the state: a creator that drops its lock after this look has finished by the next one.
        const bool locked = os::byte_is_locked(found->file().descriptor(), layout::initialising_byte);
        const auto state = examine(*found);
        if (state == condition::finished) return found;
        if (state == condition::foreign) raise_foreign(*found);
        unfinished.deal_with(*found, state, locked, limit);
    }
}

}  // namespace promisqs::detail
