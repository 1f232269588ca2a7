// SPDX-License-Identifier: Apache-2.0
#pragma once

// Creating, opening and removing a queue's shared memory object. Unrelated processes race for all of it, and each may
// die half-way. All functions of this folder rely on these rules, with the lock bytes of layout.hpp:
//
//  1. A process that builds an object, or ends it, holds the object's `initialising` byte, and has seen, holding it,
//     that the name leads to that very object. So no process removes a name that another one has just used again.
//  2. No half-made object is ever visible. The creator locks the object and marks it as unfinished before it gives it
//     its name, and writes the magic last. An unfinished object whose `initialising` byte is locked has a creator that
//     is alive: others wait for as long as that takes. If the byte is free, the creator has died: the next one removes
//     the name. A process that may not do that (another user made the object, and /dev/shm is sticky) builds the queue
//     in place. No time-out decides.
//  3. Every user holds a shared lock on the `users` byte. The creator takes it before it writes the magic. An opener,
//     once it has the lock, looks whether the name still leads here, to the queue that it has found, and starts over if
//     not.
//  4. A user that closes the queue drops that lock. Then it tries for `initialising`, and for an exclusive lock on
//     `users`. If it gets both, it was the last, and ends the queue. So does a process that is to start an unused queue
//     over. Neither waits while it holds one of them. A process that holds `initialising` and was refused `users` looks
//     once more after it has let go: a user that left in between was refused `initialising`, and relies on it.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/create.hpp>
#include <promisqs/detail/lifecycle/deadline.hpp>
#include <promisqs/detail/lifecycle/join.hpp>
#include <promisqs/detail/lifecycle/unfinished.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs::detail {

/// Counts the messages that wait in a queue. The caller hands it in, because nothing here knows the ring.
using message_counter = std::uint64_t (*)(const segment& object, const checked_header& header);

/// Throws. Returns only if the queue was ended meanwhile, or started over.
[[gnu::__cold__]] inline void refuse_to_create(segment& object, message_counter count) {
    static_cast<void>(use_found(object, huge_pages::never, [&](const found_queue& found) -> bool {
        const auto header = found.check();
        const bool used = os::byte_is_locked(object.file().descriptor(), layout::users_byte);
        raise(errc::already_exists, object.name(),
              {"expected no queue of this name, found one of capacity ", digits(header.capacity), ", with ",
               digits(header.element_size), " bytes an element, messages waiting: ", digits(count(object, header)),
               used ? ", in use; open it (open, open_or_create), or remove it first"
                    : ", used by nobody; open it for these messages (open, open_or_create), call open_or_create with "
                      "options::abandoned = start_over, or remove it first"});
    }));
}

// The functions that follow are not cold, unlike what they call: g++ takes all of a function for cold that has to pass
// a cold call, and users create a queue and loop over its messages in the same function.

/// Which of the two a call may do: create a queue where there is none, and use one that it finds.
enum class join_mode { create, open, open_or_create };

/// Uses a finished object, or starts it over if nobody does and that was asked for. Nothing: look again.
[[gnu::__cold__]] inline std::optional<joined_segment> use_or_start_over(segment object, const queue_request& request) {
    if (request.wanted.abandoned == abandoned_queue::start_over) {
        if (!has_known_version(object)) return std::nullopt;  // users of another version may lock other bytes
        switch (try_end(object)) {
            case usage::in_use: break;
            case usage::unknown: return std::nullopt;
            case usage::none:
                if (object.unlink()) return std::nullopt;
                return start_over_in_place(std::move(object), request);
        }
    }
    return try_use(std::move(object), request);
}

/// One step of `join_queue`. Nothing: look again.
[[gnu::__cold__]] inline std::optional<joined_segment> try_to_join(const queue_request& request, join_mode mode,
                                                                   message_counter count) {
    const bool may_create = mode != join_mode::open;
    auto found = segment::find(request.name);
    if (!found) {
        if (may_create) return try_create(request);
        raise(errc::not_found, request.name,
              {"expected a queue of this name, found none; create it first, or call open_or_create"});
    }
    switch (look_at(*found)) {
        case condition::foreign: raise_foreign(*found);
        case condition::in_work: return std::nullopt;
        case condition::abandoned:
            if (may_create) return take_over(std::move(*found), request);
            // It may be started over in place: that looked the same.
            if (!try_seize(*found) || examine(*found) != condition::abandoned) return std::nullopt;
            raise_abandoned(*found);
        case condition::finished: break;
    }
    if (mode != join_mode::create) return use_or_start_over(std::move(*found), request);
    refuse_to_create(*found, count);
    return std::nullopt;
}

/// Creates or opens a queue's segment, whichever is possible and allowed.
///
/// \param count  for `join_mode::create` alone
/// \throws       `queue_error`; nothing is left behind
/// \par Blocks
///   while another process, alive but perhaps stopped, creates or removes the same queue
/// \par If killed
///   as `build`
inline joined_segment join_queue(const queue_request& request, join_mode mode, message_counter count) {
    for (patient_wait wait;; wait()) {
        if (auto joined = try_to_join(request, mode, count)) return std::move(*joined);
    }
}

/// Creates a queue's segment; it must not exist.
inline joined_segment create_segment(std::string_view name, const element_description& element, std::uint64_t capacity,
                                     const options& wanted, message_counter count) {
    queue_request request{std::string(name), element, capacity, wanted};
    request.plan = check_request(request);
    return join_queue(request, join_mode::create, count);
}

/// Opens a queue's segment; it must exist.
inline joined_segment open_segment(std::string_view name, const element_description& element,
                                   const memory_options& memory) {
    check_name(name);
    return join_queue({std::string(name), element, 0, {.memory = memory}}, join_mode::open, nullptr);
}

/// Opens a queue's segment, or creates it if there is none.
inline joined_segment open_or_create_segment(std::string_view name, const element_description& element,
                                             std::uint64_t capacity, const options& wanted) {
    queue_request request{std::string(name), element, capacity, wanted};
    request.plan = check_request(request);
    return join_queue(request, join_mode::open_or_create, nullptr);
}

/// Removes a queue's name. False if there was none.
///
/// \throws  `queue_error`
/// \par Blocks
///   as `join_queue`
inline bool remove_segment(std::string_view queue) {
    check_name(queue);
    const std::string name(queue);
    for (patient_wait wait;; wait()) {
        const auto found = segment::find(name);
        if (!found) return false;
        if (examine(*found) == condition::foreign) raise_foreign(*found);
        if (!try_seize(*found)) continue;
        if (!found->unlink()) raise_not_removable(*found);
        return true;
    }
}

}  // namespace promisqs::detail
