// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether a request makes sense, and whether a header holds what this program expects. Nothing in shared memory is
// trusted: the header is copied out once, the copy is checked, and only the copy is used from then on.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/birth.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace promisqs::detail {

/// What a call asks for.
struct queue_request {
    std::string name;
    element_description element;  // for opening, of size 0: whatever is found
    std::uint64_t capacity = 0;   // elements; 0: whatever is found
    options wanted = {};          // for opening, only `memory` counts
    layout::plan plan = {};       // for creating: from `check_request`
};

/// What is used of a header, once it has been checked.
struct checked_header {
    std::uint64_t capacity;
    std::uint64_t element_size;
    std::uint64_t element_alignment;
    std::uint32_t participants;
    std::uint32_t max_deaths;
    std::uint32_t single_roles;  // `layout::single_producer`, `layout::single_consumer`
    lifetime life;
    layout::plan plan;
    std::uint64_t schema_size;
    std::uint64_t schema_fingerprint;
    std::uint64_t name_fingerprint;

    /// Tells a process what options its creator chose; all but the permissions.
    [[gnu::__cold__]] void put_into(options& chosen) const noexcept {
        chosen.life = life;
        chosen.participants = participants;
        chosen.max_deaths = max_deaths;
        chosen.single_producer = (single_roles & layout::single_producer) != 0;
        chosen.single_consumer = (single_roles & layout::single_consumer) != 0;
    }
};

/// The bits of the header for the roles that are declared to have a single participant.
constexpr std::uint32_t single_roles_of(const options& wanted) noexcept {
    return (wanted.single_producer ? layout::single_producer : 0U) |
           (wanted.single_consumer ? layout::single_consumer : 0U);
}

inline constexpr std::size_t max_name_length = 254;

[[gnu::__cold__]] inline void check_name(std::string_view name) {
    const bool slash = name.find('/') != name.npos;
    const bool taken = name == "." || name == ".." || name.starts_with(temporary_prefix);
    if (!name.empty() && name.size() <= max_name_length && !taken && !slash && name.find('\0') == name.npos) return;
    raise(errc::invalid_name, name,
          {"expected 1 to ", digits(max_name_length),
           " bytes, without a slash or a zero byte, not \".\" or \"..\", and not \"", temporary_prefix,
           "\" at the beginning; found ", digits(name.size()), " bytes", slash ? ", and a slash" : "",
           "; choose another name"});
}

[[gnu::__cold__]] inline void check_options(std::string_view name, const options& wanted) {
    if (wanted.permissions > 0777 || (wanted.permissions & 0600) != 0600) {
        raise(errc::invalid_options, name,
              {"expected permissions from 0600 to 0777 (octal), that let the owner read and write, found ",
               wanted.permissions == 0 ? "" : "0", digits(wanted.permissions, 8),
               "; add 0600, and don't forget the leading 0 of octal numbers"});
    }
    if (wanted.participants == 0 || wanted.participants > layout::max_participants) {
        raise(errc::invalid_options, name,
              {"expected 1 to ", digits(layout::max_participants), " participants, found ", digits(wanted.participants),
               "; ask for as many as threads will use it at once"});
    }
    if (wanted.max_deaths > layout::most_deaths) {
        raise(errc::invalid_options, name,
              {"expected 0 (never) to ", digits(layout::most_deaths), " as max_deaths, found ",
               digits(wanted.max_deaths), "; ask for fewer, or for 0"});
    }
    if (wanted.abandoned > abandoned_queue::start_over) {
        raise(errc::invalid_options, name,
              {"expected one of the enumerators of abandoned_queue, found ",
               digits(static_cast<std::uint32_t>(wanted.abandoned)), "; don't cast numbers to it"});
    }
    if (wanted.life != lifetime::remove_on_last_close && wanted.life != lifetime::keep) {
        raise(errc::invalid_options, name,
              {"expected one of the enumerators of lifetime, found ", digits(static_cast<std::uint32_t>(wanted.life)),
               "; don't cast numbers to it"});
    }
}

