// SPDX-License-Identifier: Apache-2.0
#pragma once

#if __cplusplus < 202002L
#error "promisqs needs C++20 (-std=c++20)"
#endif

/// \file
/// A bounded queue of `T` in shared memory, for any number of producers and consumers in any number of processes.
///
/// \code
/// struct Message { std::uint64_t id; std::array<char, 24> text; };
/// using queue = promisqs::shmem_queue<Message>;
///
/// queue q = queue::create("orders", 1024);      // one program
/// while (!q.push(message)) { /* full */ }
///
/// queue q = queue::open("orders");              // another
/// for (const Message& message : q) { … }        // all that wait
/// \endcode

#include <promisqs/attachment.hpp>
#include <promisqs/backoff.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>
#include <promisqs/layout.hpp>
#include <promisqs/lifecycle.hpp>
#include <promisqs/options.hpp>
#include <promisqs/ring.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/status.hpp>
#include <promisqs/validation.hpp>
#include <promisqs/version.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace promisqs {

/// A handle on a queue of `T` in a shared memory object.
///
/// Messages come out in the order in which they were pushed; those of one producer, in the order in which it pushed them.
/// Everything that a producer wrote before a push is visible to whoever pops that message. Any number of threads may use one
/// handle at once, without a lock (but not while it is being assigned to, moved from or destroyed); so may several handles in
/// one process, and handles in many processes. After `fork`, the child's handles just work. Not for use in signal handlers.
///
/// A thread's first push or pop through a handle, or through copies of it, registers the thread as a participant, which takes
/// a few microseconds and can throw. After that, neither makes a system call unless it has to wait for somebody who is in the
/// middle of an operation on the same position.
///
/// \tparam T  any trivially copyable type of 1 byte to megabytes
template <queue_element T>
class shmem_queue {
    static_assert(schema_of<T>.text.size() <= layout::max_schema_size,
                  "the schema of T is too long: specialise promisqs::treat_as_opaque<T> as true");

public:
    using value_type = T;
    using size_type = std::uint64_t;
    class iterator;

    /// Creates a queue.
    ///
    /// \param name      1 to 254 bytes without a slash; the same for all users, and on Linux a file in /dev/shm
    /// \param capacity  how many messages it holds, exactly: 1 to 2^32. All memory is reserved here
    /// \param wanted    permissions, lifetime, number of participants, and how the memory is to be had
    /// \par Throws      `queue_error`: `already_exists`, `invalid_name`, `invalid_capacity`, `invalid_options`, `no_memory`,
    ///                  `no_permission`, `not_a_queue`, `unfinished`, `corrupt`, `layout_version_differs`, `system_failure`.
    ///                  Nothing is left behind
    /// \par Blocks      while another process creates or removes the same queue; throws `unfinished` after 5 s without progress
    /// \par If killed   an unfinished object, which the next `create` or `open_or_create` replaces
    [[nodiscard]] static shmem_queue create(std::string_view name, size_type capacity, const options& wanted = {}) {
        return shmem_queue(create_segment(std::string(name), description(), capacity, wanted));
    }

    /// Opens a queue that exists.
    ///
    /// \param name      as given to `create`
    /// \param memory    how this process maps it
    /// \par Throws      `queue_error`: `not_found`, `element_size_differs`, `schema_differs`, `layout_version_differs`,
    ///                  `not_a_queue`, `corrupt`, `unfinished`, `invalid_name`, `no_memory`, `no_permission`, `system_failure`
    /// \par Blocks      while another process creates or removes the same queue; throws `unfinished` after 5 s without progress
    /// \par If killed   nothing changes
    [[nodiscard]] static shmem_queue open(std::string_view name, const memory_options& memory = {}) {
        return shmem_queue(open_segment(std::string(name), description(), memory));
    }

    /// Opens a queue, or creates it if there is none; of many processes that call this at once, one creates it, and all get
    /// the same. The options count for the one that creates it, except `options::memory`.
    ///
    /// \par Throws      as `create` and `open`, without `already_exists` and `not_found`; and `capacity_differs`, as the capacity
    ///                  is part of what is asked for
    /// \par Blocks      as `create`
    /// \par If killed   as `create`
    [[nodiscard]] static shmem_queue open_or_create(std::string_view name, size_type capacity,
                                                    const options& wanted = {}) {
        return shmem_queue(open_or_create_segment(std::string(name), description(), capacity, wanted));
    }

