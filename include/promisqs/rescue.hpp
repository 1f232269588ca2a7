// SPDX-License-Identifier: Apache-2.0
#pragma once

// How recovery gets at the kernel's locks, and when it is due.

#include <promisqs/layout.hpp>
#include <promisqs/platform.hpp>
#include <promisqs/ring_view.hpp>
#include <promisqs/shared_file.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace promisqs {

/// The recovery lock, and, while it is held, the locks of participant entries whose owners are dead.
class rescue_locks {
public:
    /// Tries, without waiting.
    explicit rescue_locks(shared_file& file) noexcept : file_(file) {
        if (!file_.begin_observing()) return;
        observer_ = file_.observer();
        error_ = observer_ < 0 ? EBADF : platform::lock_byte(observer_, layout::recovery_byte, exclusive);
        held_ = error_ == 0;
        if (!held_) file_.end_observing();
    }

    rescue_locks(const rescue_locks&) = delete;
    rescue_locks& operator=(const rescue_locks&) = delete;

    ~rescue_locks() {
        if (!held_) return;
        unlock_byte(layout::recovery_byte);
        file_.end_observing();
    }

    [[nodiscard]] bool held() const noexcept { return held_; }

    /// Why they are not held, if not because somebody else has them; 0 otherwise.
    [[nodiscard]] int failure() const noexcept { return error_ == EAGAIN ? 0 : error_; }

    /// Whether nobody alive owns entry i.
    [[nodiscard]] bool try_lock(std::uint32_t i) const noexcept {
        return platform::lock_byte(observer_, layout::participants_byte + i, exclusive) == 0;
    }
    void unlock(std::uint32_t i) const noexcept { unlock_byte(layout::participants_byte + i); }

private:
    static constexpr auto exclusive = platform::lock_kind::exclusive;

    void unlock_byte(std::int64_t byte) const noexcept {
        static_cast<void>(platform::lock_byte(observer_, byte, platform::lock_kind::none));
    }

    shared_file& file_;
    int observer_ = -1;
    int error_ = 0;
    bool held_ = false;
};

/// What becomes of messages that are dropped: copies of them wait for the callable, if there is one.
class graveyard {
public:
    using callable = std::function<void(const void*)>;

    explicit graveyard(std::size_t element_size) noexcept : element_size_(element_size) {}

    void set(callable mourner) {
        auto shared = mourner ? std::make_shared<const callable>(std::move(mourner)) : nullptr;
        const std::lock_guard guard(shared_file::process_mutex());
        mourner_.swap(shared);
    }

    /// The `Grave` of a recovery that drops messages.
    class grave {
    public:
        explicit grave(graveyard& yard) : yard_(yard) {}
        [[nodiscard]] bool dig(const void* message) {
            const std::lock_guard guard(shared_file::process_mutex());
            if (yard_.mourner_ == nullptr) return true;
            yard_.waiting_.reserve(yard_.waiting_.size() + 1);  // what can fail must do so now
            copy_.resize(yard_.element_size_);
            copy_while_shared(copy_.data(), message, yard_.element_size_);  // whether it was, is known when it is gone
            return true;
        }
        void fill() {
            const std::lock_guard guard(shared_file::process_mutex());
            if (!copy_.empty()) yard_.waiting_.push_back(std::exchange(copy_, {}));
        }

    private:
        graveyard& yard_;
        std::vector<std::byte> copy_;
    };

    /// The `Grave` of one that does not.
    struct closed {
        [[nodiscard]] static bool dig(const void* /*message*/) noexcept { return false; }
        static void fill() noexcept {}
    };

    /// Hands the messages over. What the callable throws goes on; the other messages wait for the next time.
    void mourn() {
        for (;;) {
            std::unique_lock guard(shared_file::process_mutex());
            if (waiting_.empty()) return;
            const auto message = std::move(waiting_.back());
            waiting_.pop_back();
            const auto mourner = mourner_;
            guard.unlock();
            if (mourner != nullptr) (*mourner)(message.data());
        }
    }

private:
    std::size_t element_size_;
    std::shared_ptr<const callable> mourner_;
    std::vector<std::vector<std::byte>> waiting_;
};

/// When the next recovery of this process is due: soon for who is stuck, seldom for who finds the queue empty, and never so
/// often that it takes much of the time.
class rescue_schedule {
public:
    static constexpr std::uint64_t when_stuck = 1'000'000;  // nanoseconds between two
    static constexpr std::uint64_t when_idle = 20'000'000;

    /// \param now  by a steady clock, which may be a little behind
    [[nodiscard]] bool due(std::uint64_t interval, std::uint64_t now) const noexcept {
        const std::uint64_t pause = std::max(interval, pause_.load(std::memory_order_relaxed));
        return static_cast<std::int64_t>(now - last_.load(std::memory_order_relaxed) - pause) >= 0;
    }

    void done(std::uint64_t begun) noexcept {
        const std::uint64_t now = platform::steady_clock();
        last_.store(now, std::memory_order_relaxed);
        pause_.store(16 * (now - begun), std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> last_ = 0;
    std::atomic<std::uint64_t> pause_ = 0;
};

}  // namespace promisqs
