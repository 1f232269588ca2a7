// SPDX-License-Identifier: Apache-2.0
#pragma once

// Creating, opening and removing a queue's shared memory object. Unrelated processes race for all of it, and each may
// die half-way. All functions of this folder rely on these rules, with the lock bytes of layout.hpp:
//
//  1. A process that builds an object, or removes its name, holds the object's `initialising` byte, and has seen,
//     holding it, that the name leads to that very object. So no process removes a name that another one has just used
//     again.
//  2. The creator marks the object as unfinished, and writes the magic last. An empty or unfinished object whose
//     `initialising` byte is free has lost its creator: its name can be removed. (A creator that had not come to lock
//     its object finds that out by rule 1, and starts over.)
//  3. Every user holds a shared lock on the `users` byte. The creator takes it before it writes the magic. An opener,
//     once it has the lock, looks whether the name still leads here, and starts over if not. A user that closes the
//     queue drops the lock, and then tries for an exclusive one. The user that gets it is the last, and removes the
//     name.

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
#include <string>
#include <string_view>
#include <utility>

namespace promisqs::detail {

/// Counts the messages that wait in a queue. The caller hands it in, because nothing here knows the ring.
using message_counter = std::uint64_t (*)(const segment& object, const checked_header& header);

[[noreturn, gnu::cold]] inline void refuse_to_create(segment& found, message_counter count) {
    const auto header = map_finished(found, huge_pages::never).checked;
    const bool used = os::byte_is_locked(found.file().descriptor(), layout::users_byte);
    raise(errc::already_exists, found.name(),
          {"expected no queue of this name, found one of capacity ", digits(header.capacity), ", with ",
           digits(header.element_size), " bytes an element, messages waiting: ", digits(count(found, header)), ", ",
           used ? "in use" : "used by nobody", "; open it (open, open_or_create), or remove it first"});
}

// The functions that follow are not cold, unlike what they call: g++ takes all of a function for cold that has to pass
// a cold call, and users create a queue and loop over its messages in the same function.

/// Which of the two a call may do: create a queue where there is none, and use one that it finds.
enum class join_mode { create, open, open_or_create };

/// Creates or opens a queue's segment, whichever is possible and allowed.
///
/// \param count  for `join_mode::create` alone
/// \throws       `queue_error`; nothing is left behind
/// \par Blocks
///   while another process creates or removes the same queue; throws `errc::unfinished` after `patience` without
///   progress
/// \par If killed
///   as `try_create`
inline joined_segment join_queue(const queue_request& request, join_mode mode, message_counter count) {
    const bool may_create = mode != join_mode::open;
    deadline limit(patience);
    for (;;) {
        if (may_create) {
            if (auto made = try_create(request)) return std::move(*made);
        }
        if (auto found = find_finished(request.name, may_create, limit)) {
            if (mode == join_mode::create) refuse_to_create(*found, count);
            if (auto joined = try_use(std::move(*found), request)) return std::move(*joined);
        } else if (!may_create) {
            raise(errc::not_found, request.name,
                  {"expected a queue of this name, found none; create it first, or call open_or_create"});
        }
        limit.wait_or_throw(request.name);
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
    const deadline limit(patience);
    for (;;) {
        const auto found = segment::find(name);
        if (!found) return false;
        if (examine(*found) == condition::foreign) raise_foreign(*found);
        if (try_seize(*found)) {
            if (!found->unlink()) raise_not_removable(*found);
            return true;
        }
        limit.wait_or_throw(name);
    }
}

}  // namespace promisqs::detail
