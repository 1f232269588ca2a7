// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a recovery gets at the kernel's locks.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/shared_file.hpp>

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

}  // namespace promisqs::detail
