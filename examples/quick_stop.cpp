// SPDX-License-Identifier: Apache-2.0
#include <promisqs/queue.hpp>

#include <pthread.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <stop_token>
#include <thread>

struct Message {
    std::uint64_t id;
    std::array<char, 24> address;
    std::array<std::uint8_t, 32> payload;
};

int main(int argc, char** argv) try {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread, so that all threads inherit it

    auto orders = promisqs::shmem_queue<Message>::open_or_create(argc > 1 ? argv[1] : "orders", 1024);
    std::cout << "waiting for orders" << std::endl;
    std::stop_source stop;
    std::jthread watcher([&](const std::stop_token& no_longer_needed) {
        const auto end_sigwait = [self = pthread_self()] { pthread_kill(self, SIGINT); };
        const std::stop_callback when_main_ends(no_longer_needed, end_sigwait);
        int signal = 0;
        sigwait(&signals, &signal);
        stop.request_stop();
    });

    Message order{};
    std::uint64_t received = 0;
    promisqs::status last{};
    // A call that need not wait does not stop.
    while (!stop.stop_requested() && (last = orders.pop_wait(order, stop.get_token())) == promisqs::status::ok) {
        ++received;
    }
    const auto why = stop.stop_requested() ? "stopped" : promisqs::to_string(last);
    std::cout << why << " after " << received << " orders\n";
} catch (const promisqs::queue_error& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
