// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

// Default visibility: one instance for each process, even across libraries that are built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs {

/// Why a queue could not be created, opened or used.
enum class errc {
    already_exists = 1,      ///< `create`: there is a queue of that name
    not_found,               ///< `open`: there is no queue of that name
    element_size_differs,    ///< the queue's elements have another size or alignment than T
    schema_differs,          ///< the size is that of T, but the fields or the given name are not
    capacity_differs,        ///< `open_or_create`: there is such a queue, with another capacity
    options_differ,          ///< `options::strict`: there is such a queue, created with other options
    layout_version_differs,  ///< another version of this library, with other shared bytes, made the queue
    not_a_queue,             ///< the object of that name is something else
    corrupt,                 ///< a field of the queue holds an impossible value
    unfinished,              ///< `open`: the queue is incomplete, as its creator died
    invalid_name,            ///< empty, too long, or with a slash
    invalid_capacity,        ///< 0, or too large
    invalid_options,         ///< an option outside its range
    invalid_type,            ///< `untyped_queue`: a schema text that is none, or a size or alignment outside its range
    no_memory,               ///< the system does not grant the shared memory, or what was asked of it
    no_permission,           ///< the system denies the access
    too_many_participants,   ///< all participant entries are taken
    role_taken,              ///< a second producer, or consumer, of a queue declared to have a single one
    batch_too_large,         ///< `push_all` of more messages than the queue can ever hold
    in_callable,    ///< a push or pop inside a callable of `push_with` or `pop_with` of the same queue; or a fork there
    system_failure  ///< the system refused something else; the text says what
};

namespace detail {

/// The parts, one after the other. Out of line, because std::string's own operators are much code at each use.
[[gnu::__cold__, gnu::__noinline__]] inline std::string concat(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (const std::string_view part : parts) size += part.size();
    std::string text(size, '\0');
    char* end = text.data();
    for (const std::string_view part : parts) end += part.copy(end, part.size());
    return text;
}

[[gnu::__cold__]] constexpr const char* message_of(errc value) noexcept {
    switch (value) {
        case errc::already_exists: return "the queue exists already";
        case errc::not_found: return "no such queue";
        case errc::element_size_differs: return "the element size differs";
        case errc::schema_differs: return "the schema differs";
        case errc::capacity_differs: return "the capacity differs";
        case errc::options_differ: return "the options differ";
        case errc::layout_version_differs: return "the layout version differs";
        case errc::not_a_queue: return "not a promisqs queue";
        case errc::corrupt: return "the queue is corrupt";
        case errc::unfinished: return "the queue was never finished by its creator";
        case errc::invalid_name: return "invalid name";
        case errc::invalid_capacity: return "invalid capacity";
        case errc::invalid_options: return "invalid options";
        case errc::invalid_type: return "invalid element type";
        case errc::no_memory: return "no memory";
        case errc::no_permission: return "no permission";
        case errc::too_many_participants: return "too many participants";
        case errc::role_taken: return "the single role is taken";
        case errc::batch_too_large: return "the batch is too large";
        case errc::in_callable: return "not possible inside a callable";
        case errc::system_failure: return "a system call failed";
    }
    return "unknown error";
}

class error_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "promisqs"; }

    [[nodiscard, gnu::__cold__]] std::string message(int value) const override {
        return message_of(static_cast<errc>(value));
    }

    [[nodiscard, gnu::__cold__]] std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<errc>(value)) {
            case errc::already_exists: return std::errc::file_exists;
            case errc::not_found: return std::errc::no_such_file_or_directory;
            case errc::invalid_name:
            case errc::invalid_capacity:
            case errc::invalid_type:
            case errc::batch_too_large:
            case errc::invalid_options: return std::errc::invalid_argument;
            case errc::no_memory: return std::errc::not_enough_memory;
            case errc::no_permission: return std::errc::permission_denied;
            case errc::in_callable: return std::errc::resource_deadlock_would_occur;
            case errc::element_size_differs:
            case errc::schema_differs:
            case errc::capacity_differs:
            case errc::options_differ:
            case errc::layout_version_differs:
            case errc::not_a_queue:
            case errc::corrupt:
            case errc::unfinished:
            case errc::too_many_participants:
            case errc::role_taken:
            case errc::system_failure: break;
        }
        return {value, *this};
    }
};

}  // namespace detail

/// The category of `errc`. Its conditions compare equal to the `std::errc` of the same meaning, where there is one.
inline const std::error_category& queue_category() noexcept {
    static const detail::error_category category;
    return category;
}

inline std::error_code make_error_code(errc value) noexcept { return {static_cast<int>(value), queue_category()}; }

/// What create, open, and a thread's first use of a queue throw. `what()` names the queue, what was expected, what was
/// found, and what to do. `code()` is one of `errc`.
class queue_error : public std::system_error {
public:
    [[gnu::__cold__, gnu::__noinline__]] queue_error(errc code, std::string_view queue, std::string_view details)
        : std::system_error(make_error_code(code)), text_(compose(code, queue, details)) {}

    [[nodiscard]] const char* what() const noexcept override { return text_.what(); }

private:
    [[gnu::__cold__]] static std::string compose(errc code, std::string_view queue, std::string_view details) {
        std::string text =
            detail::concat({"promisqs queue \"", queue, "\": ", detail::message_of(code), ": ", details});
        for (char& c : text) {
            if (c == '\0') c = '?';  // a zero in the name would end what() early
        }
        return text;
    }

    std::runtime_error text_;  // its string is shared between copies, so that copying an exception can't throw
};

/// A text that is no schema, a path that leads to no field, or a value that does not fit (schema.hpp). `what()` says
/// what was expected, and what was found.
class schema_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace promisqs

template <>
struct std::is_error_code_enum<promisqs::errc> : std::true_type {};

#pragma GCC visibility pop
