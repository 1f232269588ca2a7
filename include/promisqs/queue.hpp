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
#include <promisqs/in_place.hpp>
#include <promisqs/layout.hpp>
#include <promisqs/lifecycle.hpp>
#include <promisqs/options.hpp>
#include <promisqs/recovery.hpp>
#include <promisqs/ring.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/slot_memory.hpp>
#include <promisqs/stats.hpp>
#include <promisqs/status.hpp>
#include <promisqs/validation.hpp>
#include <promisqs/version.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
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
        return recovered(shmem_queue(open_segment(std::string(name), description(), memory)));
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
        return recovered(shmem_queue(open_or_create_segment(std::string(name), description(), capacity, wanted)));
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
    /// \return          true: done. False: the queue was full (see `full`), or is closed (`is_closed`)
    /// \par Throws      `queue_error`: `too_many_participants`, `system_failure`, on a thread's first use; `corrupt`; `in_callable`, inside
    ///                  a callable of `push_with` or `pop_with`; what the callable of `on_dropped` throws
    /// \par Blocks      not for a full queue; only while somebody is in the middle of an operation on the same position: without end, if
    ///                  that one is stopped (`try_push` does not)
    /// \par If killed   the message is there, or not; never a part of it
    [[nodiscard]] bool push(const T& message) {
        if (key_.with_known([&](auto& me) { return push_if_ready(me, message); })) [[likely]]
            return true;
        return push_slowly(message) == outcome::ok;
    }

    /// One attempt to put a message at the end.
    ///
    /// \return          `ok`, `full`, `closed`, or `would_block`: somebody is in the middle of an operation on the same position
    /// \par Throws      as `push`
    /// \par Blocks      never; but every now and then one that found nothing to do looks for dead participants (see `recover`)
    /// \par If killed   as `push`
    status try_push(const T& message) {
        if (key_.with_known([&](auto& me) { return push_if_ready(me, message); })) [[likely]]
            return status::ok;
        return to_status(key_.is_known() ? ring_.why_not_push(key_.me()) : attempt_push(key_.me(), message));
    }

    /// Takes the oldest message. One whose consumer died with it in its hands is handed out when the queue has no other ready: by a
    /// call that comes at least 20 ms after the last one that looked for it, if nobody else has found it before.
    ///
    /// \return          the message, or nothing: the queue was empty, or is closed and drained (`is_closed`)
    /// \par Throws      as `push`
    /// \par Blocks      not for an empty queue; only while somebody is in the middle of an operation on the same position
    /// \par If killed   the message is delivered to somebody else, or has been handed over, as if killed when this had returned
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
    /// \return          `ok`, `empty`, `closed` (and drained: no message waits, nor can one come back), or `would_block`: somebody is
    ///                  in the middle of an operation on the same position
    /// \par Throws      as `push`
    /// \par Blocks      never, as `try_push`
    /// \par If killed   as `pop`
    status try_pop(T& out) requires std::is_trivially_copy_assignable_v<T> {
        const auto use = [&](const void* slot) { copy_bytes(std::addressof(out), slot); };
        if (key_.with_known([&](auto& me) { return ring_.pop_if_ready(me, use); })) [[likely]]
            return status::ok;
        return to_status(key_.is_known() ? ring_.pop_otherwise(key_.me(), use) : attempt_pop(key_.me(), use));
    }

    /// Puts a message at the end that `fill` makes in place.
    ///
    /// \param fill      is called, once there is room, with a `T&` in the queue, whose value is whatever was there; it must not
    ///                  be left by longjmp, nor push, pop or peek in the same queue, by this handle. Others wait, at this position, until
    ///                  it returns
    /// \return          as `push`
    /// \par Throws      as `push`; `in_callable`, if called inside such a callable; what `fill` throws: nothing is pushed then
    /// \par Blocks      as `push`
    /// \par If killed   as `push`; inside `fill`, too
    template <std::invocable<T&> Fill>
    [[nodiscard]] bool push_with(Fill&& fill) {
        claim mine{};
        if (ride_out([&] { return attempt_claim_push(mine); }) != outcome::ok) return false;
        push_claimed(mine, std::forward<Fill>(fill));
        return true;
    }

    /// One attempt of `push_with`; answers as `try_push`.
    template <std::invocable<T&> Fill>
    status try_push_with(Fill&& fill) {
        claim mine{};
        const status result = to_status(attempt_claim_push(mine));
        if (result == status::ok) push_claimed(mine, std::forward<Fill>(fill));
        return result;
    }

    /// Takes the oldest message by letting `use` read it in place. It is gone once `use` has returned: so its return is an
    /// acknowledgement. Otherwise the message is delivered again, later than others that were pushed after it.
    ///
    /// \param use       is called with a `const T&` in the queue; as `fill` of `push_with`
    /// \return          whether there was a message; as `pop`
    /// \par Throws      as `push_with`; what `use` throws: somebody else gets the message then
    /// \par Blocks      as `pop`
    /// \par If killed   inside `use`, or before: the message is delivered to somebody else, or, if it has cost `options::max_deaths`
    ///                  consumers, dropped (see `on_dropped`)
    template <std::invocable<const T&> Use>
    bool pop_with(Use&& use) {
        claim mine{};
        if (ride_out([&] { return attempt_claim_pop(mine); }) != outcome::ok) return false;
        pop_claimed(mine, std::forward<Use>(use));
        return true;
    }

    /// One attempt of `pop_with`; answers as `try_pop`.
    template <std::invocable<const T&> Use>
    status try_pop_with(Use&& use) {
        claim mine{};
        const status result = to_status(attempt_claim_pop(mine));
        if (result == status::ok) pop_claimed(mine, std::forward<Use>(use));
        return result;
    }

    /// Closes the queue for all users, for good: no more messages can be pushed; those that wait can still be popped.
    ///
    /// \par Orders      whoever finds it closed sees what was done before
    /// \par If killed   it is closed, or not
    void close() noexcept { ring_.close(); }
    /// Whether somebody has closed it.
    [[nodiscard]] bool is_closed() const noexcept { return ring_.closed(); }

    /// Settles what participants have left that died in the middle of an operation. This need not be called: a push or pop that
    /// is stuck behind the dead does the same, so does one that finds the queue empty, every now and then, and so does `open`.
    /// A participant that is alive is never touched, however long it has been stopped.
    ///
    /// \return          what was found
    /// \par Throws      `queue_error`: `system_failure`; what the callable of `on_dropped` throws
    /// \par Blocks      never; makes one or two system calls for each participant
    /// \par If killed   the next one goes on
    recovery_report recover() { return attachment_->recover(key_.me_if_known()); }

    /// Says what to do with messages that are dropped through this handle, because they have cost `options::max_deaths` consumers.
    ///
    /// \param callable  is called, with a copy, by whichever thread found that out in a push, pop, peek or `recover` through this
    ///                  handle or a copy of it; it may use the queue. Other handles, and processes, have their own: where none is set,
    ///                  the message is dropped silently, and counted (`stats`)
    /// \par If killed   before it has returned: the message is gone
    void on_dropped(std::function<void(const T&)> callable) {
        if (!callable) return attachment_->on_dropped(nullptr);
        attachment_->on_dropped([call = std::move(callable)](const void* bytes) {
            storage copy;
            copy_bytes(copy.bytes, bytes);
            call(copy.value);
        });
    }

    /// What can be said about the queue and its users at the moment, while they go on.
    ///
    /// \par Throws      `std::bad_alloc`
    /// \par Blocks      never; makes one system call for each participant
    [[nodiscard]] queue_stats stats() const { return detail::collect_stats(*attachment_); }

    /// Copies the oldest message and leaves it where it is. The copy is whole, though others may take the message meanwhile.
    ///
    /// \return          the message, or nothing: the queue was empty
    /// \par Throws      `queue_error`: `corrupt`; `in_callable`, where the calling thread's own callable holds the position; what the
    ///                  callable of `on_dropped` throws
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
    /// the call may be counted. After a death this may take a look at every slot.
    [[nodiscard]] size_type size() const noexcept { return ring_.size(); }
    /// How many messages it holds.
    [[nodiscard]] size_type capacity() const noexcept { return ring_.space().capacity(); }
    /// Whether no message waited, at an instant during the call. One in the hands of a consumer does not wait, and one whose consumer
    /// died only does once somebody has found that out: so poll by `pop`, not by this.
    [[nodiscard]] bool empty() const noexcept { return ring_.empty(); }
    /// Whether there was no room for another message, at an instant during the call: as a rule because `capacity()` messages
    /// waited; after a death, or a callable that threw, also because the next place has a message in it that is to be delivered
    /// again, or because places behind the first message are void.
    [[nodiscard]] bool full() const noexcept { return ring_.full(); }
    /// The name that it was created with.
    [[nodiscard]] const std::string& name() const noexcept { return attachment_->object().name(); }

    /// Pops: every message that the loop `for (const T& m : q)` sees has been taken out. It ends when the queue is empty.
    [[nodiscard]] iterator begin() noexcept { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    using geometry =
        fixed_geometry<layout::slot_stride(sizeof(T), alignof(T)), layout::payload_offset(sizeof(T), alignof(T))>;
    using slots = slot_memory<geometry>;

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
        return push_if_ready(me, message) ? outcome::ok : ring_.why_not_push(me);
    }
    template <class Use>
    outcome attempt_pop(layout::participant& me, Use use) const {
        return ring_.pop_if_ready(me, use) ? outcome::ok : ring_.pop_otherwise(me, use);
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

    // Repeats an attempt until it comes to something; who is stuck looks whether it is behind somebody dead.
    template <class Attempt>
    outcome ride_out(Attempt attempt) const {
        for (backoff wait;;) {
            const outcome result = attempt();
            if (result == outcome::corrupt) raise_corrupt();
            if (result == outcome::empty && look_around(result)) continue;
            if (result != outcome::contended && result != outcome::busy) return result;
            if (result != outcome::busy) continue;
            wait();
            if (!wait.is_long()) continue;
            attachment_->refuse_in_callable();
            attachment_->recover_if_due(key_.me_if_known(), rescue_schedule::when_stuck, platform::steady_clock());
        }
    }

    // Who polls is never stuck, but may be waiting for what the dead have; it looks every so often. True: it has found some.
    bool look_around(outcome result) const {
        return attachment_->recover_if_due(
            key_.me_if_known(), result == outcome::busy ? rescue_schedule::when_stuck : rescue_schedule::when_idle,
            platform::coarse_steady_clock());
    }

    status to_status(outcome result) const {
        switch (result) {
            case outcome::ok: return status::ok;
            case outcome::full: return status::full;
            case outcome::closed: return status::closed;
            case outcome::empty: return look_around(result), status::empty;
            case outcome::contended: return status::would_block;
            case outcome::busy: return look_around(result), status::would_block;
            case outcome::corrupt: break;
        }
        raise_corrupt();
    }

    static shmem_queue recovered(shmem_queue opened) {
        opened.attachment_->recover_without_dropping();
        return opened;
    }

    // Between claim and publish.
    template <class Fill>
    void push_claimed(const claim& mine, Fill&& fill) const {
        detail::run_in_place(
            key_, name(), [&] { std::invoke(std::forward<Fill>(fill), *static_cast<T*>(ring_.payload(mine))); },
            [&]() noexcept {
                ring_.give_up(mine);
                attachment_->object().counters().voided.fetch_add(1, std::memory_order_relaxed);
            });
        ring_.publish(mine);
    }

    // Between claim and release.
    template <class Use>
    void pop_claimed(const claim& mine, Use&& use) const {
        auto& me = key_.me();
        detail::run_in_place(
            key_, name(), [&] { std::invoke(std::forward<Use>(use), *static_cast<const T*>(ring_.payload(mine))); },
            [&]() noexcept { detail::hand_back(*attachment_, ring_, me, mine); });
        ring_.release(mine);
    }

    outcome attempt_claim_push(claim& mine) const {
        auto& me = key_.me();
        return ring_.claim_push(me, mine) ? outcome::ok : ring_.why_not_push(me);
    }
    outcome attempt_claim_pop(claim& mine) const {
        auto& me = key_.me();
        return ring_.claim_pop(me, mine) ? outcome::ok : ring_.claim_otherwise(me, mine);
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

}  // namespace promisqs

#include <promisqs/queue_iterator.hpp>
