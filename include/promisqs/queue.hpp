// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// A bounded queue of `T` in shared memory, for any number of producers and consumers in any number of processes.
///
/// \code
/// struct Message { std::uint64_t id; std::array<char, 24> text; };
/// using queue = promisqs::shmem_queue<Message>;
///
/// queue q = queue::open_or_create("orders", 1024);  // one program
/// q.push_wait(message);                             // waits for room
///
/// queue q = queue::open_or_create("orders", 1024);  // another
/// while (const auto message = q.pop_wait()) { … }   // waits for messages, until the queue is closed and drained
/// \endcode

#include <promisqs/claimed_messages.hpp>
#include <promisqs/detail/queue/deadline.hpp>
#include <promisqs/detail/queue/held_batch.hpp>
#include <promisqs/detail/queue/queue_impl.hpp>
#include <promisqs/element.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>
#include <promisqs/stats.hpp>
#include <promisqs/status.hpp>
#include <promisqs/version.hpp>

#if !defined(PROMISQS_COMPILED)
#include <promisqs/detail/queue/definitions.hpp>
#endif

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

/// What handles on a queue have in common: all calls that do not depend on what the program knows of the elements.
/// `shmem_queue<T>` has them for messages of a type, `untyped_queue` for bytes.
///
/// Messages come out in the order in which they were pushed; those of one producer, in the order in which it pushed
/// them. All that a producer wrote before a push is visible to the consumer that pops that message. Any number of
/// threads may use one handle at once, without a lock. (A handle must not be used while it is assigned to, moved from
/// or destroyed.) So may several handles in one process, and handles in many processes. After `fork`, the child's
/// handles work. A handle is not for use in signal handlers.
///
/// Creating, opening and removing a queue are points of cancellation (`pthread_cancel`), at their beginning only.
///
/// A thread's first push or pop through a handle, or through copies of it, registers the thread as a participant. That
/// takes a few microseconds and can throw. If no entry is free, it waits up to 5 s for a recovery in another process,
/// in `try_` calls, too. After that, a push or pop that succeeds at once makes a system call only to wake a sleeper.
///
/// Wherever a call takes a `std::stop_token`, it ends the wait at once when a stop is requested, and wakes no other
/// sleeper. A call that need not wait does its work, also after a stop was requested.
///
/// Where these comments say `T`, `shmem_queue` has its element type. `untyped_queue` has a span of the message's bytes;
/// in place of a span of `T`, the bytes of several messages, one behind the other.
template <class Elements>
class basic_queue {
    using stop_token = detail::stop_token;  // std::stop_token, where the standard library has it
    using message_in = typename Elements::message;
    using room_out = typename Elements::room;
    using messages_in = typename Elements::messages;
    using rooms_out = typename Elements::rooms;
    using place = typename Elements::place;
    using view = typename Elements::view;

public:
    using size_type = std::uint64_t;
    using claimed_messages = promisqs::claimed_messages<Elements>;

    /// Puts a message at the end.
    ///
    /// \return          true: done. False: the queue was full (see `full`), or is closed (`is_closed`)
    /// \throws queue_error  `too_many_participants`, `role_taken` or `system_failure`, on a thread's first use;
    ///                  `corrupt`; `in_callable`, inside a callable of `push_with` or `pop_with`. Also what the
    ///                  callable of `on_dropped` throws
    /// \par Blocks
    ///   not for a full queue; only while another participant is in the middle of an operation on the same position. If
    ///   that one is stopped, this blocks without end (`try_push` does not)
    /// \par Orders
    ///   all that this thread wrote before is visible to the consumer that pops the message
    /// \par If killed
    ///   the message is there, or not; never a part of it
    [[nodiscard]] bool push(message_in message) {
        const detail::push_one op{impl_.source(message)};
        if (impl_.quick(op)) [[likely]]
            return true;
        return impl_.until_settled(op);
    }

    /// Makes one attempt to put a message at the end. A thread that has pushed since it last found no room looks again
    /// for about 2 µs, if that has been worth while lately, before it says so. A thread that has lost its place to
    /// another one pauses, and tries again: twice at most, some 5 µs together.
    ///
    /// \return          `ok`, `full`, `closed`, or `would_block`: another participant is in the middle of an operation
    ///                  on the same position
    /// \throws queue_error  as `push`
    /// \par Blocks
    ///   never. An attempt that finds nothing to do recovers what the dead have left, every 20 ms at most (see
    ///   `recover`)
    /// \par If killed
    ///   as `push`
    status try_push(message_in message) {
        const detail::push_one op{impl_.source(message)};
        if (impl_.quick(op)) [[likely]]
            return status::ok;
        return impl_.once(op);
    }

