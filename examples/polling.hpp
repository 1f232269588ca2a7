// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>

/// Set by Ctrl-C, or by a polite `kill`, to the signal's number. The programs look at it while they wait and between
/// messages, so that they end in the ordinary way: their handles are closed, and the last one removes the queue.
inline volatile std::sig_atomic_t stopped_by = 0;

struct stopped {};

inline void stop_on_signals() {
    const auto note = [](int signal) { stopped_by = signal; };
    std::signal(SIGINT, note);
    std::signal(SIGTERM, note);
}

inline void throw_if_stopped() {
    if (stopped_by != 0) throw stopped{};
}

/// Repeats an attempt until it succeeds. This version of the library does not wait for messages or for room, so its user
/// polls: with a short pause first, because the other side is usually about to be done, and then letting others run.
///
/// \param attempt   returns whether it succeeded
/// \param patience  how long it may come to nothing
/// \param complaint what to say then
template <class Attempt>
void poll(Attempt attempt, std::chrono::seconds patience, const char* complaint) {
    constexpr int pauses = 200;  // a few microseconds
    for (int i = 0; i < pauses; ++i) {
        if (attempt()) return;
        promisqs::detail::os::pause();
    }
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!attempt()) {
        throw_if_stopped();
        if (std::chrono::steady_clock::now() > deadline) {
            throw std::runtime_error(complaint + (" for " + std::to_string(patience.count())) + " s; giving up");
        }
        std::this_thread::yield();
    }
}
