// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/element.hpp>
#include <promisqs/queue.hpp>

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>

namespace promisqs {

/// Takes message after message out of a queue; at its end when it finds the queue empty. An input iterator, which pops when
/// it is looked at, and not before: what was not looked at stays in the queue. It can be moved, not copied, as a message can
/// be taken only once.
template <queue_element T>
class shmem_queue<T>::iterator {
public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit iterator(shmem_queue& source) noexcept : queue_(&source) {}
    iterator(iterator&&) noexcept = default;
    iterator& operator=(iterator&& other) noexcept {
        queue_ = other.queue_;
        message_.reset();  // assigning would ask T to be assignable
        if (other.message_) message_.emplace(*other.message_);
        return *this;
    }

    /// \pre  it is not at the end
    [[nodiscard]] const T& operator*() const {
        take();
        return *message_;
    }
    [[nodiscard]] const T* operator->() const { return std::addressof(**this); }
    /// Goes on behind the message that it is at, which is then gone, looked at or not.
    iterator& operator++() {
        take();
        message_.reset();
        return *this;
    }
    void operator++(int) { ++*this; }

    friend bool operator==(const iterator& it, std::default_sentinel_t) {
        it.take();
        return !it.message_.has_value();
    }

private:
    void take() const {
        if (message_) return;
        // Made in its place: an assignment would copy it once more, and ask T to be assignable.
        ::new (static_cast<void*>(std::addressof(message_))) std::optional<T>(queue_->pop());
    }

    shmem_queue* queue_;
    mutable std::optional<T> message_;
};

}  // namespace promisqs