    /// Makes one attempt to take the oldest message, as `try_push`.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`; `empty`; `closed`: no message waits, nor can one come back; or `would_block`: another
    ///                  participant is in the middle of an operation on the same position
    /// \throws queue_error  as `push`
    /// \par Blocks
    ///   never, as `try_push`
    /// \par If killed
    ///   as `pop`
    status try_pop(room_out out) requires Elements::is_assignable {
        const detail::pop_one op{impl_.target(out)};
        if (impl_.quick(op)) [[likely]]
            return status::ok;
        return impl_.once(op);
    }

    /// Puts a message at the end, waiting for room.
    ///
    /// \param stop      may end the wait
    /// \return          `ok`, `closed`, or `stopped`
    /// \throws queue_error  as `push`
    /// \par Blocks
    ///   until there is room, or the queue is closed: looks for a while, and then sleeps (`set_wait_policy`)
    /// \par If killed
    ///   as `push`
    status push_wait(message_in message, const stop_token& stop = {}) {
        return push_until(message, detail::never, stop);
    }
    /// As `push_wait`, with a limit.
    ///
    /// \param timeout   steady-clock time to wait; zero, or less, looks once
    /// \return          as `push_wait`, or `timed_out`
    template <class Rep, class Period>
    status push_wait_for(message_in message, std::chrono::duration<Rep, Period> timeout, const stop_token& stop = {}) {
        return push_until(message, detail::to_deadline(timeout), stop);
    }
    /// As `push_wait_for`, up to a point of the steady clock.
    template <class Duration>
    status push_wait_until(message_in message, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                           const stop_token& stop = {}) {
        return push_until(message, detail::to_deadline(deadline), stop);
    }

    /// The same three, which say why there is nothing.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`, `closed` (and drained), `stopped`, or, with a limit, `timed_out`
    status pop_wait(room_out out, const stop_token& stop = {}) requires Elements::is_assignable {
        return pop_until(out, detail::never, stop);
    }
    template <class Rep, class Period>
    status pop_wait_for(room_out out, std::chrono::duration<Rep, Period> timeout,
                        const stop_token& stop = {}) requires Elements::is_assignable {
        return pop_until(out, detail::to_deadline(timeout), stop);
    }
    template <class Duration>
    status pop_wait_until(room_out out, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                          const stop_token& stop = {}) requires Elements::is_assignable {
        return pop_until(out, detail::to_deadline(deadline), stop);
    }

    /// Says how this handle, and copies made of it from now on, wait. Not while the handle is being used.
    void set_wait_policy(const wait_policy& policy) noexcept { impl_.set_policy(policy); }
    [[nodiscard]] const wait_policy& waits_by() const noexcept { return impl_.policy(); }

    /// Puts as many of the first `messages` at the end as there is room for. They come out one after the other, with no
    /// others between them. Each is there on its own: consumers may have the first before the last is pushed.
    ///
    /// \return          how many; 0: the queue was full, or is closed, or there were none
    /// \throws queue_error  as `push`
    /// \par Blocks
    ///   as `push`
    /// \par If killed
    ///   each of them is there, or not; never a part of one. They need not be the first of them
    [[nodiscard]] size_type push_some(messages_in messages) { return push_batch(messages, 1); }
    /// As `push_some`, but all or none.
    ///
    /// \return          true: done. False: there was no room for all of them, or the queue is closed
    /// \throws queue_error  as `push`; `batch_too_large`: they are more than `capacity()`
    [[nodiscard]] bool push_all(messages_in messages) {
        const std::uint64_t count = impl_.sources(messages).count();
        refuse_if_too_large(count);
        return count == 0 || push_batch(messages, count) != 0;
    }
    /// Takes as many messages as wait in a row, and as there is room for.
    ///
    /// \param room      its first elements are assigned the messages' bytes
    /// \return          how many; 0: the queue was empty, or is closed and drained, or there was no room
    /// \throws queue_error  as `pop`
    /// \par Blocks
    ///   as `pop`
    /// \par If killed
    ///   each of them is delivered to another consumer, or has been handed over, as by `pop`
    [[nodiscard]] size_type pop_some(rooms_out room) requires Elements::is_assignable {
        const auto targets = impl_.targets(room);
        if (targets.count() == 1) [[likely]]
            return pop_into(targets.at(0)) ? 1 : 0;  // without what a batch costs
        size_type done = 0;
        const detail::pop_many op{targets, done};
        static_cast<void>(targets.count() == 0 || impl_.quick(op) || impl_.until_settled(op));
        return done;
    }