    /// Removes a queue's name, so that the name can be used for another one. Those who have the queue open can go on with it;
    /// its memory is given back with the last of them.
    ///
    /// \return          whether there was one
    /// \par Throws      `queue_error`: `invalid_name`, `not_a_queue`, `no_permission`, `unfinished`, `system_failure`
    /// \par Blocks      while another process creates or removes the same queue; throws `unfinished` after 5 s without progress
    static bool remove(std::string_view name) { return remove_segment(std::string(name)); }

    /// Another handle on the same queue, sharing its mapping and its participant entries.
    shmem_queue(const shmem_queue&) = default;
    shmem_queue& operator=(const shmem_queue&) = default;
    /// The handle moved from can only be assigned to and destroyed.
    shmem_queue(shmem_queue&&) noexcept = default;
    shmem_queue& operator=(shmem_queue&&) noexcept = default;

    /// Closes the queue for this process if this was its last handle on it; removes it if it was the last handle of all and
    /// the queue is not to be kept.
    ~shmem_queue() = default;

    /// Puts a message at the end.
    ///
    /// \return          true: done. False: the queue was full
    /// \par Throws      `queue_error`: `too_many_participants`, `system_failure`, on a thread's first use; `corrupt`
    /// \par Blocks      not for a full queue; only while somebody is in the middle of an operation on the same position
    /// \par If killed   the message is there, or not; never a part of it. (This version does not yet take back the place of a
    ///                  producer or consumer that was killed in the middle of an operation.)
    [[nodiscard]] bool push(const T& message) {
        if (key_.with_known([&](auto& me) { return push_if_ready(me, message); })) [[likely]]
            return true;
        return push_slowly(message) == outcome::ok;
    }

    /// One attempt to put a message at the end.
    ///
    /// \return          `ok`, `full`, or `would_block`: somebody is in the middle of an operation on the same position
    /// \par Throws      as `push`
    /// \par Blocks      never
    /// \par If killed   as `push`
    status try_push(const T& message) {
        if (key_.with_known([&](auto& me) { return push_if_ready(me, message); })) [[likely]]
            return status::ok;
        return to_status(key_.is_known() ? ring_.why_not_push() : attempt_push(key_.me(), message));
    }

    /// Takes the oldest message.
    ///
    /// \return          the message, or nothing: the queue was empty
    /// \par Throws      as `push`
    /// \par Blocks      not for an empty queue; only while somebody is in the middle of an operation on the same position
    /// \par If killed   as `push`
    [[nodiscard]] std::optional<T> pop() {
        if constexpr (sizeof(std::optional<T>) <= 2 * sizeof(void*) && std::is_trivially_copy_assignable_v<T>) {
            // It is returned in registers. Built in one place, from a value and a flag, a number stays there; through memory it
            // would stall: a flag of one byte, just written, can't be read back at once as part of a wider word. (g++ 12 still
            // takes a struct through memory. `try_pop` does not have this.)
            taken result{};
            const auto use = [&](const void* slot) { copy_bytes(result.message.bytes, slot); };
            result.done = key_.with_known([&](auto& me) { return ring_.pop_if_ready(me, use); });
            if (!result.done) [[unlikely]]
                result = pop_slowly();
            return result.done ? std::optional<T>(result.message.value) : std::nullopt;
        } else {
            std::optional<T> message;  // built where the caller wants it
            const auto use = [&](const void* slot) { message.emplace(*static_cast<const T*>(slot)); };
            if (!key_.with_known([&](auto& me) { return ring_.pop_if_ready(me, use); })) [[unlikely]]
                pop_slowly(message);
            return message;
        }
    }

