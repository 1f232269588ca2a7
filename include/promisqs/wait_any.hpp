// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

/// \file
/// Waiting for a message in any of several queues.

#include <promisqs/detail/queue/deadline.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/queue.hpp>

#if !defined(PROMISQS_COMPILED)
#include <promisqs/detail/queue/any_waiter.hpp>
#endif

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace promisqs {
namespace detail {

template <class T>
inline constexpr bool is_queue = requires(const T& handle) {
    queue_access::base_of(handle);
};

template <class T>
concept queue_reference = std::is_lvalue_reference_v<T> && is_queue<std::remove_cvref_t<T>>;

template <class T>
concept time_limit = requires(const T& limit) {
    { to_deadline(limit) } -> std::same_as<std::uint64_t>;
};

/// What `wait_any` takes behind the queues.
struct wait_limits {
    std::uint64_t deadline = never;
    stop_token stop = {};

    void set(const stop_token& token) { stop = token; }
    void set(const time_limit auto& limit) { deadline = to_deadline(limit); }
};

template <class Argument>
concept wait_limit = std::same_as<Argument, stop_token> || time_limit<Argument>;

/// Whether the arguments are queues, then perhaps a time limit, then perhaps a stop token.
template <class First, class... Others>
consteval bool are_queues_and_limits() {
    if constexpr (is_queue<First> && sizeof...(Others) > 0)
        return are_queues_and_limits<Others...>();
    else if constexpr (time_limit<First> && sizeof...(Others) > 0)
        return sizeof...(Others) == 1 && (std::same_as<Others, stop_token> && ...);
    else
        return sizeof...(Others) == 0 && (is_queue<First> || wait_limit<First>);
}

template <std::size_t... Index, class Arguments>
auto bases_of(std::index_sequence<Index...> /*which*/, const Arguments& arguments) {
    return std::array{&queue_access::base_of(std::get<Index>(arguments))...};
}

/// A range of queues. (A queue is a range, too: of the messages that it pops.)
template <class Range>
concept queue_range = !is_queue<std::remove_cvref_t<Range>> && requires(Range & range) {
    { *std::begin(range) } -> queue_reference;
    {std::end(range)};
};

std::optional<std::size_t> wait_any_of(queue_range auto& queues, const wait_limits& limits) {
    std::vector<const queue_base*> bases;
    for (const auto& one : queues) bases.push_back(&queue_access::base_of(one));
    return wait_for_any(bases, limits.deadline, limits.stop);
}

}  // namespace detail

/// Waits until a pop of one of the queues would not have to wait: the queue has a message, or is closed and drained.
/// Popping is left to the caller. Another consumer may be faster: so use `try_pop`, and wait again.
///
/// \param first      a queue: a `shmem_queue` or an `untyped_queue`
/// \param others     up to 126 more, of any element types; then, to limit the wait, a duration or a point of the
///                   steady clock (zero, or less, looks once); then, to end it from another thread, a `std::stop_token`
/// \return           the index of the first queue that is ready; nothing: the time is over, or a stop was requested
/// \throws queue_error  `invalid_options`, for too many queues. Also what the callable of `on_dropped` throws. A
///                   corrupt queue is ready: its pop throws
/// \par Blocks
///   until then: looks for a while, and then sleeps, woken by pushes and by `close`
/// \par If killed
///   nothing changes
template <class First, class... Others>
requires detail::is_queue<First>
[[nodiscard]] std::optional<std::size_t> wait_any(const First& first, const Others&... others) {
    static_assert(detail::are_queues_and_limits<First, Others...>(),
                  "wait_any takes queues, then perhaps a duration or a point of the steady clock, then perhaps a stop "
                  "token");
    constexpr std::size_t queues = 1 + (std::size_t{detail::is_queue<Others>} + ... + 0);
    const auto all = std::tie(first, others...);
    detail::wait_limits limits;
    [[maybe_unused]] const auto set = [&](const auto& argument) {
        if constexpr (detail::wait_limit<std::remove_cvref_t<decltype(argument)>>) limits.set(argument);
    };
    (set(others), ...);
    const auto bases = detail::bases_of(std::make_index_sequence<queues>(), all);
    return detail::wait_for_any(bases, limits.deadline, limits.stop);
}

/// The same for any range of queues of one type (a vector, an array, a span), so that their number need not be known
/// when the program is compiled. None: sleeps until the time is over, or a stop is requested.
template <detail::queue_range Queues>
[[nodiscard]] std::optional<std::size_t> wait_any(Queues&& queues, const detail::stop_token& stop = {}) {
    return detail::wait_any_of(queues, {detail::never, stop});
}
template <detail::queue_range Queues, detail::time_limit Limit>
[[nodiscard]] std::optional<std::size_t> wait_any(Queues&& queues, const Limit& limit,
                                                  const detail::stop_token& stop = {}) {
    return detail::wait_any_of(queues, {detail::to_deadline(limit), stop});
}

}  // namespace promisqs