    /// As `push_some`, `push_all` and `pop_some`, waiting: for room for one, for room for all, for a message.
    ///
    /// \param stop      may end the wait
    /// \return          how many; 0: the queue is closed (and drained), a stop was requested, the time is over, or
    ///                  there were none. Of `push_all_wait`: as `push_wait`
    /// \par Blocks
    ///   as `push_wait` and `pop_wait`
    [[nodiscard]] size_type push_some_wait(messages_in messages, const stop_token& stop = {}) {
        return push_some_until(messages, detail::never, stop);
    }
    /// \param timeout   steady-clock time to wait; zero, or less, looks once
    template <class Rep, class Period>
    [[nodiscard]] size_type push_some_wait_for(messages_in messages, std::chrono::duration<Rep, Period> timeout,
                                               const stop_token& stop = {}) {
        return push_some_until(messages, detail::to_deadline(timeout), stop);
    }
    template <class Duration>
    [[nodiscard]] size_type push_some_wait_until(messages_in messages,
                                                 std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                                                 const stop_token& stop = {}) {
        return push_some_until(messages, detail::to_deadline(deadline), stop);
    }
    status push_all_wait(messages_in messages, const stop_token& stop = {}) {
        return push_all_until(messages, detail::never, stop);
    }
    template <class Rep, class Period>
    status push_all_wait_for(messages_in messages, std::chrono::duration<Rep, Period> timeout,
                             const stop_token& stop = {}) {
        return push_all_until(messages, detail::to_deadline(timeout), stop);
    }
    template <class Duration>
    status push_all_wait_until(messages_in messages,
                               std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                               const stop_token& stop = {}) {
        return push_all_until(messages, detail::to_deadline(deadline), stop);
    }
    [[nodiscard]] size_type pop_some_wait(rooms_out room,
                                          const stop_token& stop = {}) requires Elements::is_assignable {
        return pop_some_until(room, detail::never, stop);
    }
    template <class Rep, class Period>
    [[nodiscard]] size_type pop_some_wait_for(rooms_out room, std::chrono::duration<Rep, Period> timeout,
                                              const stop_token& stop = {}) requires Elements::is_assignable {
        return pop_some_until(room, detail::to_deadline(timeout), stop);
    }
    template <class Duration>
    [[nodiscard]] size_type pop_some_wait_until(rooms_out room,
                                                std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                                                const stop_token& stop = {}) requires Elements::is_assignable {
        return pop_some_until(room, detail::to_deadline(deadline), stop);
    }

    /// Puts a message at the end that `fill` makes in place.
    ///
    /// \param fill      is called, once there is room, with a `T&` in the queue, whose value is whatever was there. It
    ///                  must not be left by longjmp, nor push, pop or peek in the same queue through this handle. Other
    ///                  participants wait at this position until it returns
    /// \return          as `push`
    /// \throws queue_error  as `push`; `in_callable`, if called inside such a callable. Also what `fill` throws:
    ///                  nothing is pushed then
    /// \par Blocks
    ///   as `push`
    /// \par If killed
    ///   as `push`; inside `fill`, too
    template <std::invocable<place> Fill>
    [[nodiscard]] bool push_with(Fill&& fill) {
        detail::claim made{};
        const detail::claim_for_push op{made};
        if (!impl_.quick(op) && !impl_.until_settled(op)) return false;
        impl_.push_claimed(made, std::forward<Fill>(fill));
        return true;
    }
    /// Makes one attempt of `push_with`; answers as `try_push`.
    template <std::invocable<place> Fill>
    status try_push_with(Fill&& fill) {
        detail::claim made{};
        const detail::claim_for_push op{made};
        const status result = impl_.quick(op) ? status::ok : impl_.once(op);
        if (result == status::ok) impl_.push_claimed(made, std::forward<Fill>(fill));
        return result;
    }
    /// As `push_with`, waiting for room; answers as `push_wait`.
    ///
    /// \param stop      may end the wait for room; it does not interrupt `fill`
    template <std::invocable<place> Fill>
    status push_wait_with(Fill&& fill, const stop_token& stop = {}) {
        return push_with_until(std::forward<Fill>(fill), detail::never, stop);
    }
    /// \param timeout   steady-clock time to wait for room; zero, or less, looks once
    template <std::invocable<place> Fill, class Rep, class Period>
    status push_wait_with_for(Fill&& fill, std::chrono::duration<Rep, Period> timeout, const stop_token& stop = {}) {
        return push_with_until(std::forward<Fill>(fill), detail::to_deadline(timeout), stop);
    }
    template <std::invocable<place> Fill, class Duration>
    status push_wait_with_until(Fill&& fill, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                                const stop_token& stop = {}) {
        return push_with_until(std::forward<Fill>(fill), detail::to_deadline(deadline), stop);
    }

