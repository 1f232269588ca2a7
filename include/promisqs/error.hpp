// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

// Of these a process must have only one, though its shared libraries hide what they can.
#pragma GCC visibility push(default)

namespace promisqs {

/// Why a queue could not be created, opened, joined or used.
enum class errc {
    already_exists = 1,      ///< `create`: the name is taken
    not_found,               ///< `open`: there is no queue of that name
    element_size_differs,    ///< the queue's elements have another size or alignment than T
    schema_differs,          ///< the size agrees, but the fields or the given name of T do not
    capacity_differs,        ///< `open_or_create`: the queue is there, with another capacity
    layout_version_differs,  ///< made by a version of this library with other shared bytes
    not_a_queue,             ///< the object of that name is something else
    corrupt,                 ///< a field of the queue holds what it can't hold
    unfinished,              ///< its creator died, or is still busy, before the queue was complete
    invalid_name,            ///< empty, too long, or with a slash
    invalid_capacity,        ///< 0, or too large
    invalid_options,         ///< an option outside its range
    no_memory,               ///< the shared memory, or what was asked of it, is not to be had
    no_permission,           ///< the system denies the access
    too_many_participants,   ///< all participant entries are taken
    role_taken,              ///< a second producer, or consumer, of a queue declared to have a single one
    batch_too_large,         ///< `push_all` of more messages than the queue can ever hold
    in_callable,    ///< a push or pop inside a callable of `push_with` or `pop_with` of the same queue; or a fork there
    system_failure  ///< the system refused something else; the text says what
};

namespace detail {

class error_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "promisqs"; }

    [[nodiscard]] std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
            case errc::already_exists: return "the queue exists already";
            case errc::not_found: return "no such queue";
            case errc::element_size_differs: return "the element size differs";
            case errc::schema_differs: return "the schema differs";
            case errc::capacity_differs: return "the capacity differs";
            case errc::layout_version_differs: return "the layout version differs";
            case errc::not_a_queue: return "not a promisqs queue";
            case errc::corrupt: return "the queue is corrupt";
            case errc::unfinished: return "the queue was never finished by its creator";
            case errc::invalid_name: return "invalid name";
            case errc::invalid_capacity: return "invalid capacity";
            case errc::invalid_options: return "invalid options";
            case errc::no_memory: return "no memory";
            case errc::no_permission: return "no permission";
            case errc::too_many_participants: return "too many participants";
            case errc::role_taken: return "the single side is taken";
            case errc::batch_too_large: return "the batch is too large";
            case errc::in_callable: return "not possible inside a callable";
            case errc::system_failure: return "a system call failed";
        }
        return "unknown error";
    }

    [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<errc>(value)) {
            case errc::already_exists: return std::errc::file_exists;
            case errc::not_found: return std::errc::no_such_file_or_directory;
            case errc::invalid_name:
            case errc::invalid_capacity:
            case errc::batch_too_large:
            case errc::invalid_options: return std::errc::invalid_argument;
            case errc::no_memory: return std::errc::not_enough_memory;
            case errc::no_permission: return std::errc::permission_denied;
            case errc::in_callable: return std::errc::resource_deadlock_would_occur;
            default: return {value, *this};
        }
    }
};

}  // namespace detail

/// The category of `errc`. Its conditions compare equal to the `std::errc` of the same meaning where there is one.
inline const std::error_category& queue_category() noexcept {
    static const detail::error_category category;
    return category;
}

inline std::error_code make_error_code(errc value) noexcept { return {static_cast<int>(value), queue_category()}; }

/// What create, open, and a thread's first use of a queue throw. `what()` names the queue, what was expected, what was
/// found, and what to do; `code()` is one of `errc`.
class queue_error : public std::system_error {
public:
    queue_error(errc code, std::string_view queue, std::string_view details)
        : std::system_error(make_error_code(code)), text_(compose(code, queue, details)) {}

    [[nodiscard]] const char* what() const noexcept override { return text_.what(); }

private:
    static std::string compose(errc code, std::string_view queue, std::string_view details) {
        std::string text = "promisqs queue \"";
        for (const char c : queue) text.push_back(c == '\0' ? '?' : c);  // a zero would end what() early
        text.append("\": ").append(make_error_code(code).message());
        return text.append(": ").append(details);
    }

    std::runtime_error text_;  // its string is shared between copies, so that copying an exception can't throw
};

}  // namespace promisqs

template <>
struct std::is_error_code_enum<promisqs::errc> : std::true_type {};

#pragma GCC visibility pop
