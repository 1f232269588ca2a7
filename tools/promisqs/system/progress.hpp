// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace promisqs_tool {

/// A line on standard error that is written again and again, if that is a terminal: messages, how many a second, bytes,
/// and how many wait.
class progress {
public:
    struct state {
        std::uint64_t messages;
        std::uint64_t bytes;
        std::uint64_t depth;
        std::uint64_t capacity;
    };
    using clock = std::chrono::steady_clock;

    explicit progress(std::string verb);
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;
    ~progress() { clear(); }

    /// \param look  says how things stand, if that is to be shown
    void show(clock::time_point now, const std::function<state()>& look) {
        if (is_terminal_ && now >= next_) write(now, look());
    }
    /// Makes room for what is said at the end.
    void clear();

private:
    void write(clock::time_point now, const state& found);

    std::string verb_;
    bool is_terminal_;
    bool is_shown_ = false;
    clock::time_point last_;
    clock::time_point next_;
    std::uint64_t last_messages_ = 0;
};

}  // namespace promisqs_tool
