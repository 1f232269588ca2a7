// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a recovery gets at the kernel's locks, and when the next one is due.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/shared_file.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace promisqs::detail {

/// The recovery lock. While a process holds it, it can also lock the entries of dead participants.
class recovery_lock {
public:
    /// Tries to take it, without waiting.
    explicit recovery_lock(shared_file& file) noexcept : file_(file) {
        if (!file_.begin_observing()) return;
        observer_ = file_.observer();
        error_ = observer_ < 0 ? EBADF : os::lock_byte(observer_, layout::recovery_byte, exclusive);
        owns_lock_ = error_ == 0;
        if (!owns_lock_) file_.end_observing();
    }

    recovery_lock(const recovery_lock&) = delete;
    recovery_lock& operator=(const recovery_lock&) = delete;

    ~recovery_lock() {
        if (!owns_lock_) return;
        unlock_byte(layout::recovery_byte);
        file_.end_observing();
    }

    [[nodiscard]] bool owns_lock() const noexcept { return owns_lock_; }

    /// Why the system refused it, as an `errno`. 0 if it is held, here or elsewhere.
    [[nodiscard]] int failure() const noexcept { return error_ == EAGAIN ? 0 : error_; }

    /// Locks entry i. False: its owner is alive.
    [[nodiscard]] bool try_lock(std::uint32_t i) const noexcept {
        return os::lock_byte(observer_, layout::participants_byte + i, exclusive) == 0;
    }
    void unlock(std::uint32_t i) const noexcept { unlock_byte(layout::participants_byte + i); }

private:
    static constexpr auto exclusive = os::lock_kind::exclusive;

    void unlock_byte(std::int64_t byte) const noexcept {
        static_cast<void>(os::lock_byte(observer_, byte, os::lock_kind::none));
    }

    shared_file& file_;
    int observer_ = -1;
    int error_ = 0;
    bool owns_lock_ = false;
};

/// When the next recovery of this process is due: soon for a thread that is stuck, seldom for one that finds the queue
/// empty, and never so often that it takes much of the time.
class recovery_schedule {
public:
    static constexpr std::uint64_t when_stuck = 1'000'000;  // nanoseconds between two
    static constexpr std::uint64_t when_idle = 20'000'000;

    /// \param now  by a steady clock, which may be a little behind
    [[nodiscard]] bool due(std::uint64_t interval, std::uint64_t now) const noexcept {
        const std::uint64_t pause = std::max(interval, pause_.load(std::memory_order_relaxed));
        return static_cast<std::int64_t>(now - last_.load(std::memory_order_relaxed) - pause) >= 0;
    }

    /// \param begun  when the recovery began that is over now
    void done(std::uint64_t begun) noexcept {
        const std::uint64_t now = os::steady_clock();
        last_.store(now, std::memory_order_relaxed);
        pause_.store(16 * (now - begun), std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> last_ = 0;
    std::atomic<std::uint64_t> pause_ = 0;
};

}  // namespace promisqs::detail