[[gnu::__cold__]] inline void check_element_type(std::string_view name, const element_description& element) {
    const bool fits = element.size != 0 && element.size <= layout::max_segment_size &&
                      std::has_single_bit(element.alignment) && element.alignment <= layout::max_alignment &&
                      !element.type.text.empty() && element.type.text.size() <= layout::max_schema_size;
    if (fits) return;
    raise(
        errc::invalid_type, name,
        {"expected elements of 1 to ", digits(layout::max_segment_size), " bytes, aligned to a power of two up to ",
         digits(layout::max_alignment), ", with a schema text of 1 to ", digits(layout::max_schema_size),
         " bytes, found ", digits(element.size), " bytes, aligned to ", digits(element.alignment), ", with a text of ",
         digits(element.type.text.size()), " bytes; promisqs::parse_element_type makes a type of a text"});
}

/// Throws unless a queue could be created from this.
///
/// \return  where everything in it will lie
[[gnu::__cold__]] inline layout::plan check_request(const queue_request& request) {
    check_name(request.name);
    check_options(request.name, request.wanted);
    check_element_type(request.name, request.element);
    if (request.capacity == 0 || request.capacity > layout::max_capacity) {
        raise(errc::invalid_capacity, request.name,
              {"expected 1 to ", digits(layout::max_capacity), " elements, found ", digits(request.capacity),
               "; ask for another capacity"});
    }
    const auto plan = layout::make_plan(request.element.size, request.element.alignment, request.capacity,
                                        request.wanted.participants, request.element.type.text.size());
    if (plan.segment_size == 0) {
        raise(errc::invalid_capacity, request.name,
              {"expected at most ", digits(layout::max_segment_size), " bytes in all, found ", digits(request.capacity),
               " slots of ", digits(plan.slot_stride), " bytes each; ask for a smaller capacity"});
    }
    return plan;
}

/// Reads each word exactly once, whatever other processes write at that time. (Volatile: the compiler must not read it
/// again.)
[[gnu::__cold__]] inline layout::header_fields copy_header(const layout::header& header) noexcept {
    std::array<std::uint64_t, sizeof(layout::header_fields) / sizeof(std::uint64_t)> words{};
    const auto* shared = reinterpret_cast<const volatile std::uint64_t*>(&header.fields);
    for (std::uint64_t& word : words) word = *shared++;
    return std::bit_cast<layout::header_fields>(words);
}

/// Compares the fields of a header with what they must be, and says which one is wrong.
class header_check {
public:
    explicit header_check(std::string_view queue) noexcept : queue_(queue) {}

    [[gnu::__cold__, gnu::__noinline__]] void version(std::uint32_t found) const {
        if (found == layout::version) return;
        detail::raise(errc::layout_version_differs, queue_,
                      {"expected layout version ", digits(layout::version), ", found ", digits(found),
                       "; build both programs with the same version of promisqs, or remove it and create it again"});
    }

    [[gnu::__cold__, gnu::__noinline__]] void between(std::string_view field, std::uint64_t found, std::uint64_t least,
                                                      std::uint64_t most) const {
        if (found < least || found > most) raise(field, {"from ", digits(least), " to ", digits(most)}, found);
    }

    [[gnu::__cold__, gnu::__noinline__]] void equal(std::string_view field, std::uint64_t found,
                                                    std::uint64_t expected) const {
        if (found != expected) raise(field, {digits(expected)}, found);
    }

private:
    [[noreturn, gnu::__cold__, gnu::__noinline__]] void raise(std::string_view field,
                                                              std::initializer_list<std::string_view> expected,
                                                              std::uint64_t found) const {
        detail::raise(errc::corrupt, queue_,
                      {"expected ", concat(expected), " in the header's field `", field, "`, found ", digits(found),
                       "; something else has written into it: remove it and create it again"});
    }

    std::string_view queue_;
};

