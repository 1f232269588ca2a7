// SPDX-License-Identifier: Apache-2.0
#pragma once

// Becoming a user of a finished object, and ceasing to be one. The rules are those of open.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/unfinished.hpp>
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
#include <cstring>
#include <optional>
#include <utility>

namespace promisqs::detail {

/// Gives up the use of a queue. Ends it if this was the last user and the queue is not to be kept (rule 4). Never
/// waits.
///
/// \par If killed
///   the queue stays; the next user can open it
[[gnu::__cold__]] inline void stop_using(const segment& object, lifetime life) noexcept {
    object.file().part();
    // The locks are held until the descriptor is closed: no opener may come in before the name is gone.
    if (life != lifetime::keep && try_end(object) == usage::none) static_cast<void>(end(object));
}

/// The options that a queue's creator chose, and of `wanted`, what concerns this process alone.
[[gnu::__cold__]] inline options options_of(const segment& object, const checked_header& header,
                                            options wanted) noexcept {
    wanted.permissions = os::permissions_of(object.file().descriptor());
    header.put_into(wanted);
    return wanted;
}

/// A queue's segment that this process uses, and what is used of its header. Closed with the object's end.
class joined_segment {
public:
    [[gnu::__cold__]] joined_segment(segment object, const checked_header& header, const options& wanted,
                                     bool created) noexcept
        : object_(std::move(object)),
          header_(header),
          options_(options_of(object_, header, wanted)),
          created_(created) {}
    [[gnu::__cold__]] joined_segment(joined_segment&& other) noexcept
        : object_(std::move(other.object_)),
          header_(other.header_),
          options_(other.options_),
          created_(other.created_),
          open_(std::exchange(other.open_, false)) {}
    joined_segment& operator=(joined_segment&&) = delete;
    [[gnu::__cold__, gnu::__noinline__]] ~joined_segment() {
        if (open_) stop_using(object_, header_.life);
    }

    [[nodiscard]] const segment& object() const noexcept { return object_; }
    [[nodiscard]] const checked_header& header() const noexcept { return header_; }
    /// Those that the creator chose, and this process's own.
    [[nodiscard]] const options& actual_options() const noexcept { return options_; }
    /// Whether this process has made the queue.
    [[nodiscard]] bool created() const noexcept { return created_; }

private:
    segment object_;
    checked_header header_;
    options options_;
    bool created_;
    bool open_ = true;
};

/// A queue that was found, mapped; not yet used, so that it may be ended, or started over, at any time.
class found_queue {
public:
    [[gnu::__cold__]] found_queue(segment& object, huge_pages huge) : object_(object) {
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
        header_ = copy_header(object.header());
        size_ = size;
    }

    [[nodiscard]] const segment& object() const noexcept { return object_; }

    /// The header, once it has been checked.
    [[nodiscard, gnu::__cold__]] checked_header check() const { return check_header(object_.name(), header_, size_); }

    [[gnu::__cold__]] void check_type(const checked_header& checked, const element_description& element) const {
        check_element(object_.name(), header_, object_.at<std::byte>(checked.plan.schema_offset), element);
    }

    /// Whether it still is the queue that was found. If not, what was found of it means nothing: look again.
    [[nodiscard, gnu::__cold__]] bool is_current() const noexcept {
        // [M3] acquire, pairs with [M2]: a process that has started the queue over has written its header before.
        // Relaxed would let the copy below be the old header, and the new queue pass for the one that was found.
        if (object_.header().magic.load(std::memory_order_acquire) != layout::magic) return false;
        // It may have been started over in a larger file, before its header was read.
        if (static_cast<std::uint64_t>(os::size_of(object_.file().descriptor())) != size_) return false;
        const auto now = copy_header(object_.header());
        return std::memcmp(&now, &header_, sizeof now) == 0;
    }

private:
    segment& object_;
    layout::header_fields header_{};
    std::uint64_t size_ = 0;
};

/// Calls `use(found_queue&)`. Nothing if it failed because the queue was ended meanwhile, or started over.
template <class Use>
[[gnu::__cold__]] auto use_found(segment& object, huge_pages huge, Use use)
    -> std::optional<decltype(use(std::declval<found_queue&>()))> {
    found_queue found(object, huge);
    try {
        return use(found);
    } catch (const queue_error&) {
        if (found.is_current()) throw;
        return std::nullopt;
    }
}

/// The layout version in an object, or what stands in its place. Of one that is cut short, this library's: mapping it
/// says what is wrong.
[[gnu::__cold__]] inline std::uint32_t version_in(const segment& object) noexcept {
    std::uint64_t word = layout::version;
    static_cast<void>(os::read_word(object.file().descriptor(), word, offsetof(layout::header, fields.layout_version)));
    return static_cast<std::uint32_t>(word);
}

/// Throws if a finished object is of another layout than this library's. Reads no more than that. False: it may be, or
/// it is being started over; look again.
[[gnu::__cold__]] inline bool has_known_version(const segment& object) {
    if (version_in(object) == layout::version) return true;
    // It may have been cleared, and finished since. While this process holds the lock, nobody does that.
    if (!try_seize(object)) return false;
    const std::uint32_t found = version_in(object);
    const bool is_finished = examine(object) == condition::finished;
    object.file().unlock(layout::initialising_byte);
    if (is_finished) header_check(object.name()).version(found);
    return false;
}

/// Joins the users of an object. False: its name is gone, or going; start over.
[[gnu::__cold__]] inline bool try_join(const found_queue& found) {
    const segment& object = found.object();
    const int error = object.file().join();
    if (error == EAGAIN) return false;
    if (error != 0) object.raise(error, "lock a byte of it");
    if (object.is_named() && found.is_current()) return true;
    object.file().part();
    return false;
}

/// Becomes a user of a finished object, if it is what was asked for. Nothing if its name is gone, or going, or it has
/// been started over: look again.
[[gnu::__cold__]] inline std::optional<joined_segment> try_use(segment object, const queue_request& request) {
    checked_header header{};
    const auto joined = use_found(object, request.wanted.memory.huge, [&](const found_queue& found) {
        header = found.check();
        found.check_type(header, request.element);
        check_capacity(header, request);
        if (request.wanted.strict) check_same_options(object.name(), options_of(object, header, {}), request.wanted);
        // Before joining: a user that fails here would be the last one out of a queue that it never used.
        object.prepare(request.wanted.memory);
        return try_join(found);
    });
    if (joined != true) return std::nullopt;
    return joined_segment(std::move(object), header, request.wanted, false);
}

}  // namespace promisqs::detail
