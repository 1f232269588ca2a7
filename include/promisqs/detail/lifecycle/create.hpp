// SPDX-License-Identifier: Apache-2.0
#pragma once

// Making an object, and a queue of it. The rules are those of open.hpp.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/join.hpp>
#include <promisqs/detail/lifecycle/unfinished.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory_limit.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace promisqs::detail {

[[gnu::__cold__]] inline void write_header(layout::header_fields& fields, const queue_request& request) noexcept {
    const layout::plan& plan = request.plan;
    fields.layout_version = layout::version;
    fields.lifetime = static_cast<std::uint32_t>(request.wanted.life);
    fields.element_size = request.element.size;
    fields.element_alignment = request.element.alignment;
    fields.capacity = request.capacity;
    fields.slot_stride = plan.slot_stride;
    fields.payload_offset = static_cast<std::uint32_t>(plan.payload_offset);
    fields.stamp_offset = static_cast<std::uint32_t>(plan.stamp_offset);
    fields.slots_offset = plan.slots_offset;
    fields.participants_offset = layout::participants_offset;
    fields.participant_count = request.wanted.participants;
    fields.participant_stride = sizeof(layout::participant);
    fields.schema_offset = plan.schema_offset;
    fields.schema_size = request.element.type.text.size();
    fields.schema_fingerprint = request.element.type.fingerprint;
    fields.name_fingerprint = request.element.type.name_fingerprint;
    fields.segment_size = plan.segment_size;
    fields.created_at = os::wall_clock();
    fields.creator_pid = os::process_id();
    fields.max_deaths = request.wanted.max_deaths;
    fields.single_roles = single_roles_of(request.wanted);
}

/// Makes an unfinished object a queue, and joins its users. The caller holds the `initialising` byte, and perhaps the
/// `users` byte.
///
/// \par If killed
///   an unfinished object is left, which the next process to create it takes over
[[gnu::__cold__]] inline void build(segment& object, const queue_request& request) {
    const schema& type = request.element.type;
    const options& wanted = request.wanted;
    object.reserve(request.plan.segment_size);
    object.map(request.plan.segment_size, wanted.memory.huge);
    // The system hands out zeroes. Counters, participants and slots start with them: a stamp of 0 is free, lap 0.
    write_header(object.header().fields, request);
    type.text.copy(object.at<char>(request.plan.schema_offset), type.text.size());
    object.prepare(wanted.memory);
    if (const int error = object.file().join()) object.raise(error, "lock a byte of it");
    // [M2] release, pairs with [M1] and [M3]: the header and the schema are written before the magic.
    // Relaxed would let an opener find the magic and a header of zeroes.
    object.header().magic.store(layout::magic, std::memory_order_release);
    object.file().unlock(layout::initialising_byte);
}

/// As `build`; where that fails, ends what there is.
[[gnu::__cold__]] inline joined_segment build_or_end(segment object, const queue_request& request) {
    try {
        build(object, request);
    } catch (...) {
        if (object.is_named()) static_cast<void>(end(object));
        throw;
    }
    const options& wanted = request.wanted;
    const schema& type = request.element.type;
    const checked_header header{request.capacity,    request.element.size, request.element.alignment,
                                wanted.participants, wanted.max_deaths,    single_roles_of(wanted),
                                wanted.life,         request.plan,         type.text.size(),
                                type.fingerprint,    type.name_fingerprint};
    return joined_segment(std::move(object), header, wanted, true);
}

/// Throws if this process may not make an object of that size, in bytes.
[[gnu::__cold__]] inline void check_allowed(std::string_view name, std::uint64_t size) {
    if (!os::size_is_allowed(size)) {
        raise(errc::no_memory, name,
              {"expected ", digits(size), " bytes of shared memory, found: ", system_message(EFBIG),
               "; ask for a smaller capacity, or raise RLIMIT_FSIZE (ulimit -f)"});
    }
    // Beyond that limit the kernel ends a process. A limit below a megabyte would not let the program run.
    if (size < std::uint64_t{1} << 20) return;
    if (const std::uint64_t limit = os::memory_limit(); size > limit) {
        raise(errc::no_memory, name,
              {"expected ", digits(size), " bytes of shared memory, found a limit of ", digits(limit),
               " for the control group (container, service) of this process; ask for a smaller capacity, or raise the ",
               "limit (docker --memory; systemd MemoryMax=; memory.max)"});
    }
}

/// Creates an object and the queue in it. Nothing if the name is taken.
///
/// \throws  `queue_error`; no object is left then
/// \par If killed
///   as `build`
[[gnu::__cold__]] inline std::optional<joined_segment> try_create(const queue_request& request) {
    check_allowed(request.name, request.plan.segment_size);
    auto made = segment::make(request.name, request.wanted.permissions);
    if (!made) return std::nullopt;
    return build_or_end(std::move(*made), request);
}

/// Starts a queue over in an object that is abandoned, or that no process uses, and whose name this process may not
/// remove. The caller holds the `initialising` byte, and perhaps the `users` byte.
[[gnu::__cold__]] inline joined_segment start_over_in_place(segment object, const queue_request& request) {
    check_allowed(request.name, request.plan.segment_size);
    // A process may have mapped what was there, and not joined it yet. It finds out by the first word.
    if (const int error = object.mark_unfinished()) object.raise(error, "write its first 8 bytes");
    if (const int error = object.clear()) object.raise(error, "clear it");
    return build_or_end(std::move(object), request);
}

/// Removes what a dead creator has left, so that the name is free; or where this process may not do that, starts over
/// in place. Nothing: look again.
[[gnu::__cold__]] inline std::optional<joined_segment> take_over(segment object, const queue_request& request) {
    if (!try_seize(object) || examine(object) != condition::abandoned) return std::nullopt;
    if (object.unlink()) return std::nullopt;
    return start_over_in_place(std::move(object), request);
}

}  // namespace promisqs::detail
