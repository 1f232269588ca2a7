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

/// The poison messages that this process has dropped from a queue. Copies of them wait for the user's handler; without
/// one, none are kept.
class dead_letters {
public:
    using handler = std::function<void(const void*)>;

    explicit dead_letters(std::size_t element_size) noexcept : element_size_(element_size) {}

    [[gnu::cold]] void set(handler chosen) {
        auto shared = chosen ? std::make_shared<const handler>(std::move(chosen)) : nullptr;
        const std::lock_guard guard(shared_file::process_mutex());
        handler_.swap(shared);
    }

    /// Where a recovery puts the messages that it drops.
    class slot {
    public:
        explicit slot(dead_letters& letters) : letters_(letters) {}

        /// Copies a message that others may still be overwriting. A later compare-exchange tells whether the copy is
        /// valid. Whatever can fail fails here.
        [[nodiscard, gnu::cold]] bool stage(const void* message) {
            const std::lock_guard guard(shared_file::process_mutex());
            if (letters_.handler_ == nullptr) return true;
            letters_.waiting_.reserve(letters_.waiting_.size() + 1);
            copy_.resize(letters_.element_size_);
            copy_while_shared(copy_.data(), message, letters_.element_size_);
            return true;
        }
        /// Keeps the copy: the message is gone from the queue.
        [[gnu::cold]] void commit() {
            const std::lock_guard guard(shared_file::process_mutex());
            if (!copy_.empty()) letters_.waiting_.push_back(std::exchange(copy_, {}));
        }

    private:
        dead_letters& letters_;
        std::vector<std::byte> copy_;
    };

    /// For a recovery that drops nothing: poison messages stay in the queue.
    struct keep_in_queue {
        [[nodiscard]] static bool stage(const void* /*message*/) noexcept { return false; }
        static void commit() noexcept {}
    };

    /// Hands the waiting messages to the handler.
    ///
    /// \throws  what the handler throws; the other messages wait for the next call
    [[gnu::cold]] void deliver() {
        for (;;) {
            std::unique_lock guard(shared_file::process_mutex());
            if (waiting_.empty()) return;
            const auto message = std::move(waiting_.back());
            waiting_.pop_back();
            const auto chosen = handler_;
            guard.unlock();
            if (chosen != nullptr) (*chosen)(message.data());
        }
    }

private:
    std::size_t element_size_;
    std::shared_ptr<const handler> handler_;
    std::vector<std::vector<std::byte>> waiting_;
};

}  // namespace promisqs::detail