/// Checks all that later addressing depends on.
///
/// \param header  the copy of the header of an object
/// \param mapped  how many bytes of the object are mapped
[[gnu::__cold__]] inline checked_header check_header(std::string_view queue, const layout::header_fields& header,
                                                     std::uint64_t mapped) {
    const header_check check(queue);
    check.version(header.layout_version);
    check.between("lifetime", header.lifetime, 0, 1);
    check.between("element size", header.element_size, 1, layout::max_segment_size);
    check.between("element alignment", header.element_alignment, 1, layout::max_alignment);
    check.equal("element alignment", header.element_alignment, std::bit_ceil(header.element_alignment));
    check.between("capacity", header.capacity, 1, layout::max_capacity);
    check.between("participant count", header.participant_count, 1, layout::max_participants);
    check.between("schema size", header.schema_size, 1, layout::max_schema_size);
    const auto plan = layout::make_plan(header.element_size, header.element_alignment, header.capacity,
                                        header.participant_count, header.schema_size);
    check.equal("participants offset", header.participants_offset, layout::participants_offset);
    check.equal("participant stride", header.participant_stride, sizeof(layout::participant));
    check.equal("schema offset", header.schema_offset, plan.schema_offset);
    check.equal("slot stride", header.slot_stride, plan.slot_stride);
    check.equal("payload offset", header.payload_offset, plan.payload_offset);
    check.equal("stamp offset", header.stamp_offset, plan.stamp_offset);
    check.equal("slots offset", header.slots_offset, plan.slots_offset);
    check.between("segment size", header.segment_size, layout::participants_offset, mapped);
    check.equal("segment size", header.segment_size, plan.segment_size);
    check.between("max deaths", header.max_deaths, 0, layout::most_deaths);
    check.between("single roles", header.single_roles, 0, layout::single_producer | layout::single_consumer);
    return {header.capacity,    header.element_size,       header.element_alignment,  header.participant_count,
            header.max_deaths,  header.single_roles,       lifetime{header.lifetime}, plan,
            header.schema_size, header.schema_fingerprint, header.name_fingerprint};
}

/// A stored schema text, fit to be shown: whatever it holds, and however long it claims to be.
[[gnu::__cold__]] inline std::string shown_schema(const std::byte* text, std::uint64_t size) {
    constexpr std::uint64_t most = 4096;
    const std::string_view stored(reinterpret_cast<const char*>(text),
                                  static_cast<std::size_t>(size < most ? size : most));
    std::string shown = concat({stored, size > most ? "..." : ""});
    for (char& c : shown) {
        if (c < ' ' || c > '~') c = '?';
    }
    return shown;
}

/// Throws unless the stored type is the expected one, as far as both sides know it.
[[gnu::__cold__]] inline void check_element(std::string_view queue, const layout::header_fields& header,
                                            const std::byte* schema_text, const element_description& expected) {
    if (expected.size == 0) return;  // any will do
    const std::string stored = shown_schema(schema_text, header.schema_size);
    const schema found{stored, header.schema_fingerprint, header.name_fingerprint};
    const bool same_size = header.element_size == expected.size && header.element_alignment == expected.alignment;
    if (same_size && compatible(expected.type, found)) return;
    raise(same_size ? errc::schema_differs : errc::element_size_differs, queue,
          {"expected elements of type ", expected.type.text, " (", digits(expected.size), " bytes, aligned to ",
           digits(expected.alignment), "), found ", stored, " (", digits(header.element_size), " bytes, aligned to ",
           digits(header.element_alignment),
           "); open it with the type that it was created with, take another name, or stop all programs that use it ",
           "and start it over (options::abandoned)"});
}

/// Throws unless the queue has the capacity that was asked for, if one was.
[[gnu::__cold__]] inline void check_capacity(const checked_header& found, const queue_request& request) {
    if (request.capacity == 0 || found.capacity == request.capacity) return;
    raise(errc::capacity_differs, request.name,
          {"expected capacity ", digits(request.capacity), ", found ", digits(found.capacity),
           "; ask for the capacity it has, call open, take another name, or stop all programs that use it ",
           "and start it over (options::abandoned)"});
}

/// Throws unless a queue was created with the options that were asked for.
[[gnu::__cold__]] inline void check_same_options(std::string_view queue, const options& found, const options& wanted) {
    const auto check = [&](std::string_view option, std::uint64_t expected, std::uint64_t actual, unsigned base = 10) {
        if (expected == actual) return;
        const std::string_view zero = base == 8 ? "0" : "";
        raise(errc::options_differ, queue,
              {"expected options::", option, " to be ", zero, digits(expected, base), ", found ", zero,
               digits(actual, base),
               "; ask for what it has, do without options::strict, or stop all programs that use it ",
               "and start it over (options::abandoned)"});
    };
    check("permissions", wanted.permissions, found.permissions, 8);
    check("life", static_cast<std::uint32_t>(wanted.life), static_cast<std::uint32_t>(found.life));
    check("participants", wanted.participants, found.participants);
    check("max_deaths", wanted.max_deaths, found.max_deaths);
    check("single_producer", wanted.single_producer, found.single_producer);
    check("single_consumer", wanted.single_consumer, found.single_consumer);
}

}  // namespace promisqs::detail
