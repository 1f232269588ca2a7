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

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace promisqs::detail {

/// How long create, open and remove wait, without seeing any progress, for somebody who is building or removing the same
/// queue; and how long they give a creator that has made the object but not locked it. In nanoseconds.
inline constexpr std::uint64_t patience = 5'000'000'000;
inline constexpr std::uint64_t grace = 250'000'000;

/// A limit to waiting for others.
class deadline {
public:
    explicit deadline(std::uint64_t nanoseconds) noexcept : length_(nanoseconds) { restart(); }

    void restart() noexcept { end_ = os::steady_clock() + length_; }

    /// Waits a little. False: the time is over.
    [[nodiscard]] bool wait() const noexcept {
        if (os::steady_clock() >= end_) return false;
        os::nap();
        return true;
    }

    void wait_or_throw(const std::string& name) const {
        if (wait()) return;
        throw queue_error(errc::unfinished, name,
                          "expected whoever creates or removes it to be done, found no progress for " +
                              text_of(length_ / 1'000'000'000) +
                              " s; see whether a process that uses this name is stopped, and try again");
    }

private:
    std::uint64_t length_;
    std::uint64_t end_ = 0;
};

enum class condition { finished, unfinished, empty, foreign };

inline condition examine(const segment& object) {
    const int file = object.file().descriptor();
    std::uint64_t word = 0;
    if (!os::is_regular(file)) return condition::foreign;
    if (os::size_of(file) == 0) return condition::empty;
    if (!os::read_word(file, word)) return condition::foreign;
    if (word == layout::unfinished_magic) return condition::unfinished;
    return word == layout::magic ? condition::finished : condition::foreign;
}

[[noreturn]] inline void raise_foreign(const segment& object) {
    throw queue_error(errc::not_a_queue, object.name(),
                      "expected a promisqs queue, found a shared memory object of " +
                          text_of(static_cast<std::uint64_t>(os::size_of(object.file().descriptor()))) +
                          " bytes that does not begin like one; use another name, or have its owner remove it");
}

[[noreturn]] inline void raise_not_removable(const segment& object) {
    throw queue_error(
        errc::no_permission, object.name(),
        "expected to be allowed to remove it, found that it belongs to somebody else; have its owner do it");
}

/// Locks the object for building it, or for removing its name (rule 1). False: somebody else is at it, or the name leads
/// elsewhere by now.
inline bool try_seize(const segment& object) {
    if (!object.try_lock(layout::initialising_byte, os::lock_kind::exclusive)) return false;
    if (object.is_named()) return true;
    object.file().unlock(layout::initialising_byte);
    return false;
}

/// Removes the name of an unfinished object, unless its creator is at work on it (rule 2).
inline void remove_abandoned(const segment& object) {
    if (!try_seize(object)) return;
    const auto state = examine(object);
    const bool abandoned = state == condition::unfinished || state == condition::empty;
    if (abandoned && !object.unlink()) raise_not_removable(object);
    object.file().unlock(layout::initialising_byte);
}

/// Waits for the end of what somebody else does to an object that is not finished; takes it away if nobody does.
class unfinished_objects {
public:
    /// \param replace  whether an abandoned object is to be removed; otherwise it is an error
    explicit unfinished_objects(bool replace) noexcept : replace_(replace) {}

    void deal_with(const segment& object, condition state, bool locked, deadline& limit) {
        const std::int64_t size = os::size_of(object.file().descriptor());
        if (locked) {
            if (size != size_) limit.restart();  // its creator is getting on
            size_ = size;
            creator_locks_it_.restart();
            limit.wait_or_throw(object.name());
        } else if (state == condition::unfinished && replace_) {
            remove_abandoned(object);
            limit.wait_or_throw(object.name());
        } else if (!creator_locks_it_.wait()) {
            // An empty object may be one that somebody has just made, and not come to lock.
            if (!replace_) raise_abandoned(object);
            remove_abandoned(object);
            creator_locks_it_.restart();
        }
    }

private:
    [[noreturn]] static void raise_abandoned(const segment& object) {
        throw queue_error(errc::unfinished, object.name(),
                          "expected a complete queue, found one whose creator died while building it; "
                          "call create or open_or_create, which start over, or remove");
    }

    bool replace_;
    std::int64_t size_ = 0;
    deadline creator_locks_it_{grace};
};

/// Opens an object whose creator was done with it. Nothing if there is none of that name.
///
/// \param replace  whether to remove an object that was abandoned unfinished; otherwise it is an error
inline std::optional<segment> find_finished(const std::string& name, bool replace, deadline& limit) {
    unfinished_objects unfinished(replace);
    for (;;) {
        auto found = segment::find(name);
        if (!found) return std::nullopt;
        // The lock first: whoever lets go of it after this look has finished the object before the next one.
        const bool locked = os::byte_is_locked(found->file().descriptor(), layout::initialising_byte);
        const auto state = examine(*found);
        if (state == condition::finished) return found;
        if (state == condition::foreign) raise_foreign(*found);
        unfinished.deal_with(*found, state, locked, limit);
    }
}

/// Maps a finished object and checks its header, of which it returns the copy that was checked.
inline std::pair<layout::header_fields, checked_header> map_finished(segment& object, huge_pages huge) {
    const auto size = static_cast<std::uint64_t>(os::size_of(object.file().descriptor()));
    if (size < layout::participants_offset) {
        throw queue_error(errc::corrupt, object.name(),
                          "expected at least " + text_of(layout::participants_offset) + " bytes, found " +
                              text_of(size) + "; something else has cut it short: remove it and create it again");
    }
    object.map(size, huge);
    // Acquire, pairs with the release in `build`: everything else in the header is there.
    static_cast<void>(object.header().magic.load(std::memory_order_acquire));
    const auto copy = copy_header(object.header());
    return {copy, check_header(object.name(), copy, size)};
}

/// Gives up the use of a queue; removes its name if it was the last one and the queue is not to be kept (rule 3).
///
/// \par If killed   the queue stays, and whoever opens it next can use it
inline void close(const segment& object, lifetime life) noexcept {
    object.file().part();
    if (life == lifetime::keep) return;
    // This lock is held until the descriptor is closed: an opener must not come in before the name is gone.
    if (object.file().lock(layout::users_byte, os::lock_kind::exclusive) != 0) return;
    // Somebody may hold the other one for an instant, to see whether the object was abandoned, or to remove it.
    for (const deadline limit(grace); object.file().lock(layout::initialising_byte, os::lock_kind::exclusive) != 0;) {
        if (!limit.wait()) return;
    }
    if (object.is_named()) object.unlink();
}

/// A queue's segment that this process uses, and the checked copy of its header; closed with the object's end.
class joined_segment {
public:
    joined_segment(segment object, const checked_header& header) noexcept
        : object_(std::move(object)), header_(header) {}
    joined_segment(joined_segment&& other) noexcept
        : object_(std::move(other.object_)), header_(other.header_), open_(std::exchange(other.open_, false)) {}
    joined_segment& operator=(joined_segment&&) = delete;
    ~joined_segment() {
        if (open_) close(object_, header_.life);
    }

    [[nodiscard]] const segment& object() const noexcept { return object_; }
    [[nodiscard]] const checked_header& header() const noexcept { return header_; }

private:
    segment object_;
    checked_header header_;
    bool open_ = true;
};

/// Joins the users of an object. False: its name is gone, or going: start over.
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
    const auto [copy, header] = map_finished(object, memory.huge);
    check_element(object.name(), copy, object.at<std::byte>(header.plan.schema_offset), element);
    if (capacity != 0 && header.capacity != capacity) {
        throw queue_error(errc::capacity_differs, object.name(),
                          "expected capacity " + text_of(capacity) + ", found " + text_of(header.capacity) +
                              "; ask for the capacity it has, call open, or remove it and create it again");
    }
    // Before joining: a user that fails here would be the last one out of a queue that it never used.
    object.prepare(memory);
    if (!try_join(object)) return std::nullopt;
    return joined_segment(std::move(object), header);
}

inline void write_header(layout::header& header, const element_description& element, std::uint64_t capacity,
                         const options& wanted, const layout::plan& plan) noexcept {
    auto& fields = header.fields;
    fields.layout_version = layout::version;
    fields.lifetime = static_cast<std::uint32_t>(wanted.life);
    fields.element_size = element.size;
    fields.element_alignment = element.alignment;
    fields.capacity = capacity;
    fields.slot_stride = plan.slot_stride;
    fields.payload_offset = plan.payload_offset;
    fields.slots_offset = plan.slots_offset;
    fields.participants_offset = layout::participants_offset;
    fields.participant_count = wanted.participants;
    fields.participant_stride = sizeof(layout::participant);
    fields.schema_offset = plan.schema_offset;
    fields.schema_size = element.type.text.size();
    fields.schema_fingerprint = element.type.fingerprint;
    fields.name_fingerprint = element.type.name_fingerprint;
    fields.segment_size = plan.segment_size;
    fields.created_at = os::wall_clock();
    fields.creator_pid = os::process_id();
    fields.max_deaths = wanted.max_deaths;
    fields.single_roles = single_roles_of(wanted);
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
    segment::check_allowed(name, plan.segment_size);
    auto made = segment::make(name, wanted.permissions);
    if (!made) return std::nullopt;
    try {
        if (!try_seize(*made)) return std::nullopt;  // taken for abandoned before we could lock it
        build(*made, element, capacity, wanted, plan);
    } catch (...) {
        if (made->is_named()) made->unlink();
        throw;
    }
    made->file().unlock(layout::initialising_byte);
    const checked_header header{
        capacity, element.size, wanted.participants, wanted.max_deaths, single_roles_of(wanted), wanted.life, plan};
    return joined_segment(std::move(*made), header);
}

/// Counts the messages that wait in a queue. Handed in, because nothing here knows the ring.
using message_counter = std::uint64_t (*)(const segment& object, const checked_header& header);

[[noreturn]] inline void refuse_to_create(segment& found, message_counter count) {
    const auto header = map_finished(found, huge_pages::never).second;
    const std::uint64_t waiting = count(found, header);
    const bool used = os::byte_is_locked(found.file().descriptor(), layout::users_byte);
    throw queue_error(errc::already_exists, found.name(),
                      "expected no queue of this name, found one of capacity " + text_of(header.capacity) + ", with " +
                          text_of(header.element_size) + " bytes an element, messages waiting: " + text_of(waiting) +
                          ", " + (used ? "in use" : "used by nobody") +
                          "; open it (open, open_or_create), or remove it first");
}

/// Creates a queue's segment; it must not exist.
inline joined_segment create_segment(const std::string& name, const element_description& element,
                                     std::uint64_t capacity, const options& wanted, message_counter count) {
    const auto plan = check_request(name, element, capacity, wanted);
    deadline limit(patience);
    for (;;) {
        if (auto made = try_create(name, element, capacity, wanted, plan)) return std::move(*made);
        if (auto found = find_finished(name, true, limit)) refuse_to_create(*found, count);
        limit.wait_or_throw(name);
    }
}

/// Opens a queue's segment; it must exist.
inline joined_segment open_segment(const std::string& name, const element_description& element,
                                   const memory_options& memory) {
    check_name(name);
    deadline limit(patience);
    for (;;) {
        auto found = find_finished(name, false, limit);
        if (!found) {
            throw queue_error(errc::not_found, name,
                              "expected a queue of this name, found none; create it first, or call open_or_create");
        }
        if (auto joined = try_use(std::move(*found), element, 0, memory)) return std::move(*joined);
        limit.wait_or_throw(name);
    }
}

/// Opens a queue's segment, or creates it if there is none.
inline joined_segment open_or_create_segment(const std::string& name, const element_description& element,
                                             std::uint64_t capacity, const options& wanted) {
    const auto plan = check_request(name, element, capacity, wanted);
    deadline limit(patience);
    for (;;) {
        if (auto made = try_create(name, element, capacity, wanted, plan)) return std::move(*made);
        if (auto found = find_finished(name, true, limit)) {
            if (auto joined = try_use(std::move(*found), element, capacity, wanted.memory)) {
                return std::move(*joined);
            }
        }
        limit.wait_or_throw(name);
    }
}

/// Removes a queue's name. False if there was none.
inline bool remove_segment(const std::string& name) {
    check_name(name);
    deadline limit(patience);
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
