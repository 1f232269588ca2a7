// SPDX-License-Identifier: Apache-2.0
#pragma once

// Creating, opening, closing and removing a queue's shared memory object, raced for by unrelated processes, any of which may
// die half-way. The rules that all functions here rely on, with the lock bytes of layout.hpp:
//
//  1. Whoever builds an object, or removes its name, holds its `initialising` byte, and has seen, holding it, that the name
//     leads to that very object. So nobody removes a name that somebody else has just used again.
//  2. The creator marks the object as unfinished, and writes the magic last. An empty or unfinished object whose
//     `initialising` byte is free has lost its creator: its name can be removed. (A creator that had not come to lock it yet
//     finds that out by rule 1, and starts over.)
//  3. Every user holds a shared lock on the `users` byte. The creator takes it before it writes the magic; an opener, once it
//     has it, looks whether the name still leads here, and starts over if not. Who closes gives the lock up and then tries
//     for an exclusive one: who gets that is the last, and removes the name.

#include <promisqs/error.hpp>
#include <promisqs/layout.hpp>
#include <promisqs/options.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/ring.hpp>
#include <promisqs/segment.hpp>
#include <promisqs/validation.hpp>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace promisqs {

/// A queue's segment that this process uses, and the checked copy of its header.
struct joined_segment {
    segment object;
    checked_header header;
};

namespace detail {

/// How long create, open and remove wait for somebody who is building or removing the same queue, and how long `open` gives
/// a creator that has made the object but not locked it; in nanoseconds.
inline constexpr std::uint64_t patience = 5'000'000'000;
inline constexpr std::uint64_t grace = 250'000'000;

/// A limit to waiting for others.
class deadline {
public:
    explicit deadline(std::uint64_t nanoseconds) noexcept : end_(platform::steady_clock() + nanoseconds) {}

    /// Waits a little. False: the time is over.
    [[nodiscard]] bool wait() const noexcept {
        if (platform::steady_clock() >= end_) return false;
        platform::nap();
        return true;
    }

