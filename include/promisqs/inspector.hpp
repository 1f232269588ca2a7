// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// Looking into a queue, of any type and in any state, without taking part in it.

#include <promisqs/detail/inspection/observing.hpp>
#include <promisqs/inspection.hpp>
#include <promisqs/stats.hpp>

#if !defined(PROMISQS_COMPILED)
#include <promisqs/detail/inspection/definitions.hpp>
#endif

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs {

/// Shows the messages of a queue as they pass, in the order of their numbers, each once. It only reads: it takes no
/// message away, holds none up, and keeps nobody waiting. A message is shown once it has been pushed, whatever becomes
/// of it. One that is delivered again, or dropped, is not shown again.
///
/// The tap reads at its own pace. A popped message stays in its place until another one is pushed there, so the tap may
/// be a lap, `capacity` messages, behind the producers. If it is farther behind, it has missed some: it says how many,
/// and goes on half a lap behind them. Behind a push in progress it waits, as consumers do. Places whose producer died
/// are passed over; among missed ones they are counted.
///
/// A message that the tap shows is whole. It looks at the producers' counter once it has copied, and shows nothing that
/// a producer may have begun to overwrite. (On processors that do not keep stores in order, that is not x86-64, a
/// producer's bytes may be seen before its claim, by the time that a store waits in its processor.)
///
/// A popped message and the place of a dead producer's, popped, look the same. So once a place was given up or a
/// message came back in a queue, messages that were popped before the tap came are taken for missed. One case is left:
/// a producer that gives a place up counts it an instant later. If it is stopped, or killed, in that instant, and a
/// consumer frees the place, the tap may show bytes that are no message.
class tap {
public:
    tap(tap&&) noexcept = default;
    tap& operator=(tap&&) noexcept = default;
    tap(const tap&) = delete;
    tap& operator=(const tap&) = delete;
    ~tap() = default;

    /// What comes next, if it is there. Looks at the queue once at most.
    ///
    /// \par Blocks
    ///   no
    [[nodiscard]] tapped next() { return detail::next_of(*reader_); }

    /// What comes next. Whenever it has come up to the producers, it sleeps until about a quarter of a lap has passed,
    /// a millisecond at most. So each look is worth its cost, to the participants, too. Where a quarter of a lap takes
    /// less than 40 microseconds, it can't show all, and takes samples: half a lap each millisecond. A loop over
    /// `next` misses fewer, and takes all of a processor.
    ///
    /// \param timeout  steady-clock time to wait
    /// \return         `tap_event::nothing` when the time is over
    /// \par Blocks
    ///   for `timeout` at most
    [[nodiscard]] tapped next_for(std::chrono::nanoseconds timeout) { return detail::next_of(*reader_, timeout); }

private:
    friend class inspector;
    explicit tap(std::shared_ptr<detail::tap_reader> reader) noexcept : reader_(std::move(reader)) {}

    std::shared_ptr<detail::tap_reader> reader_;
};

/// Looks into a queue, and takes no part. It opens the queue's file for reading alone: read permission is enough. It
/// writes nothing, maps nothing, takes no lock, and does not keep the queue alive. Whatever the file holds, and
/// whatever its owner does to it meanwhile, no call crashes or loops for ever.
///
/// It shows the object that had the name when it was made; see `is_named`. While it is open, the system keeps the
/// file's memory, also once all users are gone. One thread at a time may use an inspector.
///
/// What calls throw, beside `std::bad_alloc`: `queue_error`, with `not_a_queue`, `unfinished`, `layout_version_differs`
/// or `corrupt`, where `look` would say so.
class inspector {
public:
    /// Opens an object, whatever it is.
    ///
    /// \throws  `queue_error` with `invalid_name`, `not_found`, `no_permission` or `system_failure`
    explicit inspector(std::string_view name) : observer_(detail::observe(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return detail::name_of(*observer_); }
    /// Whether the name still leads to this object.
    [[nodiscard]] bool is_named() const noexcept { return detail::is_named(*observer_); }

    /// What the object is now. Throws no `queue_error`.
    [[nodiscard]] queue_finding look() const { return detail::look_of(*observer_); }
    [[nodiscard]] queue_facts facts() const { return detail::facts_of(*observer_); }
    /// As `shmem_queue::stats`. A queue of more than 4 Mi places is not searched for messages to be redelivered.
    [[nodiscard]] queue_stats stats() { return detail::stats_of(*observer_); }
    /// All participants, dead ones that nobody has removed included.
    [[nodiscard]] std::vector<participant_look> participants() { return detail::participants_of(*observer_); }

    /// Copies a message that waits, without claiming it.
    ///
    /// \param index  0: the oldest that no consumer has claimed. Places without a message count
    /// \return       nothing: not so many wait, or they are popped faster than they can be copied
    [[nodiscard]] std::optional<waiting_message> peek(std::uint64_t index = 0) const {
        return detail::peek_of(*observer_, index);
    }
    /// Copies the messages that came back, and wait for another consumer or have been claimed by one, the oldest first.
    ///
    /// \param most  how many at most
    [[nodiscard]] std::vector<waiting_message> returned(std::size_t most) const {
        return detail::returned_of(*observer_, most);
    }

    /// Begins to follow the messages. The tap stays valid without this inspector, and another thread may use it.
    [[nodiscard]] tap open_tap(tap_start from = tap_start::now) const { return tap(detail::tap_of(*observer_, from)); }

private:
    std::shared_ptr<detail::observer> observer_;
};

/// All queues here, in the order of their names. Leaves out what this process may not read: nobody can tell what that
/// is; and empty objects that nobody is building.
///
/// \throws  `queue_error` with `system_failure`, if /dev/shm can't be read
[[nodiscard]] inline std::vector<listed_queue> list_queues() { return detail::all_queues(); }

}  // namespace promisqs
