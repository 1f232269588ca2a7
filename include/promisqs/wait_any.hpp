// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Waiting for a message in any of several queues.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/detail/protocol/ticket.hpp>
#include <promisqs/detail/queue/recovery_lock.hpp>
#include <promisqs/detail/queue/session.hpp>
#include <promisqs/detail/queue/waiter.hpp>
#include <promisqs/error.hpp>
#include <promisqs/options.hpp>
#include <promisqs/queue.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace promisqs {
namespace detail {

/// A queue whose element type does not matter. Does not keep it open.
class watched_queue {
public:
    template <class T>
    explicit watched_queue(const shmem_queue<T>& watched) noexcept
        : core_(&queue_access::core_of(watched)),
          owner_(&queue_access::core_of(watched).owner()),
          look_([](const void* core) { return static_cast<const queue_impl<T>*>(core)->look(); }) {}

    /// What a pop would come to, without one.
    [[nodiscard]] outcome look() const { return look_(core_); }
    [[nodiscard]] session& owner() const noexcept { return *owner_; }

private:
    const void* core_;
    session* owner_;
    outcome (*look_)(const void*);
};

/// Somebody who waits for any of some queues, and leaves popping to others.
class any_waiter {
public:
    explicit any_waiter(std::span<const watched_queue> queues) : queues_(queues) {
        if (queues.size() < detail::os::most_watched_words) return;
        throw queue_error(errc::invalid_options, queues.front().owner().object().name(),
                          "expected at most " + std::to_string(detail::os::most_watched_words - 1) +
                              " queues to wait for at once, found this one and " + std::to_string(queues.size() - 1) +
                              " others; wait for fewer, or in several threads");
    }

    /// \param interrupt  ends the wait when it is not 0 any more; woken by `detail::os::wake`
    /// \return           which queue is ready; nothing: the time is over, or the wait was interrupted
    std::optional<std::size_t> wait(std::uint64_t deadline, std::atomic<std::uint32_t>* interrupt = nullptr) {
        using stage = wait_clock::stage;
        wait_clock clock(wait_policy::balanced());
        std::optional<std::size_t> found;
        const auto look = [&] { return (found = first_ready()).has_value(); };
        for (stage at = clock.first(deadline != 0);;) {
            if (at == stage::yield) detail::os::yield();
            if (at == stage::sleep ? look() : clock.look(look)) return found;
            if (interrupt != nullptr && interrupt->load(std::memory_order_acquire) != 0) return std::nullopt;
            const std::uint64_t now = detail::os::steady_clock();
            if (now >= deadline) return std::nullopt;
            at = clock.at(now);
            if (at != stage::sleep) continue;
            if (sleep(deadline, now, interrupt)) {
                clock.restart();
            } else {
                clock.go_on_sleeping();
            }
        }
    }

private:
    // The first that is; notes whether somebody is in the middle of an operation at some head.
    std::optional<std::size_t> first_ready() {
        busy_ = false;
        for (std::size_t i = 0; i < queues_.size(); ++i) {
            const outcome result = queues_[i].look();
            if (result == outcome::ok || result == outcome::closed || result == outcome::corrupt) return i;
            if (result != outcome::empty) busy_ = true;
        }
        return std::nullopt;
    }

    // Returns when it may be worth while to look; false: the time is over, or it is time to look for the dead.
    bool sleep(std::uint64_t deadline, std::uint64_t now, std::atomic<std::uint32_t>* interrupt) {
        if (busy_) {
            detail::os::nap();
            look_for_the_dead(recovery_schedule::when_stuck);
            return false;
        }
        words_.clear();
        bool single = false;
        for (const watched_queue& one : queues_) {
            wait_word word = one.owner().wait_word_of(role::consumer);
            words_.push_back(detail::os::watched_word::of(word.futex(), word.announce()));
            single = single || one.owner().roles().producer;
        }
        if (interrupt != nullptr) words_.push_back(detail::os::watched_word::of(*interrupt, 0));
        const bool sure = !single || detail::os::heavy_barrier();
        if (first_ready() || busy_) return true;
        const std::uint64_t most = now + (sure ? wait_word::interval : wait_word::short_interval);
        int result = detail::os::sleep_on_any(words_.data(), words_.size(), std::min(deadline, most));
        if (result == ENOSYS) {  // Linux before 5.16: one of them, and the others soon
            wait_word first = queues_.front().owner().wait_word_of(role::consumer);
            const auto value = static_cast<std::uint32_t>(words_.front().value);
            result = detail::os::sleep_on(first.futex(), value, std::min(deadline, now + wait_word::short_interval));
        }
        if (result == ETIMEDOUT) look_for_the_dead(recovery_schedule::when_idle);
        return result != ETIMEDOUT;
    }