    /// Takes the oldest message by letting `use` read it in place. The message is gone once `use` has returned: its
    /// return is an acknowledgement. Otherwise the message is delivered again, later than others that were pushed after
    /// it.
    ///
    /// \param use       is called with a `const T&` in the queue; as `fill` of `push_with`
    /// \return          whether there was a message; as `pop`
    /// \throws queue_error  as `push_with`. Also what `use` throws: another consumer gets the message then
    /// \par Blocks
    ///   as `pop`
    /// \par If killed
    ///   inside `use`, or before: the message is delivered to another consumer. If it has killed `options::max_deaths`
    ///   consumers, it is dropped (see `on_dropped`)
    template <std::invocable<view> Use>
    bool pop_with(Use&& use) {
        detail::claim made{};
        const detail::claim_for_pop op{made};
        if (!impl_.quick(op) && !impl_.until_settled(op)) return false;
        impl_.pop_claimed(made, std::forward<Use>(use));
        return true;
    }
    /// Makes one attempt of `pop_with`; answers as `try_pop`.
    template <std::invocable<view> Use>
    status try_pop_with(Use&& use) {
        detail::claim made{};
        const detail::claim_for_pop op{made};
        const status result = impl_.quick(op) ? status::ok : impl_.once(op);
        if (result == status::ok) impl_.pop_claimed(made, std::forward<Use>(use));
        return result;
    }
    /// As `pop_with`, waiting for a message; answers as `pop_wait(out)`. So a consumer can wait, and lose nothing when
    /// it is killed.
    ///
    /// \param stop      may end the wait for a message; it does not interrupt `use`
    template <std::invocable<view> Use>
    status pop_wait_with(Use&& use, const stop_token& stop = {}) {
        return pop_with_until(std::forward<Use>(use), detail::never, stop);
    }
    /// \param timeout   steady-clock time to wait for a message; zero, or less, looks once
    template <std::invocable<view> Use, class Rep, class Period>
    status pop_wait_with_for(Use&& use, std::chrono::duration<Rep, Period> timeout, const stop_token& stop = {}) {
        return pop_with_until(std::forward<Use>(use), detail::to_deadline(timeout), stop);
    }
    template <std::invocable<view> Use, class Duration>
    status pop_wait_with_until(Use&& use, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                               const stop_token& stop = {}) {
        return pop_with_until(std::forward<Use>(use), detail::to_deadline(deadline), stop);
    }

    /// Claims messages, and holds them until they are released, one by one: for a consumer that is done with a message
    /// only later, and goes on with others in the meantime. If a message came back, it claims that one alone, and
    /// otherwise as many as wait in a row.
    ///
    /// \param most      how many messages at most, from 0
    /// \return          the messages; none: the queue was empty, or is closed and drained. (Messages that are held do
    ///                  not wait, and keep a closed queue from being drained)
    /// \throws queue_error  as `pop`; `too_many_participants`, as what is returned takes part on its own;
    ///                      `in_callable`, in a child that was forked during the call, by a callable of `on_dropped`
    /// \throws std::bad_alloc
    /// \par Blocks
    ///   as `pop`
    /// \par If killed
    ///   each of them that is not released is delivered to another consumer
    [[nodiscard]] claimed_messages claim_some(size_type most) {
        return claim_by(most, [&](const detail::claim_to_hold& op) { return impl_.until_settled(op); });
    }
    /// As `claim_some`, waiting for a message.
    ///
    /// \return          none: the queue is closed and drained, the time is over, or the wait was stopped
    [[nodiscard]] claimed_messages claim_some_wait(size_type most, const stop_token& stop = {}) {
        return claim_some_until(most, detail::never, stop);
    }
    /// \param timeout   steady-clock time; zero, or less, looks once
    template <class Rep, class Period>
    [[nodiscard]] claimed_messages claim_some_wait_for(size_type most, std::chrono::duration<Rep, Period> timeout,
                                                       const stop_token& stop = {}) {
        return claim_some_until(most, detail::to_deadline(timeout), stop);
    }
    template <class Duration>
    [[nodiscard]] claimed_messages claim_some_wait_until(
        size_type most, std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
        const stop_token& stop = {}) {
        return claim_some_until(most, detail::to_deadline(deadline), stop);
    }

    /// Closes the queue for all users, for good: no more messages can be pushed. Messages that wait can still be
    /// popped.
    ///
    /// \par Orders
    ///   a process that finds it closed sees what was done before
    /// \par If killed
    ///   it is closed, or not
    void close() noexcept { impl_.close(); }
    /// Whether a process has closed it.
    [[nodiscard]] bool is_closed() const noexcept { return impl_.is_closed(); }

