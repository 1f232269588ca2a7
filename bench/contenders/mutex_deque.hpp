// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

namespace bench {

/// What one would write without a library, for threads only.
template <class T>
class mutex_deque {
public:
    using value_type = T;
    static constexpr const char* name = "mutex_deque";
    static constexpr bool crosses_processes = false;

    static mutex_deque create(const std::string& /*segment*/, std::uint64_t capacity) { return mutex_deque(capacity); }

    bool push(const T& message) {
        const std::lock_guard guard(mutex_);
        if (messages_.size() >= capacity_) return false;
        messages_.push_back(message);
        return true;
    }

    bool pop(T& out) {
        const std::lock_guard guard(mutex_);
        if (messages_.empty()) return false;
        out = messages_.front();
        messages_.pop_front();
        return true;
    }

private:
    explicit mutex_deque(std::uint64_t capacity) : capacity_(capacity) {}

    std::mutex mutex_;
    std::deque<T> messages_;
    std::uint64_t capacity_;
};

}  // namespace bench
