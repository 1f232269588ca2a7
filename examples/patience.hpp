// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/status.hpp>

#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

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

/// Waits for as long as the user wants to, and looks at the signals every now and then.
///
/// \param wait      waits for so long, and returns a `promisqs::status`
/// \param patience  how long it may come to nothing
/// \param complaint what to say then
template <class Wait>
void wait_patiently(Wait wait, std::chrono::seconds patience, const char* complaint) {
    constexpr std::chrono::milliseconds slice(100);
    for (std::chrono::milliseconds waited(0); wait(slice) != promisqs::status::ok; waited += slice) {
        throw_if_stopped();
        if (waited > patience) {
            throw std::runtime_error(complaint + (" for " + std::to_string(patience.count())) + " s; giving up");
        }
    }
}