    /// Recovers what participants have left that died in the middle of an operation. Nobody needs to call this: a push
    /// or pop that is stuck behind the dead does the same, in pieces that take little time; so does one that finds the
    /// queue empty, every 20 ms. `open` does all of it. A participant that is alive is never touched, however long it
    /// has been stopped.
    ///
    /// \return          what was found
    /// \throws queue_error  `system_failure`. Also what the callable of `on_dropped` throws
    /// \par Blocks
    ///   never; makes a system call or two for each participant that is dead or in the middle of an operation, and for
    ///   each process
    /// \par If killed
    ///   the next recovery goes on
    recovery_report recover() { return impl_.recover(); }

    /// Says what to do with poison messages: those that are dropped through this handle because they have killed
    /// `options::max_deaths` consumers.
    ///
    /// \param callable  is called, with a copy, by a thread that finds this out in a push, pop, peek or `recover`
    ///                  through this handle or a copy of it. It may use the queue. Other handles, and processes, have
    ///                  their own. Where none is set, the message is dropped silently, and counted (`stats`).
    ///                  While there is no memory for the copy, the message stays in the queue
    /// \par If killed
    ///   before it has returned: the message is gone
    void on_dropped(std::function<void(view)> callable) {
        if (!callable) return impl_.on_dropped(nullptr);
        const Elements elements = impl_.elements();
        impl_.on_dropped([elements, call = std::move(callable)](const void* copy) { call(elements.view_at(copy)); });
    }

    /// Says what can be said about the queue and its users at the moment, while they go on. It writes down, in the
    /// queue, since when a position has been found stalled.
    ///
    /// \throws std::bad_alloc
    /// \par Blocks
    ///   never; makes a system call for each process, and for each participant in the middle of an operation
    [[nodiscard]] queue_stats stats() const { return impl_.stats(); }

    /// How many messages wait, 0 to `capacity()`: exact while nobody works on the queue. Otherwise messages that come
    /// and go during the call may be counted. After a death this may look at every slot.
    [[nodiscard]] size_type size() const noexcept { return impl_.size(); }
    /// How many messages it holds.
    [[nodiscard]] size_type capacity() const noexcept { return impl_.capacity(); }
    /// Whether no message waited, at an instant during the call. A message that a consumer holds does not wait. A
    /// message whose consumer died waits only once a recovery has found it: so poll by `pop`, not by this.
    [[nodiscard]] bool empty() const noexcept { return impl_.size() == 0; }
    /// Whether there was no room for another message, at an instant during the call. As a rule `capacity()` messages
    /// waited. After a death, or a callable that threw, the next place may also hold a message that is to be delivered
    /// again, or places behind the first message may be tombstones. A message that a consumer holds (`claim_some`)
    /// takes up its place, and does not wait.
    [[nodiscard]] bool full() const noexcept { return impl_.full(); }
    /// The name that it was created with.
    [[nodiscard]] const std::string& name() const noexcept { return impl_.name(); }
    /// Whether this handle's `create` or `open_or_create` has made the queue, so that it was empty then. False if the
    /// queue was there.
    [[nodiscard]] bool created() const noexcept { return impl_.created(); }
    /// The options that the queue really has: those that its creator chose, and the permissions of its file when this
    /// handle was opened. `memory`, `abandoned` and `strict` are what this handle asked for.
    [[nodiscard]] const options& actual_options() const noexcept { return impl_.actual_options(); }
    /// Whether the name still leads to this queue. If not, it was removed: by `remove`, by `rm`, or by systemd
    /// (`RemoveIPC`). Processes that have it open can go on with it. One that opens the name gets another queue, or
    /// none.
    ///
    /// \par Blocks
    ///   never; makes two system calls
    [[nodiscard]] bool is_named() const noexcept { return impl_.is_named(); }

protected:
    explicit basic_queue(detail::queue_base&& joined) noexcept : impl_(std::move(joined)) {}

    // Handles are copied, moved and destroyed as what they are.
    basic_queue(const basic_queue&) = default;
    basic_queue& operator=(const basic_queue&) = default;
    basic_queue(basic_queue&&) noexcept = default;
    basic_queue& operator=(basic_queue&&) noexcept = default;
    ~basic_queue() = default;

    bool pop_into(typename Elements::target room) {
        const detail::pop_one op{room};
        return impl_.quick(op) || impl_.until_settled(op);
    }
    status pop_into_until(typename Elements::target room, std::uint64_t deadline, const stop_token& stop) {
        const detail::pop_one op{room};
        if (impl_.quick(op)) [[likely]]
            return status::ok;
        return impl_.until(op, deadline, stop);
    }

