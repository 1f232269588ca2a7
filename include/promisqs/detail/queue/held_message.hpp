// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages outside of a queue, for calls that do not get a place for one. A large one may be larger than a thread's
// stack.

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace promisqs::detail {

/// Room for a message that need not have a default constructor. It is not cleared, which would take as long as a copy.
template <class T>
union message_storage {
    message_storage() noexcept {}
    alignas(T) std::byte bytes[sizeof(T)];
    T value;
};

/// From this size on, in bytes, a message is allocated, not put on the stack.
inline constexpr std::size_t large_message = 4096;

/// Room for a message, for the time of a call: on the stack, or allocated.
template <class T, bool IsLarge = (sizeof(T) >= large_message)>
class scratch_message {
public:
    [[nodiscard]] std::byte* bytes() noexcept { return room_.bytes; }
    [[nodiscard]] const T& value() const noexcept { return room_.value; }

private:
    message_storage<T> room_;
};
template <class T>
class scratch_message<T, true> {
public:
    [[nodiscard]] std::byte* bytes() noexcept { return room_->bytes; }
    [[nodiscard]] const T& value() const noexcept { return room_->value; }

private:
    std::unique_ptr<message_storage<T>> room_{new message_storage<T>};
};

/// The same for a message of a size that is known at run time.
class scratch_bytes {
public:
    explicit scratch_bytes(std::size_t size) {
        if (size > large_message) large_.reset(new std::byte[size]);
    }
    [[nodiscard]] std::byte* bytes() noexcept { return large_ != nullptr ? large_.get() : small_; }

private:
    std::byte small_[large_message];  // not cleared
    std::unique_ptr<std::byte[]> large_;
};

/// The message that an iterator is at, if any. It can be moved.
template <class T, bool IsLarge = (sizeof(T) >= large_message)>
class held_message {
public:
    held_message() = default;
    held_message(held_message&&) noexcept = default;
    held_message& operator=(held_message&& other) noexcept {
        message_.reset();  // assigning would ask T to be assignable
        if (other.message_) message_.emplace(*other.message_);
        return *this;
    }
    ~held_message() = default;

    [[nodiscard]] bool has_value() const noexcept { return message_.has_value(); }
    [[nodiscard]] const T& value() const noexcept { return *message_; }
    void reset() noexcept { message_.reset(); }

    template <class Queue>
    void pop_from(Queue& source) {
        // Made in its place: an assignment would copy it once more, and ask T to be assignable.
        ::new (static_cast<void*>(std::addressof(message_))) std::optional<T>(source.pop());
    }

private:
    std::optional<T> message_;
};
template <class T>
class held_message<T, true> {
public:
    [[nodiscard]] bool has_value() const noexcept { return has_value_; }
    [[nodiscard]] const T& value() const noexcept { return room_->value; }
    void reset() noexcept { has_value_ = false; }

    template <class Queue>
    void pop_from(Queue& source) {
        if (room_ == nullptr) room_.reset(new message_storage<T>);
        has_value_ = source.pop_into({room_->bytes});
    }

private:
    std::unique_ptr<message_storage<T>> room_;
    bool has_value_ = false;
};

}  // namespace promisqs::detail
