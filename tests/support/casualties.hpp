// SPDX-License-Identifier: Apache-2.0
#pragma once

// Processes that die, or stay, in the middle of push_with and pop_with; and what must be true of the queue afterwards.
// In the middle means inside the callable, so every test is at the same place each time; kill_test.cpp is about all
// other instructions.

#include "catch.hpp"
#include "process.hpp"
#include "status_text.hpp"

#include <promisqs/queue.hpp>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <utility>

namespace promisqs_test {

using number_queue = promisqs::shmem_queue<std::uint64_t>;

/// What a callable throws.
struct refusal : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The framework reports signals, which is not wanted of a child, and takes time.
inline void die_plainly() {
    for (const int signal : {SIGABRT, SIGTERM, SIGSEGV, SIGFPE, SIGINT}) ::signal(signal, SIG_DFL);
    const ::rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    static_cast<void>(::freopen("/dev/null", "w", stderr));
}

inline void kill_itself() { ::kill(::getpid(), SIGKILL); }

inline int dies_popping(number_queue& q, void (*end)() = &kill_itself) {
    return wait_for(forked([&] {
        die_plainly();
        q.pop_with([&](const std::uint64_t&) { end(); });
        return 77;
    }));
}
inline int dies_pushing(number_queue& q, void (*end)() = &kill_itself) {
    return wait_for(forked([&] {
        die_plainly();
        static_cast<void>(q.push_with([&](std::uint64_t& slot) {
            slot = 666;
            end();
        }));
        return 77;
    }));
}
inline void has_full_capacity(number_queue& q) {
    for (int lap = 0; lap < 3; ++lap) {
        for (std::uint64_t i = 0; i < q.capacity(); ++i) REQUIRE(q.push(100 + i));
        CHECK(q.try_push(1) == promisqs::status::full);
        CHECK(q.size() == q.capacity());
        for (std::uint64_t i = 0; i < q.capacity(); ++i) REQUIRE(q.pop() == 100 + i);
        CHECK(q.pop() == std::nullopt);
        CHECK(q.empty());
    }
}

struct expected_report {
    std::uint32_t removed = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t to_redeliver = 0;
    std::uint64_t dropped = 0;
    std::uint32_t left = 0;
};
inline void recovers(number_queue& q, const expected_report& expected) {
    const auto report = q.recover();
    CHECK(report.participants_removed == expected.removed);
    CHECK(report.tombstones == expected.tombstones);
    CHECK(report.messages_to_redeliver == expected.to_redeliver);
    CHECK(report.messages_dropped == expected.dropped);
    CHECK(report.postponed == expected.left);
    CHECK_FALSE(report.in_progress_elsewhere);
}

/// A process in the middle of a callable, until it is told to go on, or killed.
class busy_process {
public:
    template <class Operation>
    explicit busy_process(Operation operation)
        : pid_(forked([&] {
              operation([&] {
                  there_.send();
                  go_on_.wait();
              });
              return 0;
          })) {
        there_.wait();
    }
    busy_process(const busy_process&) = delete;
    busy_process& operator=(const busy_process&) = delete;
    ~busy_process() {
        if (pid_ != 0) kill();
    }
    void stop() const {
        REQUIRE(::kill(pid_, SIGSTOP) == 0);
        int how = 0;
        REQUIRE(::waitpid(pid_, &how, WUNTRACED) == pid_);
        REQUIRE(WIFSTOPPED(how));
    }
    void go_on() const { REQUIRE(::kill(pid_, SIGCONT) == 0); }
    [[nodiscard]] int finish() {
        go_on_.send();
        return wait_for(std::exchange(pid_, 0));
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        wait_for(std::exchange(pid_, 0));
    }
    [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }

private:
    signal_pipe there_;
    signal_pipe go_on_;
    ::pid_t pid_;
};

}  // namespace promisqs_test