    detail::queue_impl<Elements> impl_;

private:
    status pop_until(room_out out, std::uint64_t deadline, const stop_token& stop) {
        return pop_into_until(impl_.target(out), deadline, stop);
    }
    status push_until(message_in message, std::uint64_t deadline, const stop_token& stop) {
        const detail::push_one op{impl_.source(message)};
        if (impl_.quick(op)) [[likely]]
            return status::ok;
        return impl_.until(op, deadline, stop);
    }

    template <class Fill>
    status push_with_until(Fill&& fill, std::uint64_t deadline, const stop_token& stop) {
        detail::claim made{};
        const detail::claim_for_push op{made};
        const status result = impl_.quick(op) ? status::ok : impl_.until(op, deadline, stop);
        if (result == status::ok) impl_.push_claimed(made, std::forward<Fill>(fill));
        return result;
    }
    template <class Use>
    status pop_with_until(Use&& use, std::uint64_t deadline, const stop_token& stop) {
        detail::claim made{};
        const detail::claim_for_pop op{made};
        const status result = impl_.quick(op) ? status::ok : impl_.until(op, deadline, stop);
        if (result == status::ok) impl_.pop_claimed(made, std::forward<Use>(use));
        return result;
    }

    size_type push_batch(messages_in messages, size_type least) {
        const auto sources = impl_.sources(messages);
        if (sources.count() == 1) [[likely]]
            return push(sources.front()) ? 1 : 0;  // without what a batch costs
        size_type done = 0;
        const detail::push_many op{sources, least, done};
        static_cast<void>(sources.count() == 0 || impl_.quick(op) || impl_.until_settled(op));
        return done;
    }
    size_type push_some_until(messages_in messages, std::uint64_t deadline, const stop_token& stop) {
        const auto sources = impl_.sources(messages);
        if (sources.count() == 1) [[likely]]
            return push_until(sources.front(), deadline, stop) == status::ok ? 1 : 0;
        size_type done = 0;
        const detail::push_many op{sources, 1, done};
        if (sources.count() != 0 && !impl_.quick(op)) static_cast<void>(impl_.until(op, deadline, stop));
        return done;
    }
    status push_all_until(messages_in messages, std::uint64_t deadline, const stop_token& stop) {
        const auto sources = impl_.sources(messages);
        const std::uint64_t count = sources.count();
        if (count == 1) [[likely]]
            return push_until(sources.front(), deadline, stop);
        refuse_if_too_large(count);
        size_type done = 0;
        const detail::push_many op{sources, count, done};
        return count == 0 || impl_.quick(op) ? status::ok : impl_.until(op, deadline, stop);
    }
    size_type pop_some_until(rooms_out room, std::uint64_t deadline, const stop_token& stop) {
        const auto targets = impl_.targets(room);
        if (targets.count() == 1) [[likely]]
            return pop_into_until(targets.at(0), deadline, stop) == status::ok ? 1 : 0;
        size_type done = 0;
        const detail::pop_many op{targets, done};
        if (targets.count() != 0 && !impl_.quick(op)) static_cast<void>(impl_.until(op, deadline, stop));
        return done;
    }
    template <class Drive>
    claimed_messages claim_by(size_type most, Drive drive) {
        if (most == 0) return {impl_.elements(), detail::held_batch()};
        detail::held_batch batch(impl_);
        const detail::claim_to_hold op{batch, most};
        if (!impl_.quick(op) && !drive(op)) return {impl_.elements(), detail::held_batch()};
        batch.hold();
        return {impl_.elements(), std::move(batch)};
    }
    claimed_messages claim_some_until(size_type most, std::uint64_t deadline, const stop_token& stop) {
        return claim_by(most,
                        [&](const detail::claim_to_hold& op) { return impl_.until(op, deadline, stop) == status::ok; });
    }
    void refuse_if_too_large(std::uint64_t messages) const {
        if (messages > capacity()) impl_.raise_batch_too_large(messages);
    }

    friend struct detail::queue_access;
};

/// How other parts of the library get at what a handle has.
struct detail::queue_access {
    template <class Elements>
    static const queue_base& base_of(const basic_queue<Elements>& handle) noexcept {
        return handle.impl_;
    }
};

/// A handle on a queue of `T` in a shared memory object. `basic_queue` has all calls but those that return a message.
///
/// \tparam T  any trivially copyable type of 1 byte to megabytes
template <queue_element T>
class shmem_queue : public basic_queue<detail::typed_elements<T>> {
    static_assert(detail::holds_no_address<T>());
    using basic = basic_queue<detail::typed_elements<T>>;
    using stop_token = detail::stop_token;
    using basic::impl_;

public:
    using value_type = T;
    using typename basic::size_type;
    class iterator;