    void wait_or_throw(const std::string& name) const {
        if (wait()) return;
        throw queue_error(
            errc::unfinished, name,
            "expected it to be created or removed within " + text_of(patience / 1'000'000'000) +
                " s, found that the process at it is alive but has not done so; see whether it is stopped");
    }

private:
    std::uint64_t end_;
};

enum class condition { finished, unfinished, foreign };

[[noreturn]] inline void raise_foreign(const segment& object) {
    throw queue_error(errc::not_a_queue, object.name(),
                      "expected a promisqs queue, found a shared memory object of " +
                          text_of(static_cast<std::uint64_t>(platform::size_of(object.file().descriptor()))) +
                          " bytes that does not begin like one; use another name, or have its owner remove it");
}

inline condition examine(const segment& object) {
    const int file = object.file().descriptor();
    std::uint64_t word = 0;
    if (platform::size_of(file) == 0) return condition::unfinished;
    if (!platform::read_word(file, word)) return condition::foreign;
    if (word == layout::unfinished_magic) return condition::unfinished;
    return word == layout::magic ? condition::finished : condition::foreign;
}

/// Locks the object for building it, or for removing its name (rule 1). False: somebody else is at it, or the name leads
/// elsewhere by now.
inline bool try_seize(const segment& object) {
    if (!object.try_lock(layout::initialising_byte, platform::lock_kind::exclusive)) return false;
    if (object.is_named()) return true;
    object.file().unlock(layout::initialising_byte);
    return false;
}

/// Removes the name of an unfinished object, unless its creator is at work on it (rule 2).
inline void remove_abandoned(const segment& object) {
    if (!try_seize(object)) return;
    if (examine(object) == condition::unfinished) object.unlink();
    object.file().unlock(layout::initialising_byte);
}

/// Opens an object whose creator was done with it. Nothing if there is none of that name.
///
/// \param replace  whether to remove an object that was abandoned unfinished; otherwise it is an error
inline std::optional<segment> find_finished(const std::string& name, bool replace, const deadline& limit) {
    const deadline creator_locks_it(grace);
    for (;;) {
        auto found = segment::find(name);
        if (!found) return std::nullopt;
        switch (examine(*found)) {
            case condition::finished: return found;
            case condition::foreign: raise_foreign(*found);
            case condition::unfinished: break;
        }
        if (platform::byte_is_locked(found->file().descriptor(), layout::initialising_byte)) {
            limit.wait_or_throw(name);
        } else if (replace) {
            remove_abandoned(*found);
        } else if (!creator_locks_it.wait()) {
            throw queue_error(errc::unfinished, name,
                              "expected a complete queue, found one whose creator died while building it; "
                              "call create or open_or_create, which start over, or remove");
        }
    }
}

/// Maps a finished object and checks its header.
inline checked_header map_finished(segment& object, huge_pages huge) {
    const auto size = static_cast<std::uint64_t>(platform::size_of(object.file().descriptor()));
    if (size < layout::participants_offset) {
        throw queue_error(errc::corrupt, object.name(),
                          "expected at least " + text_of(layout::participants_offset) + " bytes, found " +
                              text_of(size) + "; something else has cut it short: remove it and create it again");
    }
    object.map(size, huge);
    // Acquire, pairs with the release in `build`: everything else in the header is there.
    static_cast<void>(object.header().magic.load(std::memory_order_acquire));
    return check_header(object.name(), object.header(), size);
}

/// Gives up the use of a queue; removes its name if it was the last one and the queue is not to be kept (rule 3).
///
/// \par If killed   the queue stays, and whoever opens it next can use it
inline void close(const segment& object, lifetime life) noexcept {
    object.file().part();
    if (life == lifetime::keep) return;
    try {
        // The lock is held until the descriptor is closed: an opener must not come in before the name is gone.
        if (object.try_lock(layout::users_byte, platform::lock_kind::exclusive) && try_seize(object)) object.unlink();
    } catch (const queue_error&) {
        // Without a descriptor to look where the name leads, it is better left than somebody else's removed.
    }
}

/// Joins the users of an object that is mapped and checked. False: its name is gone, or going: start over.
inline bool try_join(const segment& object) {
    const int error = object.file().join();
    if (error == EAGAIN) return false;
    if (error != 0) object.raise(error, "lock a byte of it");
    if (object.is_named()) return true;
    object.file().part();
    return false;
}

/// Becomes a user of a finished object, if it is what is expected. Nothing if its name is gone, or going: start over.
///
/// \param capacity  what its capacity must be, if not 0
inline std::optional<joined_segment> try_use(segment object, const element_description& element, std::uint64_t capacity,
                                             const memory_options& memory) {
    const auto header = map_finished(object, memory.huge);
    check_element(object.name(), object.header(), object.at<std::byte>(header.plan.schema_offset), element);
    if (capacity != 0 && header.capacity != capacity) {
        throw queue_error(errc::capacity_differs, object.name(),
                          "expected capacity " + text_of(capacity) + ", found " + text_of(header.capacity) +
                              "; ask for the capacity it has, call open, or remove it and create it again");
    }
    if (!try_join(object)) return std::nullopt;
    try {
        object.prepare(memory);
    } catch (...) {
        close(object, header.life);
        throw;
    }
    return joined_segment{std::move(object), header};
}

inline void write_header(layout::header& header, const element_description& element, std::uint64_t capacity,
                         const options& wanted, const layout::plan& plan) noexcept {
    header.layout_version = layout::version;
    header.lifetime = static_cast<std::uint32_t>(wanted.life);
    header.element_size = element.size;
    header.element_alignment = element.alignment;
    header.capacity = capacity;
    header.slot_stride = plan.slot_stride;
    header.payload_offset = plan.payload_offset;
    header.slots_offset = plan.slots_offset;
    header.participants_offset = layout::participants_offset;
    header.participant_count = wanted.participants;
    header.participant_stride = sizeof(layout::participant);
    header.schema_offset = plan.schema_offset;
    header.schema_size = element.type.text.size();
    header.schema_fingerprint = element.type.fingerprint;
    header.name_fingerprint = element.type.name_fingerprint;
    header.segment_size = plan.segment_size;
    header.created_at = platform::wall_clock();
    header.creator_pid = platform::process_id();
}

/// Makes an empty object a queue. The caller holds the `initialising` byte.
///
/// \par If killed   an unfinished object, whose name the next one to create it removes
inline void build(segment& object, const element_description& element, std::uint64_t capacity, const options& wanted,
                  const layout::plan& plan) {
    if (const int error = object.file().join()) object.raise(error, "lock a byte of it");
    object.mark(layout::unfinished_magic);
    object.reserve(plan.segment_size);
    object.map(plan.segment_size, wanted.memory.huge);
    // The system hands out zeroes, which is what counters, participants and slots start with: a stamp of 0 is free, lap 0.
    write_header(object.header(), element, capacity, wanted, plan);
    std::memcpy(object.at<std::byte>(plan.schema_offset), element.type.text.data(), element.type.text.size());
    object.prepare(wanted.memory);
    // Release, pairs with the acquire in `map_finished`.
    object.header().magic.store(layout::magic, std::memory_order_release);
}

/// Creates an object and the queue in it. Nothing if the name is taken.
inline std::optional<joined_segment> try_create(const std::string& name, const element_description& element,
                                                std::uint64_t capacity, const options& wanted,
                                                const layout::plan& plan) {
    auto made = segment::make(name, wanted.permissions);
    if (!made || !try_seize(*made)) return std::nullopt;  // taken, or taken for abandoned before we could lock it
    try {
        build(*made, element, capacity, wanted, plan);
    } catch (...) {
        made->unlink();
        throw;
    }
    made->file().unlock(layout::initialising_byte);
    const checked_header header{capacity, element.size, wanted.participants, wanted.life, plan};
    return joined_segment{std::move(*made), header};
}

[[noreturn]] inline void refuse_to_create(segment& found) {
    const auto header = map_finished(found, huge_pages::never);
    const auto& counters = found.counters();
    const ticket_space tickets(header.capacity);
    const std::uint64_t head = counters.head.load(std::memory_order_acquire);
    const std::uint64_t waiting = tickets.distance(head, counters.tail.load(std::memory_order_acquire));
    const bool used = platform::byte_is_locked(found.file().descriptor(), layout::users_byte);
    throw queue_error(errc::already_exists, found.name(),
                      "expected no queue of this name, found one with capacity " + text_of(header.capacity) + ", " +
                          text_of(header.element_size) + " bytes an element and " + text_of(waiting) +
                          " messages waiting, " + (used ? "in use" : "used by nobody") +
                          "; open it (open, open_or_create), or remove it first");
}

}  // namespace detail

/// Creates a queue's segment; it must not exist.
inline joined_segment create_segment(const std::string& name, const element_description& element,
                                     std::uint64_t capacity, const options& wanted) {
    const auto plan = detail::check_request(name, element, capacity, wanted);
    const detail::deadline limit(detail::patience);
    for (;;) {
        if (auto made = detail::try_create(name, element, capacity, wanted, plan)) return std::move(*made);
        if (auto found = detail::find_finished(name, true, limit)) detail::refuse_to_create(*found);
        limit.wait_or_throw(name);
    }
}

/// Opens a queue's segment; it must exist.
inline joined_segment open_segment(const std::string& name, const element_description& element,
                                   const memory_options& memory) {
    detail::check_name(name);
    const detail::deadline limit(detail::patience);
    for (;;) {
        auto found = detail::find_finished(name, false, limit);
        if (!found) {
            throw queue_error(errc::not_found, name,
                              "expected a queue of this name, found none; create it first, or call open_or_create");
        }
        if (auto joined = detail::try_use(std::move(*found), element, 0, memory)) return std::move(*joined);
        limit.wait_or_throw(name);
    }
}

/// Opens a queue's segment, or creates it if there is none.
inline joined_segment open_or_create_segment(const std::string& name, const element_description& element,
                                             std::uint64_t capacity, const options& wanted) {
    const auto plan = detail::check_request(name, element, capacity, wanted);
    const detail::deadline limit(detail::patience);
    for (;;) {
        if (auto made = detail::try_create(name, element, capacity, wanted, plan)) return std::move(*made);
        if (auto found = detail::find_finished(name, true, limit)) {
            if (auto joined = detail::try_use(std::move(*found), element, capacity, wanted.memory)) {
                return std::move(*joined);
            }
        }
        limit.wait_or_throw(name);
    }
}

/// Removes a queue's name. False if there was none.
inline bool remove_segment(const std::string& name) {
    detail::check_name(name);
    const detail::deadline limit(detail::patience);
    for (;;) {
        const auto found = segment::find(name);
        if (!found) return false;
        if (detail::examine(*found) == detail::condition::foreign) detail::raise_foreign(*found);
        if (detail::try_seize(*found)) {
            found->unlink();
            return true;
        }
        limit.wait_or_throw(name);
    }
}

}  // namespace promisqs
