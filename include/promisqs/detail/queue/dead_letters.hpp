// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/shared_file.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace promisqs::detail {

/// What becomes of messages that are dropped: copies of them wait for the callable, if there is one.
class dead_letters {
public:
    using callable = std::function<void(const void*)>;

    explicit dead_letters(std::size_t element_size) noexcept : element_size_(element_size) {}

    void set(callable handler) {
        auto shared = handler ? std::make_shared<const callable>(std::move(handler)) : nullptr;
        const std::lock_guard guard(shared_file::process_mutex());
        mourner_.swap(shared);
    }

    /// The `Letters` of a recovery that drops messages.
    class slot {
    public:
        explicit slot(dead_letters& yard) : yard_(yard) {}
        [[nodiscard]] bool stage(const void* message) {
            const std::lock_guard guard(shared_file::process_mutex());
            if (yard_.mourner_ == nullptr) return true;
            yard_.waiting_.reserve(yard_.waiting_.size() + 1);  // what can fail must do so now
            copy_.resize(yard_.element_size_);
            copy_while_shared(copy_.data(), message, yard_.element_size_);  // whether it was, is known when it is gone
            return true;
        }
        void commit() {
            const std::lock_guard guard(shared_file::process_mutex());
            if (!copy_.empty()) yard_.waiting_.push_back(std::exchange(copy_, {}));
        }

    private:
        dead_letters& yard_;
        std::vector<std::byte> copy_;
    };

    /// The `Letters` of one that does not.
    struct closed {
        [[nodiscard]] static bool stage(const void* /*message*/) noexcept { return false; }
        static void commit() noexcept {}
    };

    /// Hands the messages over. What the callable throws goes on; the other messages wait for the next time.
    void deliver() {
        for (;;) {
            std::unique_lock guard(shared_file::process_mutex());
            if (waiting_.empty()) return;
            const auto message = std::move(waiting_.back());
            waiting_.pop_back();
            const auto handler = mourner_;
            guard.unlock();
            if (handler != nullptr) (*handler)(message.data());
        }
    }

private:
    std::size_t element_size_;
    std::shared_ptr<const callable> mourner_;
    std::vector<std::vector<std::byte>> waiting_;
};

}  // namespace promisqs::detail