    void look_for_the_dead(std::uint64_t interval) const {
        for (const watched_queue& one : queues_) {
            one.owner().recover_if_due(nullptr, interval, detail::os::coarse_steady_clock());
        }
    }

    std::span<const watched_queue> queues_;
    std::vector<detail::os::watched_word> words_;
    bool busy_ = false;
};

template <class T>
inline constexpr bool is_queue = false;
template <class T>
inline constexpr bool is_queue<shmem_queue<T>> = true;

template <class Rep, class Period>
std::uint64_t to_deadline(std::chrono::duration<Rep, Period> timeout) noexcept {
    return deadline_after(timeout);
}
template <class Duration>
std::uint64_t to_deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> when) noexcept {
    return deadline_at(when);
}

template <std::size_t... I, class Tuple>
std::optional<std::size_t> wait_any_of(std::index_sequence<I...> /*which*/, const Tuple& arguments,
                                       std::uint64_t deadline) {
    static_assert((is_queue<std::remove_cvref_t<std::tuple_element_t<I, Tuple>>> && ...),
                  "wait_any takes queues, and at the end perhaps a duration or a point of the steady clock");
    const std::array queues{watched_queue(std::get<I>(arguments))...};
    return any_waiter(queues).wait(deadline);
}

}  // namespace detail

/// Waits until a pop of one of the queues would not have to: it has a message, or is closed and drained. Leaves the popping to the
/// caller, and to others, who may be faster: so use `try_pop`, and wait again.
///
/// \param arguments  up to 127 queues, of any element types; then, if the wait is to end, a duration, or a point of the steady clock.
///                   Zero, or less, looks once
/// \return           the number of the first of them that is ready, from 0; nothing: the time is over
/// \par Throws       `queue_error`: `invalid_options`, for too many queues; what the callable of `on_dropped` throws. A corrupt queue
///                   is ready: its pop throws
/// \par Blocks       until then: looks for a while, and then sleeps, woken by pushes and by `close`
/// \par If killed    nothing changes
template <class... Arguments>
requires(sizeof...(Arguments) > 0) [[nodiscard]] std::optional<std::size_t> wait_any(const Arguments&... arguments) {
    const auto all = std::tie(arguments...);
    constexpr std::size_t last = sizeof...(Arguments) - 1;
    using last_type = std::remove_cvref_t<std::tuple_element_t<last, decltype(all)>>;
    if constexpr (detail::is_queue<last_type>) {
        return detail::wait_any_of(std::make_index_sequence<last + 1>(), all, detail::os::never);
    } else {
        static_assert(last > 0, "wait_any takes at least one queue");
        return detail::wait_any_of(std::make_index_sequence<last>(), all, detail::to_deadline(std::get<last>(all)));
    }
}

/// The same for a number of queues that is only known when the program runs. None: sleeps until the time is over.
template <class T, class Rep, class Period>
[[nodiscard]] std::optional<std::size_t> wait_any(std::span<const shmem_queue<T>> queues,
                                                  std::chrono::duration<Rep, Period> timeout) {
    std::vector<detail::watched_queue> watched;
    watched.reserve(queues.size());
    for (const auto& one : queues) watched.emplace_back(one);
    return detail::any_waiter(watched).wait(detail::deadline_after(timeout));
}

}  // namespace promisqs
