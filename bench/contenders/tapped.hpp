// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "promisqs.hpp"

#include <promisqs/inspector.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace bench {

/// A process that follows a queue by a tap, as long as this lives. The system says on which processor.
class tapping_process {
public:
    explicit tapping_process(const std::string& segment) : owner_(::getpid()), pid_(::fork()) {
        if (pid_ == 0) follow(segment);
    }
    tapping_process(const tapping_process&) = delete;
    tapping_process& operator=(const tapping_process&) = delete;
    ~tapping_process() {
        if (pid_ <= 0 || owner_ != ::getpid()) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

private:
    [[noreturn]] static void follow(const std::string& segment) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        auto follows = promisqs::inspector(segment).open_tap();
        std::uint64_t sum = 0;
        for (;;) {
            const auto seen = follows.next_for(std::chrono::seconds(1));
            if (!seen.bytes.empty()) sum += static_cast<std::uint64_t>(seen.bytes.front());
            asm volatile("" : : "r"(sum));
        }
    }

    ::pid_t owner_;
    ::pid_t pid_;
};

/// promisqs with a third process that taps it. Where there are but two processors, the tap takes its time from the
/// others, too.
template <class T>
class promisqs_tapped {
    using queue = promisqs_queue<T>;

public:
    using value_type = T;
    static constexpr const char* name = "promisqs_tapped";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;
    static constexpr bool streams_only = true;

    static promisqs_tapped create(const std::string& segment, std::uint64_t capacity) {
        promisqs_tapped made(queue::create(segment, capacity));
        made.tap_ = std::make_unique<tapping_process>(segment);
        return made;
    }
    static promisqs_tapped open(const std::string& segment, side which) {
        return promisqs_tapped(queue::open(segment, which));
    }

    bool push(const T& message) { return queue_.push(message); }
    bool pop(T& out) { return queue_.pop(out); }
    void push_wait(const T& message) { queue_.push_wait(message); }
    void pop_wait(T& out) { queue_.pop_wait(out); }

private:
    explicit promisqs_tapped(queue opened) : queue_(std::move(opened)) {}

    queue queue_;
    std::unique_ptr<tapping_process> tap_;
};

}  // namespace bench
