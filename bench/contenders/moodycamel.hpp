// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"

#include <concurrentqueue/concurrentqueue.h>

#include <cstdint>
#include <memory>
#include <string>

namespace bench {

/// ConcurrentQueue of github.com/cameron314/concurrentqueue, for threads only: it grows in blocks that it allocates.
/// Messages of several producers keep no order among each other.
template <class T>
class moodycamel {
public:
    using value_type = T;
    static constexpr const char* name = "moodycamel";
    static constexpr bool crosses_processes = false;

    static moodycamel create(const std::string& /*segment*/, std::uint64_t capacity) { return moodycamel(capacity); }

    bool push(const T& message) { return queue_->try_enqueue(message); }
    bool pop(T& out) { return queue_->try_dequeue(out); }

private:
    explicit moodycamel(std::uint64_t capacity) : queue_(std::make_unique<queue>(capacity)) {}

    using queue = ::moodycamel::ConcurrentQueue<T>;

    std::unique_ptr<queue> queue_;
};

}  // namespace bench
