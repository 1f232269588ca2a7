// SPDX-License-Identifier: Apache-2.0
#pragma once

// Records of bridges, for tests.

#include "support/names.hpp"

#include "bridge/bridge_record.hpp"

#include <cstdint>
#include <string>

namespace promisqs_test {

/// The key of a bridge from a stream into a queue that only this test has. Its records are removed at the end.
class scoped_bridge {
public:
    explicit scoped_bridge(const scoped_name& queue, std::uint64_t identity = 1)
        : key_{promisqs_tool::bridge_direction::in, queue.str(), identity, "STREAM", "consumer", 5, 7} {}
    scoped_bridge(const scoped_bridge&) = delete;
    scoped_bridge& operator=(const scoped_bridge&) = delete;
    ~scoped_bridge() {
        for (const std::string& name : promisqs_tool::record_names()) {
            const auto one = promisqs_tool::record_file::open(name);
            if (one && promisqs_tool::record_text(one->header().queue) == key_.queue) one->remove();
        }
    }

    [[nodiscard]] promisqs_tool::bridge_key& operator*() noexcept { return key_; }
    [[nodiscard]] promisqs_tool::bridge_record start() const {
        return promisqs_tool::bridge_record(key_, 8, "nats://127.0.0.1:4222");
    }
    /// How many records the queue's bridges have.
    [[nodiscard]] std::size_t records() const {
        std::size_t count = 0;
        for (const std::string& name : promisqs_tool::record_names()) {
            const auto one = promisqs_tool::record_file::open(name);
            if (one && promisqs_tool::record_text(one->header().queue) == key_.queue) ++count;
        }
        return count;
    }

private:
    promisqs_tool::bridge_key key_;
};

/// The first delivery of a message of a stream.
inline promisqs_tool::delivery delivery_of(std::uint64_t sequence) {
    return {sequence, static_cast<std::int64_t>(1'700'000'000'000'000'000 + sequence), sequence, 1};
}

}  // namespace promisqs_test
