// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <cstdint>
#include <string_view>

namespace promisqs::detail {

/// How long create, open and remove wait without seeing any progress while another process creates or removes the same
/// queue. In nanoseconds.
inline constexpr std::uint64_t patience = 5'000'000'000;
/// How long they give a creator that has made the object but not locked it. In nanoseconds.
inline constexpr std::uint64_t grace = 250'000'000;

/// A limit to waiting for other processes.
class deadline {
public:
    explicit deadline(std::uint64_t nanoseconds) noexcept : length_(nanoseconds) { restart(); }

    void restart() noexcept { end_ = os::steady_clock() + length_; }

    /// Waits a little. False: the time is over.
    [[nodiscard, gnu::cold]] bool wait() const noexcept {
        if (os::steady_clock() >= end_) return false;
        os::nap();
        return true;
    }

    /// Waits a little.
    ///
    /// \throws  `queue_error` with `errc::unfinished` when the time is over
    [[gnu::cold]] void wait_or_throw(std::string_view queue) const {
        if (wait()) return;
        raise(errc::unfinished, queue,
              {"expected another process to finish creating or removing it, found no progress for ",
               digits(length_ / 1'000'000'000),
               " s; see whether a process that uses this name is stopped, and try again"});
    }

private:
    std::uint64_t length_;
    std::uint64_t end_ = 0;
};

}  // namespace promisqs::detail