    /// Creates a queue.
    ///
    /// \param name      1 to 254 bytes without a slash, not beginning with `.promisqs-`; the same for all users, and on
    ///                  Linux a file in /dev/shm
    /// \param capacity  how many messages it holds, exactly: 1 to 2^32. All memory is reserved here
    /// \param wanted    permissions, lifetime, number of participants, and how the memory is to be had
    /// \throws queue_error  `already_exists`, `invalid_name`, `invalid_capacity`, `invalid_options`, `no_memory`,
    ///                  `no_permission`, `not_a_queue`, `corrupt`, `layout_version_differs`, `system_failure`. Nothing
    ///                  is left behind
    /// \par Blocks
    ///   while another process creates or removes the same queue, as long as that one lives, also if it is stopped
    /// \par If killed
    ///   nothing is left, or an unfinished object, which the next `create` or `open_or_create` takes over
    [[nodiscard]] static shmem_queue create(std::string_view name, size_type capacity, const options& wanted = {}) {
        return shmem_queue(detail::queue_base::create(name, description(), capacity, wanted));
    }

    /// Opens a queue that exists.
    ///
    /// \param name      as given to `create`
    /// \param memory    how this process maps it
    /// \throws queue_error  `not_found`, `element_size_differs`, `schema_differs`, `layout_version_differs`,
    ///                  `not_a_queue`, `corrupt`, `unfinished`, `invalid_name`, `no_memory`, `no_permission`,
    ///                  `system_failure`
    /// \par Blocks
    ///   as `create`
    /// \par If killed
    ///   nothing changes
    [[nodiscard]] static shmem_queue open(std::string_view name, const memory_options& memory = {}) {
        return shmem_queue(detail::queue_base::open(name, description(), memory));
    }

    /// Opens a queue, or creates it if there is none. Of many processes that call this at once, one creates the queue,
    /// and all get the same. The options count for the process that creates it, except `memory`, `abandoned` and
    /// `strict`.
    ///
    /// \throws queue_error  as `create` and `open`, without `already_exists`, `not_found` and `unfinished`; and
    ///                  `capacity_differs`, as the capacity is part of what is asked for; `options_differ`, if
    ///                  `options::strict` was asked for
    /// \par Blocks
    ///   as `create`
    /// \par If killed
    ///   as `create`
    [[nodiscard]] static shmem_queue open_or_create(std::string_view name, size_type capacity,
                                                    const options& wanted = {}) {
        return shmem_queue(detail::queue_base::open_or_create(name, description(), capacity, wanted));
    }

    /// Removes a queue's name, so that the name can be used for another queue. Processes that have the queue open can
    /// go on with it. Its memory is given back with the last of them.
    ///
    /// \return          whether there was one
    /// \throws queue_error  `invalid_name`, `not_a_queue`, `no_permission`, `system_failure`
    /// \par Blocks
    ///   as `create`
    static bool remove(std::string_view name) { return detail::queue_base::remove(name); }

    /// Another handle on the same queue, sharing its mapping and its participant entries.
    shmem_queue(const shmem_queue&) = default;
    shmem_queue& operator=(const shmem_queue&) = default;
    /// The handle moved from can only be assigned to and destroyed.
    shmem_queue(shmem_queue&&) noexcept = default;
    shmem_queue& operator=(shmem_queue&&) noexcept = default;

    /// Closes the queue for this process if this was its last handle on it. Removes the queue if this was the last
    /// handle of all, and the queue is not to be kept. If this process may not remove its name, the messages and the
    /// memory are gone all the same.
    ~shmem_queue() = default;

    // Into the caller's room; and, below, by value.
    using basic::pop_wait;
    using basic::pop_wait_for;
    using basic::pop_wait_until;

    /// Takes the oldest message. A message whose consumer died is delivered again once nothing else is ready. A polling
    /// caller finds it about 20 ms after the death.
    ///
    /// \return          the message, or nothing: the queue was empty, or is closed and drained (`is_closed`)
    /// \throws queue_error  as `push`
    /// \par Blocks
    ///   as `push`; not for an empty queue
    /// \par Orders
    ///   all that the producer wrote before its push is visible
    /// \par If killed
    ///   the message is delivered to another consumer, or has been handed over, as if killed when this had returned
    [[nodiscard]] std::optional<T> pop() {
        detail::claim made{};
        if (impl_.quick(detail::claim_for_pop{made})) [[likely]]
            return impl_.template take<T>(made);
        return impl_.template take_once_settled<T>();
    }

