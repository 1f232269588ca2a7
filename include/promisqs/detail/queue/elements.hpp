// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a kind of handle takes for a message: the types of its arguments, where its slots lie, and how it copies. The
// rest is the same for all: the operations, the drivers, and the calls of basic_queue.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/slots.hpp>
#include <promisqs/detail/queue/copy.hpp>
#include <promisqs/detail/queue/queue_base.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

namespace promisqs::detail {

/// A small message is passed by value, so that the caller's need not have an address.
template <class T>
using in_registers_if_small = std::conditional_t<sizeof(T) <= sizeof(void*), T, const T&>;

/// Messages of a type that the program knows.
template <class T>
struct typed_elements {
    using stride = static_stride<layout::slot_stride(sizeof(T), alignof(T)),
                                 layout::payload_offset(sizeof(T), alignof(T)), layout::stamp_offset(sizeof(T))>;
    static constexpr bool is_assignable = std::is_trivially_copy_assignable_v<T>;

    using message = const T&;             // to be pushed
    using room = T&;                      // to pop into
    using messages = std::span<const T>;  // the same for several
    using rooms = std::span<T>;
    using place = T&;  // of a message in the queue
    using view = const T&;

    struct source {
        in_registers_if_small<T> value;
        [[gnu::__always_inline__]] void copy_to(void* slot) const noexcept {
            copy_bytes<T>(slot, std::addressof(value));
        }
    };
    struct target {
        void* to;
        [[nodiscard]] void* bytes() const noexcept { return to; }
        [[gnu::__always_inline__]] void copy_from(const void* slot) const noexcept { copy_bytes<T>(to, slot); }
    };
    struct reference {  // one of several: not copied before it is looked at
        const T& value;
        void copy_to(void* slot) const noexcept { copy_bytes<T>(slot, std::addressof(value)); }
    };
    struct sources {
        std::span<const T> all;
        [[nodiscard]] std::uint64_t count() const noexcept { return all.size(); }
        [[nodiscard]] message front() const noexcept { return all.front(); }
        [[nodiscard]] reference at(std::uint64_t i) const noexcept { return {all[i]}; }
    };
    struct targets {
        std::span<T> all;
        [[nodiscard]] std::uint64_t count() const noexcept { return all.size(); }
        [[nodiscard]] target at(std::uint64_t i) const noexcept { return {all.data() + i}; }
    };

    [[gnu::__always_inline__]] explicit typed_elements(const queue_base& /*queue*/) noexcept {}
    [[nodiscard]] [[gnu::__always_inline__]] static stride distances() noexcept { return {}; }

    [[nodiscard]] [[gnu::__always_inline__]] static source from(const queue_base& /*queue*/, message one) noexcept {
        return {one};
    }
    [[nodiscard]] [[gnu::__always_inline__]] static target into(const queue_base& /*queue*/, room one) noexcept {
        return {std::addressof(one)};
    }
    [[nodiscard]] static sources from_all(const queue_base& /*queue*/, messages all) noexcept { return {all}; }
    [[nodiscard]] static targets into_all(const queue_base& /*queue*/, rooms all) noexcept { return {all}; }

    [[nodiscard]] [[gnu::__always_inline__]] static place place_at(void* slot) noexcept {
        return *static_cast<T*>(slot);
    }
    [[nodiscard]] [[gnu::__always_inline__]] static view view_at(const void* slot) noexcept {
        return *static_cast<const T*>(slot);
    }
};

/// Messages of a size that is known at run time, as their bytes.
class untyped_elements {
public:
    using stride = runtime_stride;
    static constexpr bool is_assignable = true;

    using message = std::span<const std::byte>;
    using room = std::span<std::byte>;
    using messages = std::span<const std::byte>;
    using rooms = std::span<std::byte>;
    using place = std::span<std::byte>;
    using view = std::span<const std::byte>;

    struct source {
        const std::byte* from;
        std::size_t size;
        [[gnu::__always_inline__]] void copy_to(void* slot) const noexcept { copy_sized(slot, from, size); }
    };
    struct target {
        std::byte* to;
        std::size_t size;
        [[nodiscard]] void* bytes() const noexcept { return to; }
        [[gnu::__always_inline__]] void copy_from(const void* slot) const noexcept { copy_sized(to, slot, size); }
    };
    struct sources {
        messages all;
        std::size_t size;  // of one
        [[nodiscard]] std::uint64_t count() const noexcept { return all.size() / size; }
        [[nodiscard]] message front() const noexcept { return all; }
        [[nodiscard]] source at(std::uint64_t i) const noexcept { return {all.data() + i * size, size}; }
    };
    struct targets {
        rooms all;
        std::size_t size;
        [[nodiscard]] std::uint64_t count() const noexcept { return all.size() / size; }
        [[nodiscard]] target at(std::uint64_t i) const noexcept { return {all.data() + i * size, size}; }
    };

    explicit untyped_elements(const queue_base& queue) noexcept
        : size_(queue.element_size()), alignment_(queue.element_alignment()) {}

    [[nodiscard]] std::size_t message_size() const noexcept { return size_; }
    [[nodiscard]] std::size_t message_alignment() const noexcept { return alignment_; }

    [[nodiscard]] stride distances() const noexcept {
        return {layout::slot_stride(size_, alignment_), layout::payload_offset(size_, alignment_),
                layout::stamp_offset(size_)};
    }

    [[nodiscard]] [[gnu::__always_inline__]] source from(const queue_base& queue, message one) const {
        check_one(queue, one.size());
        return {one.data(), size_};
    }
    [[nodiscard]] [[gnu::__always_inline__]] target into(const queue_base& queue, room one) const {
        check_one(queue, one.size());
        return {one.data(), size_};
    }
    [[nodiscard]] sources from_all(const queue_base& queue, messages all) const {
        check_all(queue, all.size());
        return {all, size_};
    }
    [[nodiscard]] targets into_all(const queue_base& queue, rooms all) const {
        check_all(queue, all.size());
        return {all, size_};
    }

    [[nodiscard]] place place_at(void* slot) const noexcept { return {static_cast<std::byte*>(slot), size_}; }
    [[nodiscard]] view view_at(const void* slot) const noexcept { return {static_cast<const std::byte*>(slot), size_}; }

private:
    [[gnu::__always_inline__]] void check_one(const queue_base& queue, std::size_t bytes) const {
        if (bytes != size_) [[unlikely]]
            queue.raise_message_size(bytes);
    }
    void check_all(const queue_base& queue, std::size_t bytes) const {
        if (bytes % size_ != 0) queue.raise_message_size(bytes);
    }

    std::size_t size_;
    std::size_t alignment_;
};

}  // namespace promisqs::detail
