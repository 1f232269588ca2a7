// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <new>
#include <utility>

namespace promisqs::detail {

/// The poison messages that this process has dropped from a queue. Copies of them wait for the user's handler; without
/// one, none are kept.
class dead_letters {
    // The bytes of one message.
    class letter {
    public:
        letter(std::size_t size, std::size_t alignment)
            : alignment_{alignment}, bytes_(::operator new(size, alignment_)) {}
        letter(const letter&) = delete;
        letter& operator=(const letter&) = delete;
        ~letter() { ::operator delete(bytes_, alignment_); }

        [[nodiscard]] void* bytes() const noexcept { return bytes_; }

    private:
        std::align_val_t alignment_;
        void* bytes_;
    };

public:
    /// Is given an element, aligned as its type wants.
    using handler = std::function<void(const void*)>;

    dead_letters(std::size_t element_size, std::size_t element_alignment) noexcept
        : element_size_(element_size), element_alignment_(element_alignment) {}

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
        /// valid. What can fail fails here. False: the message is to stay in the queue, also for want of memory.
        [[nodiscard]] bool stage(const void* message) noexcept {
            copy_.clear();
            if (!may_drop_ || !letters_.has_handler()) return may_drop_;
            try {
                copy_.emplace_back(letters_.element_size_, letters_.element_alignment_);
            } catch (const std::bad_alloc&) {
                return false;
            }
            copy_while_shared(copy_.back().bytes(), message, letters_.element_size_);
            return true;
        }
        /// Keeps the copy: the message is gone from the queue.
        void commit() noexcept {
            const os::process_lock lock;
            letters_.waiting_.splice(letters_.waiting_.end(), copy_);
        }

    private:
        dead_letters& letters_;
        bool may_drop_;
        std::list<letter> copy_;  // one, or none
    };

    /// Hands the waiting messages to the handler, the oldest first.
    ///
    /// \throws  what the handler throws; the other messages wait for the next call
    void deliver() {
        for (;;) {
            std::list<letter> message;
            os::process_lock lock;
            if (waiting_.empty()) return;
            message.splice(message.end(), waiting_, waiting_.begin());
            const auto chosen = handler_;
            lock.unlock();
            if (chosen != nullptr) (*chosen)(message.back().bytes());
        }
    }

private:
    [[nodiscard]] bool has_handler() const noexcept {
        const os::process_lock lock;
        return handler_ != nullptr;
    }

    std::size_t element_size_;
    std::size_t element_alignment_;
    std::shared_ptr<const handler> handler_;
    std::list<letter> waiting_;
};

}  // namespace promisqs::detail