    /// Takes the oldest message, waiting for one. A message whose consumer died is delivered to a waiting consumer
    /// about 20 ms after the death; where nothing has moved for a while, up to 100 ms.
    ///
    /// \param stop      may end the wait
    /// \return          the message, or nothing: the queue is closed and drained, or a stop was requested
    /// \throws queue_error  as `push`
    /// \par Blocks
    ///   until there is a message, or the queue is closed and drained: looks for a while, and then sleeps
    ///   (`set_wait_policy`)
    /// \par If killed
    ///   as `pop`
    [[nodiscard]] std::optional<T> pop_wait(const stop_token& stop = {}) { return take_until(detail::never, stop); }
    /// As `pop_wait`, with a limit.
    ///
    /// \param timeout   steady-clock time to wait; zero, or less, looks once
    /// \return          as `pop_wait`; nothing, too, when the time is over
    template <class Rep, class Period>
    [[nodiscard]] std::optional<T> pop_wait_for(std::chrono::duration<Rep, Period> timeout,
                                                const stop_token& stop = {}) {
        return take_until(detail::to_deadline(timeout), stop);
    }
    /// As `pop_wait_for`, up to a point of the steady clock.
    template <class Duration>
    [[nodiscard]] std::optional<T> pop_wait_until(std::chrono::time_point<std::chrono::steady_clock, Duration> deadline,
                                                  const stop_token& stop = {}) {
        return take_until(detail::to_deadline(deadline), stop);
    }

    /// Copies the oldest message and leaves it where it is. The copy is whole, though others may take the message at
    /// the same time.
    ///
    /// \return          the message, or nothing: the queue was empty
    /// \throws queue_error  `corrupt`; `in_callable`, where the calling thread's own callable holds the position. Also
    ///                  what the callable of `on_dropped` throws; `std::bad_alloc`, for a T of 4096 bytes or more
    /// \par Blocks
    ///   as `pop`
    /// \par If killed
    ///   nothing changes
    [[nodiscard]] std::optional<T> peek() const {
        detail::scratch_message<T> copy;
        if (!impl_.peek(copy.bytes())) return std::nullopt;
        return copy.value();
    }

    /// Makes one attempt to copy the oldest message.
    ///
    /// \param out       is assigned the message's bytes when the answer is `ok`, else left alone
    /// \return          `ok`, `empty`, `closed`, or `would_block`: another participant is in the middle of an operation
    ///                  on the same position
    /// \throws queue_error  `corrupt`. Also `std::bad_alloc`, for a T of 4096 bytes or more, which is not copied on the
    ///                  stack
    /// \par Blocks
    ///   never
    /// \par If killed
    ///   nothing changes
    status try_peek(T& out) const requires std::is_trivially_copy_assignable_v<T> {
        detail::scratch_message<T> copy;
        const status result = impl_.try_peek(copy.bytes());
        if (result == status::ok) detail::copy_bytes<T>(std::addressof(out), copy.bytes());
        return result;
    }

    /// Pops: every message that the loop `for (const T& m : q)` sees has been taken out. It ends when the queue is
    /// empty.
    [[nodiscard]] iterator begin() noexcept { return iterator(*this); }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    explicit shmem_queue(detail::queue_base&& joined) noexcept : basic(std::move(joined)) {}

    static detail::element_description description() noexcept {
        static_assert(schema_of<T>.text.size() <= detail::layout::max_schema_size,
                      "the schema of T is too long: specialise promisqs::treat_as_opaque<T> as true");
        return {sizeof(T), alignof(T), schema_of<T>};
    }

    [[nodiscard]] std::optional<T> take_until(std::uint64_t deadline, const stop_token& stop) {
        detail::claim made{};
        if (impl_.quick(detail::claim_for_pop{made})) [[likely]]
            return impl_.template take<T>(made);
        return impl_.template take_until<T>(deadline, stop);
    }
    friend class detail::held_message<T>;
};

/// Takes message after message out of a queue, until it finds the queue empty. An input iterator, which pops when it is
/// looked at, and not before: what was not looked at stays in the queue. It can be moved, not copied, as a message can
/// be taken only once. A message of 4096 bytes or more is in memory that the iterator allocates, before it pops.
template <queue_element T>
class shmem_queue<T>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit iterator(shmem_queue& source) noexcept : queue_(&source) {}

    /// \pre  it is not at the end
    [[nodiscard]] const T& operator*() const {
        take();
        return message_.value();
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
        if (!message_.has_value()) message_.pop_from(*queue_);
    }

    shmem_queue* queue_;
    mutable detail::held_message<T> message_;
};

}  // namespace promisqs
