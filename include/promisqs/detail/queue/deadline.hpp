// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/queue/queue_base.hpp>

#include <chrono>
#include <cstdint>

namespace promisqs::detail {

/// A point of the steady clock in nanoseconds. 0 if it lies before the clock's beginning; `never` if it lies beyond
/// what the kernel takes.
template <class Duration>
std::uint64_t to_deadline(std::chrono::time_point<std::chrono::steady_clock, Duration> when) noexcept {
    using seconds = std::chrono::duration<double>;
    const auto since = when.time_since_epoch();
    if (!(since > since.zero())) return 0;  // so is one that is no number
    if (std::chrono::duration_cast<seconds>(since) > std::chrono::hours(24 * 365 * 200)) return never;
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::nanoseconds>(since).count());
}

/// The point of the steady clock that lies so far ahead. 0 if it does not lie ahead.
template <class Rep, class Period>
std::uint64_t to_deadline(std::chrono::duration<Rep, Period> from_now) noexcept {
    using seconds = std::chrono::duration<double>;
    if (!(from_now > from_now.zero())) return 0;
    if (std::chrono::duration_cast<seconds>(from_now) > std::chrono::hours(24 * 365 * 100)) return never;
    return to_deadline(std::chrono::steady_clock::now() + std::chrono::ceil<std::chrono::nanoseconds>(from_now));
}

}  // namespace promisqs::detail
