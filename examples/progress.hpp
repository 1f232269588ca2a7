// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

/// A line on the terminal, rewritten in place, about how far things are. Silent when standard error is something else.
class progress_line {
public:
    explicit progress_line(std::uint64_t total) : total_(total) {}
    progress_line(const progress_line&) = delete;
    progress_line& operator=(const progress_line&) = delete;
    ~progress_line() {
        if (shown_) std::fputs("\r\033[K", stderr);
    }

    /// Reads the clock: not to be called for every message.
    void show(std::uint64_t done) {
        const auto now = clock::now();
        if (!on_terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
        const double seconds = std::chrono::duration<double>(now - last_).count();
        std::fprintf(stderr, "\r\033[K%3.0f %%  %.1f million messages/s",
                     100 * static_cast<double>(done) / static_cast<double>(total_),
                     static_cast<double>(done - last_done_) / seconds / 1e6);
        std::fflush(stderr);
        last_ = now;
        last_done_ = done;
        shown_ = true;
    }

private:
    using clock = std::chrono::steady_clock;

    std::uint64_t total_;
    bool on_terminal_ = ::isatty(STDERR_FILENO) == 1;
    bool shown_ = false;
    std::uint64_t last_done_ = 0;
    clock::time_point last_ = clock::now();
};
