// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "message.hpp"
#include "patience.hpp"

#include <promisqs/queue.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

using message_queue = promisqs::shmem_queue<Message>;

/// What the producer and the consumer of the demo are told, and have in common.
struct demo_arguments {
    std::string queue = "promisqs-demo";
    std::uint64_t count = 10'000'000;
    std::uint64_t round_trips = 200'000;
    std::chrono::seconds patience{5};
};

/// How long to wait for the other program to be started at all, perhaps by hand.
inline constexpr std::chrono::seconds start_patience{60};

/// The two queues between the programs. Both open what the other may have created already, so that either can come
/// first. What an earlier run has left, whose programs were killed, is not wanted.
struct queue_pair {
    explicit queue_pair(const std::string& name)
        : messages(message_queue::open_or_create(name, 1024, fresh)),
          replies(message_queue::open_or_create(name + "-replies", 1024, fresh)) {}

    static constexpr promisqs::options fresh{.abandoned = promisqs::abandoned_queue::start_over};

    message_queue messages;
    message_queue replies;
};

inline void add_common(CLI::App& app, demo_arguments& arguments) {
    app.add_option("--queue", arguments.queue, "Name of the queue; a second one has \"-replies\" added")
        ->capture_default_str();
    app.add_option("--count", arguments.count, "How many messages are sent one way")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 32))
        ->capture_default_str();
    app.add_option_function<std::int64_t>(
           "--patience", [&](std::int64_t seconds) { arguments.patience = std::chrono::seconds(seconds); },
           "After how many seconds without progress to give up")
        ->check(CLI::Range(1, 3600))
        ->default_str(std::to_string(arguments.patience.count()));
}

/// Runs the program proper.
///
/// \return  the exit code: what `run` returned; 1 after an error, whose text is printed; 128 and the signal's number
///          when stopped by one, as a shell would say it
template <class Run>
int run_to_exit_code(const char* program, Run run) {
    try {
        stop_on_signals();
        return run();
    } catch (const stopped&) {
        return 128 + stopped_by;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", program, error.what());
        return 1;
    }
}
