// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace bench {

/// One word in one cache line, which the consumer looks at until it has changed: no two processors can tell each other
/// anything faster. Of no use but for round trips, because nobody says that a message has been read.
template <class T>
class bare_line {
public:
    static_assert(sizeof(T) == sizeof(std::uint64_t));
    using value_type = T;
    static constexpr const char* name = "bare_line";
    static constexpr bool crosses_processes = true;
    static constexpr bool round_trips_only = true;

    static bare_line create(const std::string& segment, std::uint64_t /*capacity*/) {
        return bare_line(shared_object::create(segment, sizeof(word)));
    }
    static bare_line open(const std::string& segment, side /*either*/) {
        return bare_line(shared_object::open(segment));
    }

    bool push(const T& message) {
        // Plus one: the first message is number 0, as is an empty line. Release and acquire, as a message that is
        // longer would need.
        line().store(message.words[0] + 1, std::memory_order_release);
        return true;
    }
    bool pop(T& out) {
        const std::uint64_t found = line().load(std::memory_order_acquire);
        if (found == seen_) return false;
        seen_ = found;
        out.words[0] = found - 1;
        return true;
    }

private:
    using word = std::atomic<std::uint64_t>;

    explicit bare_line(shared_object memory) : memory_(std::move(memory)) {}

    [[nodiscard]] word& line() const { return *reinterpret_cast<word*>(memory_.data()); }

    shared_object memory_;
    std::uint64_t seen_ = 0;
};

}  // namespace bench
