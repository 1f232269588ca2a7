// SPDX-License-Identifier: Apache-2.0
#pragma once

// Becoming a user of a finished object, and ceasing to be one. The rules are those of open.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/deadline.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace promisqs::detail {

/// The copy of a header that was checked, and what is used of it.
struct mapped_header {
    layout::header_fields copy;
    checked_header checked;
};

/// Maps a finished object and checks its header.
[[gnu::cold]] inline mapped_header map_finished(segment& object, huge_pages huge) {
    const auto size = static_cast<std::uint64_t>(os::size_of(object.file().descriptor()));
    if (size < layout::participants_offset) {
        raise(errc::corrupt, object.name(),
              {"expected at least ", digits(layout::participants_offset), " bytes, found ", digits(size),
               "; something else has cut it short: remove it and create it again"});
    }
    object.map(size, huge);
    // [M1] acquire, pairs with [M2]: once the magic is there, so is the rest of the header, with the schema.
    // Relaxed would let the copy below read what was there before, zeroes.
    static_cast<void>(object.header().magic.load(std::memory_order_acquire));
    const auto copy = copy_header(object.header());
    return {copy, check_header(object.name(), copy, size)};
}

/// Gives up the use of a queue. Removes its name if this was the last user and the queue is not to be kept (rule 3).
///
/// \par If killed
///   the queue stays; the next user can open it
[[gnu::cold]] inline void close(const segment& object, lifetime life) noexcept {
    object.file().part();
    if (life == lifetime::keep) return;
    // Held until the descriptor is closed: no opener may come in before the name is gone.
    if (object.file().lock(layout::users_byte, os::lock_kind::exclusive) != 0) return;
    // Another process may hold this one for an instant, to see whether the object was abandoned, or to remove it.
    for (const deadline limit(grace); object.file().lock(layout::initialising_byte, os::lock_kind::exclusive) != 0;) {
        if (!limit.wait()) return;
    }
    if (object.is_named()) object.unlink();
}

/// A queue's segment that this process uses, and what is used of its header. Closed with the object's end.
class joined_segment {
public:
    [[gnu::cold]] joined_segment(segment object, const checked_header& header) noexcept
        : object_(std::move(object)), header_(header) {}
    [[gnu::cold]] joined_segment(joined_segment&& other) noexcept
        : object_(std::move(other.object_)), header_(other.header_), open_(std::exchange(other.open_, false)) {}
    joined_segment& operator=(joined_segment&&) = delete;
    [[gnu::cold, gnu::noinline]] ~joined_segment() {
        if (open_) close(object_, header_.life);
    }

    [[nodiscard]] const segment& object() const noexcept { return object_; }
    [[nodiscard]] const checked_header& header() const noexcept { return header_; }

private:
    segment object_;
    checked_header header_;
    bool open_ = true;
};

/// Joins the users of an object. False: its name is gone, or going; start over.
[[gnu::cold]] inline bool try_join(const segment& object) {
    const int error = object.file().join();
    if (error == EAGAIN) return false;
    if (error != 0) object.raise(error, "lock a byte of it");
    if (object.is_named()) return true;
    object.file().part();
    return false;
}

/// Becomes a user of a finished object, if it is what was asked for. Nothing if its name is gone, or going: start over.
[[gnu::cold]] inline std::optional<joined_segment> try_use(segment object, const queue_request& request) {
    const auto [copy, header] = map_finished(object, request.wanted.memory.huge);
    check_element(object.name(), copy, object.at<std::byte>(header.plan.schema_offset), request.element);
    if (request.capacity != 0 && header.capacity != request.capacity) {
        raise(errc::capacity_differs, object.name(),
              {"expected capacity ", digits(request.capacity), ", found ", digits(header.capacity),
               "; ask for the capacity it has, call open, or remove it and create it again"});
    }
    // Before joining: a user that fails here would be the last one out of a queue that it never used.
    object.prepare(request.wanted.memory);
    if (!try_join(object)) return std::nullopt;
    return joined_segment(std::move(object), header);
}

}  // namespace promisqs::detail
