// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/futex.hpp>

#include <algorithm>
#include <cstdint>

namespace promisqs::detail {

/// How long a thread's first use of a queue waits for a recovery in another process. In nanoseconds.
inline constexpr std::uint64_t patience = 5'000'000'000;

/// A limit to waiting for other processes.
class deadline {
public:
    explicit deadline(std::uint64_t nanoseconds) noexcept : end_(os::steady_clock() + nanoseconds) {}

    /// Waits a little. False: the time is over.
    [[nodiscard, gnu::__cold__]] bool wait() const noexcept {
        if (os::steady_clock() >= end_) return false;
        os::nap();
        return true;
    }

private:
    std::uint64_t end_;
};

/// Waits for another process to let go of a lock, without a limit. Sleeps for an eighth of the time that it has waited,
/// at least 50 microseconds and at most 10 milliseconds: a long wait costs next to nothing, a short one is not made
/// much longer.
class patient_wait {
public:
    [[gnu::__cold__]] void operator()() noexcept {
        const std::uint64_t waited = os::steady_clock() - begin_;
        os::nap(static_cast<std::uint32_t>(std::clamp<std::uint64_t>(waited / 8, 50'000, 10'000'000)));
    }

private:
    std::uint64_t begin_ = os::steady_clock();
};

}  // namespace promisqs::detail
