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

#include <promisqs/detail/lifecycle/open.hpp>
#include <promisqs/detail/protocol/recovery.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/queue/queue_impl.hpp>
#include <promisqs/detail/queue/stats_collector.hpp>
#include <promisqs/detail/queue/waiter.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>
#include <promisqs/stats.hpp>
#include <promisqs/status.hpp>
#include <promisqs/version.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace promisqs {

namespace detail {
struct queue_access;
}

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
        return shmem_queue(
            detail::create_segment(std::string(name), core::description(), capacity, wanted, &core::messages_in));
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
        return recovered(shmem_queue(detail::open_segment(std::string(name), core::description(), memory)));
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
        return recovered(
            shmem_queue(detail::open_or_create_segment(std::string(name), core::description(), capacity, wanted)));
    }

    /// Removes a queue's name, so that the name can be used for another one. Those who have the queue open can go on with it;
    /// its memory is given back with the last of them.
    ///
    /// \return          whether there was one
    /// \par Throws      `queue_error`: `invalid_name`, `not_a_queue`, `no_permission`, `unfinished`, `system_failure`
    /// \par Blocks      while another process creates or removes the same queue; throws `unfinished` after 5 s without progress
    static bool remove(std::string_view name) { return detail::remove_segment(std::string(name)); }

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
        if (core_.push_quickly(message)) [[likely]]
            return true;
        return core_.push_slowly(message) == detail::outcome::ok;
    }

    /// One attempt to put a message at the end. The first one that would fail after others that did not looks a few more times, for about
    /// half a microsecond, before it says so.
    ///
    /// \return          `ok`, `full`, `closed`, or `would_block`: somebody is in the middle of an operation on the same position
    /// \par Throws      as `push`
    /// \par Blocks      never; but every now and then one that found nothing to do looks for dead participants (see `recover`)
    /// \par If killed   as `push`
    status try_push(const T& message) {
        if (core_.push_quickly(message)) [[likely]]
            return status::ok;
        return core_.push_or_say_why(message);
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
            // It is returned in registers. Built in one place, from a value and a flag, a number stays there; through memory it would stall:
            // a flag of one byte, just written, can't be read back at once as part of a wider word. (g++ 12 still takes a struct through
            // memory where this is not inlined. `try_pop` does not have this.)
            typename core::taken result{};
            const auto use = [&](const void* slot) { core::copy_bytes(result.message.bytes, slot); };
            result.done = core_.pop_quickly(use);
            if (!result.done) [[unlikely]]
                result = core_.pop_slowly_in_parts();
            return result.done ? std::optional<T>(result.message.value) : std::nullopt;
        } else {
            detail::claim mine{};
            if (core_.claim_pop_quickly(mine)) [[likely]]
                return core_.take(mine);
            return core_.pop_slowly();
        }
    }

    /// One attempt to take the oldest message, as `try_push`.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`, `empty`, `closed` (and drained: no message waits, nor can one come back), or `would_block`: somebody is
    ///                  in the middle of an operation on the same position
    /// \par Throws      as `push`
    /// \par Blocks      never, as `try_push`
    /// \par If killed   as `pop`
    status try_pop(T& out) requires std::is_trivially_copy_assignable_v<T> {
        const auto use = [&](const void* slot) { core::copy_bytes(std::addressof(out), slot); };
        if (core_.pop_quickly(use)) [[likely]]
            return status::ok;
        return core_.pop_or_say_why(out);
    }

    /// Puts a message at the end; waits for room.
    ///
    /// \return          `ok`, or `closed`
    /// \par Throws      as `push`
    /// \par Blocks      until there is room or the queue is closed: looks for a while, and then sleeps (`set_wait_policy`)
    /// \par If killed   as `push`
    status push_wait(const T& message) { return push_until(message, detail::os::never); }
    /// Likewise, for so long at most; zero, or less, looks once.
    ///
    /// \return          `ok`, `closed`, or `timed_out`
    template <class Rep, class Period>
    status push_wait_for(const T& message, std::chrono::duration<Rep, Period> timeout) {
        return push_until(message, detail::deadline_after(timeout));
    }
    /// Likewise, until then.
    template <class Duration>
    status push_wait_until(const T& message, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline) {
        return push_until(message, detail::deadline_at(deadline));
    }

    /// Takes the oldest message; waits for one. One whose consumer died with it in its hands is handed out to who waits, within some 20 ms.
    ///
    /// \return          the message, or nothing: the queue is closed and drained
    /// \par Throws      as `push`
    /// \par Blocks      until there is a message or the queue is closed and drained: looks for a while, and then sleeps (`set_wait_policy`)
    /// \par If killed   as `pop`
    [[nodiscard]] std::optional<T> pop_wait() { return pop_until(detail::os::never); }
    /// Likewise, for so long at most; zero, or less, looks once.
    ///
    /// \return          the message, or nothing: the time is over, or the queue is closed and drained
    template <class Rep, class Period>
    [[nodiscard]] std::optional<T> pop_wait_for(std::chrono::duration<Rep, Period> timeout) {
        return pop_until(detail::deadline_after(timeout));
    }
    /// Likewise, until then.
    template <class Duration>
    [[nodiscard]] std::optional<T> pop_wait_until(
        std::chrono::time_point<std::chrono::steady_clock, Duration> deadline) {
        return pop_until(detail::deadline_at(deadline));
    }

    /// The same three, which say why there is nothing.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`, `closed` (and drained), or, of the last two, `timed_out`
    status pop_wait(T& out) requires std::is_trivially_copy_assignable_v<T> {
        return pop_until(out, detail::os::never);
    }
    template <class Rep, class Period>
    status pop_wait_for(T& out,
                        std::chrono::duration<Rep, Period> timeout) requires std::is_trivially_copy_assignable_v<T> {
        return pop_until(out, detail::deadline_after(timeout));
    }
    template <class Duration>
    status pop_wait_until(T& out, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline) requires
        std::is_trivially_copy_assignable_v<T> {
        return pop_until(out, detail::deadline_at(deadline));
    }

    /// How this handle, and copies made of it from now on, wait. Not while it is being used.
    void set_wait_policy(const wait_policy& policy) noexcept { core_.set_policy(policy); }
    [[nodiscard]] const wait_policy& waits_by() const noexcept { return core_.policy(); }

    /// Puts as many of the first `messages` at the end as there is room for. They come out one after the other, without others between
    /// them; each is there on its own, so consumers may have the first before the last is pushed.
    ///
    /// \return          how many; 0: the queue was full, or is closed, or there were none
    /// \par Throws      as `push`
    /// \par Blocks      as `push`
    /// \par If killed   each of them is there, or not; never a part of one. They need not be the first of them
    [[nodiscard]] size_type push_some(std::span<const T> messages) { return push_batch(messages, 1); }
    /// Likewise, all or none.
    ///
    /// \return          true: done. False: there was no room for all of them, or the queue is closed
    /// \par Throws      as `push`; `batch_too_large`: they are more than `capacity()`
    [[nodiscard]] bool push_all(std::span<const T> messages) {
        refuse_if_too_large(messages.size());
        return messages.empty() || push_batch(messages, messages.size()) != 0;
    }
    /// Takes as many messages as wait in a row, and as there is room for.
    ///
    /// \param room      its first elements are assigned the messages' bytes
    /// \return          how many; 0: the queue was empty, or is closed and drained, or there was no room
    /// \par Throws      as `pop`
    /// \par Blocks      as `pop`
    /// \par If killed   each of them is delivered to somebody else, or has been handed over, as by `pop`
    [[nodiscard]] size_type pop_some(std::span<T> room) requires std::is_trivially_copy_assignable_v<T> {
        typename core::batch_to_pop batch{room};
        core_.pop(batch);
        return batch.done;
    }

    /// As `push_some`, `push_all` and `pop_some`; wait until there is room for one, for all, or until there is a message.
    ///
    /// \return          how many; 0: the queue is closed (and drained), or, of the timed ones, the time is over, or there were none.
    ///                  `push_all_wait`: as `push_wait`
    /// \par Blocks      as `push_wait` and `pop_wait`
    [[nodiscard]] size_type push_some_wait(std::span<const T> messages) {
        return push_some_until(messages, detail::os::never);
    }
    template <class Rep, class Period>
    [[nodiscard]] size_type push_some_wait_for(std::span<const T> messages,
                                               std::chrono::duration<Rep, Period> timeout) {
        return push_some_until(messages, detail::deadline_after(timeout));
    }
    template <class Duration>
    [[nodiscard]] size_type push_some_wait_until(
        std::span<const T> messages, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline) {
        return push_some_until(messages, detail::deadline_at(deadline));
    }
    status push_all_wait(std::span<const T> messages) { return push_all_until(messages, detail::os::never); }
    template <class Rep, class Period>
    status push_all_wait_for(std::span<const T> messages, std::chrono::duration<Rep, Period> timeout) {
        return push_all_until(messages, detail::deadline_after(timeout));
    }
    template <class Duration>
    status push_all_wait_until(std::span<const T> messages,
                               std::chrono::time_point<std::chrono::steady_clock, Duration> deadline) {
        return push_all_until(messages, detail::deadline_at(deadline));
    }
    [[nodiscard]] size_type pop_some_wait(std::span<T> room) requires std::is_trivially_copy_assignable_v<T> {
        return pop_some_until(room, detail::os::never);
    }
    template <class Rep, class Period>
    [[nodiscard]] size_type pop_some_wait_for(
        std::span<T> room, std::chrono::duration<Rep, Period> timeout) requires std::is_trivially_copy_assignable_v<T> {
        return pop_some_until(room, detail::deadline_after(timeout));
    }
    template <class Duration>
    [[nodiscard]] size_type pop_some_wait_until(std::span<T> room,
                                                std::chrono::time_point<std::chrono::steady_clock, Duration>
                                                    deadline) requires std::is_trivially_copy_assignable_v<T> {
        return pop_some_until(room, detail::deadline_at(deadline));
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
        detail::claim mine{};
        if (core_.ride_out([&] { return core_.claim_push(mine); }) != detail::outcome::ok) return false;
        core_.push_claimed(mine, std::forward<Fill>(fill));
        return true;
    }

    /// One attempt of `push_with`; answers as `try_push`.
    template <std::invocable<T&> Fill>
    status try_push_with(Fill&& fill) {
        detail::claim mine{};
        const status result = core_.to_status(core_.claim_push(mine));
        if (result == status::ok) core_.push_claimed(mine, std::forward<Fill>(fill));
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
        detail::claim mine{};
        if (core_.ride_out([&] { return core_.claim_pop(mine); }) != detail::outcome::ok) return false;
        core_.pop_claimed(mine, std::forward<Use>(use));
        return true;
    }

    /// One attempt of `pop_with`; answers as `try_pop`.
    template <std::invocable<const T&> Use>
    status try_pop_with(Use&& use) {
        detail::claim mine{};
        const status result = core_.to_status(core_.claim_pop(mine));
        if (result == status::ok) core_.pop_claimed(mine, std::forward<Use>(use));
        return result;
    }

    /// Closes the queue for all users, for good: no more messages can be pushed; those that wait can still be popped.
    ///
    /// \par Orders      whoever finds it closed sees what was done before
    /// \par If killed   it is closed, or not
    void close() noexcept { core_.owner().close(); }
    /// Whether somebody has closed it.
    [[nodiscard]] bool is_closed() const noexcept { return core_.owner().is_closed(); }

    /// Settles what participants have left that died in the middle of an operation. This need not be called: a push or pop that
    /// is stuck behind the dead does the same, so does one that finds the queue empty, every now and then, and so does `open`.
    /// A participant that is alive is never touched, however long it has been stopped.
    ///
    /// \return          what was found
    /// \par Throws      `queue_error`: `system_failure`; what the callable of `on_dropped` throws
    /// \par Blocks      never; makes one or two system calls for each participant
    /// \par If killed   the next one goes on
    recovery_report recover() { return core_.owner().recover(core_.me_if_known()); }

    /// Says what to do with messages that are dropped through this handle, because they have cost `options::max_deaths` consumers.
    ///
    /// \param callable  is called, with a copy, by whichever thread found that out in a push, pop, peek or `recover` through this
    ///                  handle or a copy of it; it may use the queue. Other handles, and processes, have their own: where none is set,
    ///                  the message is dropped silently, and counted (`stats`)
    /// \par If killed   before it has returned: the message is gone
    void on_dropped(std::function<void(const T&)> callable) {
        if (!callable) return core_.owner().on_dropped(nullptr);
        core_.owner().on_dropped([call = std::move(callable)](const void* bytes) {
            storage copy;
            core::copy_bytes(copy.bytes, bytes);
            call(copy.value);
        });
    }

    /// What can be said about the queue and its users at the moment, while they go on.
    ///
    /// \par Throws      `std::bad_alloc`
    /// \par Blocks      never; makes one system call for each participant
    [[nodiscard]] queue_stats stats() const { return detail::collect_stats(core_.owner()); }

    /// Copies the oldest message and leaves it where it is. The copy is whole, though others may take the message meanwhile.
    ///
    /// \return          the message, or nothing: the queue was empty
    /// \par Throws      `queue_error`: `corrupt`; `in_callable`, where the calling thread's own callable holds the position; what the
    ///                  callable of `on_dropped` throws
    /// \par Blocks      not for an empty queue; only while somebody is in the middle of an operation on the same position
    /// \par If killed   nothing changes
    [[nodiscard]] std::optional<T> peek() const {
        storage copy;
        if (core_.ride_out([&] { return core_.peek(copy.bytes); }) != detail::outcome::ok) return std::nullopt;
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
        const status result = core_.to_status(core_.peek(copy.bytes));
        if (result == status::ok) core::copy_bytes(std::addressof(out), copy.bytes);
        return result;
    }

    /// How many messages wait, 0 to `capacity()`: exact while nobody works on the queue; else messages that come and go during
    /// the call may be counted. After a death this may take a look at every slot.
    [[nodiscard]] size_type size() const noexcept { return core_.ring().size(); }
    /// How many messages it holds.
    [[nodiscard]] size_type capacity() const noexcept { return core_.ring().space().capacity(); }
    /// Whether no message waited, at an instant during the call. One in the hands of a consumer does not wait, and one whose consumer
    /// died only does once somebody has found that out: so poll by `pop`, not by this.
    [[nodiscard]] bool empty() const noexcept { return core_.ring().empty(); }
    /// Whether there was no room for another message, at an instant during the call: as a rule because `capacity()` messages
    /// waited; after a death, or a callable that threw, also because the next place has a message in it that is to be delivered
    /// again, or because places behind the first message are void.
    [[nodiscard]] bool full() const noexcept { return core_.ring().full(); }
    /// The name that it was created with.
    [[nodiscard]] const std::string& name() const noexcept { return core_.name(); }

    /// Pops: every message that the loop `for (const T& m : q)` sees has been taken out. It ends when the queue is empty.
    [[nodiscard]] iterator begin() noexcept { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    using core = detail::queue_impl<T>;
    using storage = typename core::storage;

    explicit shmem_queue(detail::joined_segment joined) : core_(std::move(joined)) {}

    static shmem_queue recovered(shmem_queue opened) {
        opened.core_.owner().recover_without_dropping();
        return opened;
    }

    [[nodiscard]] std::optional<T> pop_until(std::uint64_t deadline) {
        detail::claim mine{};
        if (core_.claim_pop_quickly(mine)) [[likely]]
            return core_.take(mine);
        return core_.pop_waiting(deadline);
    }
    status pop_until(T& out, std::uint64_t deadline) {
        const auto use = [&](const void* slot) { core::copy_bytes(std::addressof(out), slot); };
        if (core_.pop_quickly(use)) [[likely]]
            return status::ok;
        return core_.to_status(core_.pop_waiting(use, deadline));
    }
    status push_until(const T& message, std::uint64_t deadline) {
        if (core_.push_quickly(message)) [[likely]]
            return status::ok;
        return core_.to_status(core_.push_waiting(message, deadline));
    }

    size_type push_batch(std::span<const T> messages, size_type least) {
        typename core::batch_to_push batch{messages, least};
        core_.push(batch);
        return batch.done;
    }
    size_type push_some_until(std::span<const T> messages, std::uint64_t deadline) {
        typename core::batch_to_push batch{messages, 1};
        core_.push_waiting(batch, deadline);
        return batch.done;
    }
    status push_all_until(std::span<const T> messages, std::uint64_t deadline) {
        refuse_if_too_large(messages.size());
        typename core::batch_to_push batch{messages, messages.size()};
        return core_.to_status(core_.push_waiting(batch, deadline));
    }
    size_type pop_some_until(std::span<T> room, std::uint64_t deadline) {
        typename core::batch_to_pop batch{room};
        core_.pop_waiting(batch, deadline);
        return batch.done;
    }
    void refuse_if_too_large(std::size_t messages) const {
        if (messages <= capacity()) return;
        throw queue_error(errc::batch_too_large, name(),
                          "expected at most " + std::to_string(capacity()) + " messages at once, found " +
                              std::to_string(messages) + "; push them in parts, or create it with a larger capacity");
    }

    friend struct detail::queue_access;
    core core_;
};

/// How other parts of the library get at what a handle has.
struct detail::queue_access {
    template <class T>
    static const queue_impl<T>& core_of(const shmem_queue<T>& handle) noexcept {
        return handle.core_;
    }
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
        // Made in its place: an assignment would copy it once more, and ask T to be assignable.
        ::new (static_cast<void*>(std::addressof(message_))) std::optional<T>(queue_->pop());
    }

    shmem_queue* queue_;
    mutable std::optional<T> message_;
};

}  // namespace promisqs
