// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// A queue for programs that do not have the type of its messages: recorders, bridges, scripts.
///
/// \code
/// auto q = promisqs::untyped_queue::open("orders");
/// const promisqs::element_fields fields = q.fields();
/// std::vector<std::byte> message(q.element_size());
/// while (q.pop_wait(message) == promisqs::status::ok) show(fields.get(message, "price"));
/// \endcode

#include <promisqs/detail/queue/elements.hpp>
#include <promisqs/detail/queue/held_message.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/status.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs {

/// A handle on a queue of any elements, whose size, alignment and schema it learns at run time. It has all calls of
/// `basic_queue`, and takes part as a `shmem_queue` does: the same operations, promises and waiting. Both kinds of
/// handles can use one queue at once.
///
/// A message is a `std::span` of exactly `element_size()` bytes, at any address. Several messages are a span of a
/// multiple of that. A span of another size is an error (`element_size_differs`), and moves nothing. `push_with` and
/// `pop_with` hand out a span in the queue, which is aligned as the elements are.
class untyped_queue : public basic_queue<detail::untyped_elements> {
    using basic = basic_queue<detail::untyped_elements>;

public:
    using size_type = basic::size_type;
    class iterator;

    /// Creates a queue, as `shmem_queue::create`.
    ///
    /// \param type      of the elements: from another queue's `type()`, from `element_type_of`, `parse_element_type` or
    ///                  `opaque_element_type`
    /// \throws queue_error  as there; and `invalid_type`
    [[nodiscard]] static untyped_queue create(std::string_view name, size_type capacity, const element_type& type,
                                              const options& wanted = {}) {
        const auto element = detail::element_description::of(type);
        return untyped_queue(detail::queue_base::create(name, element, capacity, wanted));
    }
    /// \param schema    its text, from which size and alignment follow (`parse_element_type`)
    [[nodiscard]] static untyped_queue create(std::string_view name, size_type capacity, std::string_view schema,
                                              const options& wanted = {}) {
        return create(name, capacity, parsed(name, schema), wanted);
    }

    /// Opens a queue that exists, whatever its elements are.
    ///
    /// \throws queue_error  as `shmem_queue::open`, without `element_size_differs` and `schema_differs`
    [[nodiscard]] static untyped_queue open(std::string_view name, const memory_options& memory = {}) {
        return untyped_queue(detail::queue_base::open(name, detail::element_description::any(), memory));
    }

    /// Opens a queue of this type, or creates it if there is none, as `shmem_queue::open_or_create`.
    ///
    /// \throws queue_error  as there; and `invalid_type`
    [[nodiscard]] static untyped_queue open_or_create(std::string_view name, size_type capacity,
                                                      const element_type& type, const options& wanted = {}) {
        const auto element = detail::element_description::of(type);
        return untyped_queue(detail::queue_base::open_or_create(name, element, capacity, wanted));
    }
    [[nodiscard]] static untyped_queue open_or_create(std::string_view name, size_type capacity,
                                                      std::string_view schema, const options& wanted = {}) {
        return open_or_create(name, capacity, parsed(name, schema), wanted);
    }

    /// Removes a queue's name, as `shmem_queue::remove`.
    static bool remove(std::string_view name) { return detail::queue_base::remove(name); }

    /// Another handle on the same queue, without its type. It shares the mapping and the participant entries.
    template <queue_element T>
    explicit untyped_queue(const shmem_queue<T>& typed)
        : untyped_queue(detail::queue_base(detail::queue_access::base_of(typed))) {}

    /// The size of a message, in bytes.
    [[nodiscard]] std::size_t element_size() const noexcept { return impl_.elements().message_size(); }
    /// How messages are aligned in the queue, in bytes.
    [[nodiscard]] std::size_t element_alignment() const noexcept { return impl_.elements().message_alignment(); }

    /// The type of the elements, as the queue's creator has described it. Any process that may write into the queue can
    /// have changed it since.
    [[nodiscard]] element_type type() const { return impl_.type(); }

    /// The fields of the elements, as the queue's creator has described them.
    ///
    /// \throws queue_error  `corrupt`: the description is no schema, or is not of this size
    [[nodiscard]] element_fields fields() const {
        const std::string text = type().text;
        try {
            element_fields result(text);
            if (result.type().size == element_size()) return result;
            throw schema_error(detail::concat({"promisqs schema: expected a type of ", std::to_string(element_size()),
                                               " bytes, found one of ", std::to_string(result.type().size)}));
        } catch (const schema_error& error) {
            throw queue_error(errc::corrupt, name(),
                              detail::concat({error.what(), "; something else has written into it"}));
        }
    }

    /// Takes the oldest message. As `shmem_queue::pop`, into the caller's room.
    ///
    /// \param room      is assigned the message's bytes when there is one, else left alone
    /// \return          whether there was one. False: the queue was empty, or is closed and drained (`is_closed`)
    /// \throws queue_error  as `push`
    [[nodiscard]] bool pop(std::span<std::byte> room) { return pop_into(impl_.target(room)); }

    /// Copies the oldest message and leaves it where it is. As `shmem_queue::peek`, into the caller's room.
    ///
    /// \param room      is assigned the message's bytes when there is one, else left alone
    /// \return          whether there was one
    /// \throws queue_error  `element_size_differs`; and as there
    [[nodiscard]] bool peek(std::span<std::byte> room) const {
        const auto target = impl_.target(room);
        detail::scratch_bytes copy(room.size());
        if (!impl_.peek(copy.bytes())) return false;
        target.copy_from(copy.bytes());
        return true;
    }
    /// Makes one attempt to copy the oldest message, as `shmem_queue::try_peek`.
    status try_peek(std::span<std::byte> room) const {
        const auto target = impl_.target(room);
        detail::scratch_bytes copy(room.size());
        const status result = impl_.try_peek(copy.bytes());
        if (result == status::ok) target.copy_from(copy.bytes());
        return result;
    }

    /// Pops, as `shmem_queue::begin`: `for (std::span<const std::byte> m : q)`. A span is valid until the next step.
    [[nodiscard]] iterator begin();
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    explicit untyped_queue(detail::queue_base&& joined) noexcept : basic(std::move(joined)) {}

    [[nodiscard]] static element_type parsed(std::string_view name, std::string_view schema) {
        try {
            return parse_element_type(schema);
        } catch (const schema_error& error) {
            throw queue_error(errc::invalid_type, name, error.what());
        }
    }
};

/// Takes message after message out of a queue, as `shmem_queue::iterator`.
class untyped_queue::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = std::span<const std::byte>;
    using difference_type = std::ptrdiff_t;

    explicit iterator(untyped_queue& source) : queue_(&source), room_(source.element_size()) {}
    iterator(iterator&&) = default;
    iterator& operator=(iterator&&) = default;
    iterator(const iterator&) = delete;
    iterator& operator=(const iterator&) = delete;
    ~iterator() = default;

    /// \pre  it is not at the end
    [[nodiscard]] std::span<const std::byte> operator*() const {
        take();
        return room_;
    }
    /// Goes on behind the message that it is at, which is then gone, looked at or not.
    iterator& operator++() {
        take();
        has_message_ = false;
        return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const iterator& it, std::default_sentinel_t) {
        it.take();
        return !it.has_message_;
    }

private:
    void take() const {
        if (!has_message_) has_message_ = queue_->pop(room_);
    }

    untyped_queue* queue_;
    mutable std::vector<std::byte> room_;
    mutable bool has_message_ = false;
};

inline untyped_queue::iterator untyped_queue::begin() { return iterator(*this); }

}  // namespace promisqs
