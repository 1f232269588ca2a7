// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace promisqs::detail {

/// The poison messages that this process has dropped from a queue. Copies of them wait for the user's handler; without
/// one, none are kept.
class dead_letters {
public:
    using handler = std::function<void(const void*)>;

    explicit dead_letters(std::size_t element_size) noexcept : element_size_(element_size) {}

    void set(handler chosen) {
        auto shared = chosen ? std::make_shared<const handler>(std::move(chosen)) : nullptr;
        const os::process_lock lock;
        handler_.swap(shared);
    }

    /// Where a recovery puts a message that it drops.
    class slot {
    public:
        /// \param may_drop  false: poison messages stay in the queue
        slot(dead_letters& letters, bool may_drop) noexcept : letters_(letters), may_drop_(may_drop) {}

        /// Copies a message that others may still be overwriting. A later compare-exchange tells whether the copy is
        /// valid. What can fail fails here. False: the message is to stay in the queue.
        [[nodiscard, gnu::cold]] bool stage(const void* message) {
            const os::process_lock lock;
            if (!may_drop_ || letters_.handler_ == nullptr) return may_drop_;
            letters_.waiting_.reserve(letters_.waiting_.size() + 1);
            copy_.resize(letters_.element_size_);
            copy_while_shared(copy_.data(), message, letters_.element_size_);
            return true;
        }
        /// Keeps the copy: the message is gone from the queue.
        [[gnu::cold]] void commit() {
            const os::process_lock lock;
            if (!copy_.empty()) letters_.waiting_.push_back(std::move(copy_));
        }

    private:
        dead_letters& letters_;
        bool may_drop_;
        std::string copy_;
    };

    /// Hands the waiting messages to the handler.
    ///
    /// \throws  what the handler throws; the other messages wait for the next call
    [[gnu::cold]] void deliver() {
        for (;;) {
            os::process_lock lock;
            if (waiting_.empty()) return;
            const auto message = std::move(waiting_.back());
            waiting_.pop_back();
            const auto chosen = handler_;
            lock.unlock();
            if (chosen != nullptr) (*chosen)(message.data());
        }
    }

private:
    std::size_t element_size_;
    std::shared_ptr<const handler> handler_;
    std::vector<std::string> waiting_;  // of bytes
};

}  // namespace promisqs::detail