    /// One attempt to take the oldest message.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`, `empty`, or `would_block`: somebody is in the middle of an operation on the same position
    /// \par Throws      as `push`
    /// \par Blocks      never
    /// \par If killed   as `push`
    status try_pop(T& out) requires std::is_trivially_copy_assignable_v<T> {
        const auto use = [&](const void* slot) { copy_bytes(std::addressof(out), slot); };
        if (key_.with_known([&](auto& me) { return ring_.pop_if_ready(me, use); })) [[likely]]
            return status::ok;
        return to_status(key_.is_known() ? ring_.why_not_pop(key_.me()) : attempt_pop(key_.me(), use));
    }

    /// Copies the oldest message and leaves it where it is. The copy is whole, though others may take the message meanwhile.
    ///
    /// \return          the message, or nothing: the queue was empty
    /// \par Throws      `queue_error`: `corrupt`
    /// \par Blocks      not for an empty queue; only while somebody is in the middle of an operation on the same position
    /// \par If killed   nothing changes
    [[nodiscard]] std::optional<T> peek() const {
        storage copy;
        if (ride_out([&] { return ring_.try_peek(copy.bytes, sizeof(T)); }) != outcome::ok) return std::nullopt;
        return copy.value;
    }

    /// One attempt to copy the oldest message.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`, `empty`, or `would_block`: somebody is in the middle of an operation on the same position
    /// \par Throws      `queue_error`: `corrupt`
    /// \par Blocks      never
    /// \par If killed   nothing changes
    status try_peek(T& out) const requires std::is_trivially_copy_assignable_v<T> {
        storage copy;
        const status result = to_status(ring_.try_peek(copy.bytes, sizeof(T)));
        if (result == status::ok) copy_bytes(std::addressof(out), copy.bytes);
        return result;
    }

    /// How many messages wait, 0 to `capacity()`: exact while nobody works on the queue; else messages that come and go during
    /// the call may be counted.
    [[nodiscard]] size_type size() const noexcept { return ring_.size(); }
    /// How many messages it holds.
    [[nodiscard]] size_type capacity() const noexcept { return ring_.space().capacity(); }
    /// Whether no message waited, at an instant during the call.
    [[nodiscard]] bool empty() const noexcept { return ring_.empty(); }
    /// Whether `capacity()` messages waited, at an instant during the call.
    [[nodiscard]] bool full() const noexcept { return ring_.full(); }
    /// The name that it was created with.
    [[nodiscard]] const std::string& name() const noexcept { return attachment_->object().name(); }

    /// Pops: every message that the loop `for (const T& m : q)` sees has been taken out. It ends when the queue is empty.
    [[nodiscard]] iterator begin() noexcept { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    // Where the ring finds its words and bytes.
    class slots {
    public:
        slots(layout::counters& counters, std::byte* first) noexcept : counters_(&counters), first_(first) {}

        [[nodiscard]] std::atomic<std::uint64_t>& tail() const noexcept { return counters_->tail; }
        [[nodiscard]] std::atomic<std::uint64_t>& head() const noexcept { return counters_->head; }
        [[nodiscard]] std::atomic<std::uint64_t>& stamp(std::uint64_t index) const noexcept {
            return *reinterpret_cast<std::atomic<std::uint64_t>*>(first_ + index * stride);
        }
        [[nodiscard]] void* payload(std::uint64_t index) const noexcept { return first_ + index * stride + offset; }

    private:
        static constexpr std::uint64_t stride = layout::slot_stride(sizeof(T), alignof(T));
        static constexpr std::uint64_t offset = layout::payload_offset(sizeof(T), alignof(T));

        layout::counters* counters_;
        std::byte* first_;
    };

    // Room for a message that need not have a default constructor.
    union storage {
        storage() noexcept : bytes{} {}
        alignas(T) std::byte bytes[sizeof(T)];
        T value;
    };
    struct taken {
        storage message;
        bool done = false;
    };

    explicit shmem_queue(joined_segment joined)
        : attachment_(std::make_shared<attachment>(std::move(joined))),
          key_(*attachment_),
          ring_(slots(attachment_->object().counters(),
                      attachment_->object().template at<std::byte>(attachment_->header().plan.slots_offset)),
                attachment_->header().capacity) {}

    static element_description description() noexcept { return {sizeof(T), alignof(T), schema_of<T>}; }

    static void copy_bytes(void* to, const void* from) noexcept { std::memcpy(to, from, sizeof(T)); }

    [[gnu::always_inline]] bool push_if_ready(layout::participant& me, const T& message) const {
        return ring_.push_if_ready(me, [&](void* slot) { copy_bytes(slot, std::addressof(message)); });
    }

    outcome attempt_push(layout::participant& me, const T& message) const {
        return push_if_ready(me, message) ? outcome::ok : ring_.why_not_push();
    }
    template <class Use>
    outcome attempt_pop(layout::participant& me, Use use) const {
        return ring_.pop_if_ready(me, use) ? outcome::ok : ring_.why_not_pop(me);
    }

    // A small message is passed by value, so that the caller's need not have an address.
    using in_registers_if_small = std::conditional_t<sizeof(T) <= 2 * sizeof(void*), T, const T&>;

    // What a push or pop does when it is the thread's first, or when the first try came to nothing. Kept out of line, so that
    // the path that matters saves no registers.
    [[gnu::noinline, gnu::cold]] outcome push_slowly(in_registers_if_small message) const {
        auto& me = key_.me();
        return ride_out([&] { return attempt_push(me, message); });
    }
    [[gnu::noinline, gnu::cold]] void pop_slowly(std::optional<T>& message) const {
        auto& me = key_.me();
        const auto use = [&](const void* slot) { message.emplace(*static_cast<const T*>(slot)); };
        static_cast<void>(ride_out([&] { return attempt_pop(me, use); }));
    }
    [[gnu::noinline, gnu::cold]] taken pop_slowly() const {
        taken result{};
        auto& me = key_.me();
        const auto use = [&](const void* slot) { copy_bytes(result.message.bytes, slot); };
        result.done = ride_out([&] { return attempt_pop(me, use); }) == outcome::ok;
        return result;
    }

    // Repeats an attempt until it comes to something.
    template <class Attempt>
    outcome ride_out(Attempt attempt) const {
        for (backoff wait;;) {
            const outcome result = attempt();
            if (result == outcome::corrupt) raise_corrupt();
            if (result != outcome::contended && result != outcome::busy) return result;
            if (result == outcome::busy) wait();
        }
    }

    status to_status(outcome result) const {
        switch (result) {
            case outcome::ok: return status::ok;
            case outcome::full: return status::full;
            case outcome::empty: return status::empty;
            case outcome::contended:
            case outcome::busy: return status::would_block;
            case outcome::corrupt: break;
        }
        raise_corrupt();
    }

    [[noreturn, gnu::noinline, gnu::cold]] void raise_corrupt() const {
        throw queue_error(
            errc::corrupt, name(),
            "expected counters and slots that agree with each other, found some that no participant writes; "
            "something else has written into it: remove it and create it again");
    }

    std::shared_ptr<attachment> attachment_;
    attachment::key key_;
    ring<slots> ring_;
};

/// Takes message after message out of a queue; at its end when it finds the queue empty. An input iterator, which pops when
/// it is looked at, and not before: what was not looked at stays in the queue. It can be moved, not copied, as a message can
/// be taken only once.
template <queue_element T>
class shmem_queue<T>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit iterator(shmem_queue& source) noexcept : queue_(&source) {}
    iterator(iterator&&) noexcept = default;
    iterator& operator=(iterator&& other) noexcept {
        queue_ = other.queue_;
        message_.reset();  // assigning would ask T to be assignable
        if (other.message_) message_.emplace(*other.message_);
        return *this;
    }

    /// \pre  it is not at the end
    [[nodiscard]] const T& operator*() const {
        take();
        return *message_;
    }
    [[nodiscard]] const T* operator->() const { return std::addressof(**this); }
    /// Goes on behind the message that it is at, which is then gone, looked at or not.
    iterator& operator++() {
        take();
        message_.reset();
        return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const iterator& it, std::default_sentinel_t) {
        it.take();
        return !it.message_.has_value();
    }

private:
    void take() const {
        if (message_) return;
        if (auto next = queue_->pop()) message_.emplace(*next);
    }

    shmem_queue* queue_;
    mutable std::optional<T> message_;
};

}  // namespace promisqs
