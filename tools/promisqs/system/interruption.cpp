// SPDX-License-Identifier: Apache-2.0

#include "system/interruption.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <system_error>
#include <thread>

namespace promisqs_tool {

namespace {

::sigset_t caught_signals() {
    ::sigset_t caught;
    ::sigemptyset(&caught);
    for (const int one : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&caught, one);
    return caught;
}

struct state {
    std::stop_source source;
    int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
};

// Never destroyed: the thread below uses it until the process ends.
state& shared() {
    static state& only = *new state;
    return only;
}

}  // namespace

void catch_interruptions() {
    std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c)
    if (shared().descriptor < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    const ::sigset_t caught = caught_signals();
    ::pthread_sigmask(SIG_BLOCK, &caught, nullptr);
    std::thread([caught] {
        int received = 0;
        if (::sigwait(&caught, &received) != 0) return;
        shared().source.request_stop();
        const std::uint64_t one = 1;
        if (::write(shared().descriptor, &one, sizeof one) < 0) std::abort();
        ::pthread_sigmask(SIG_UNBLOCK, &caught, nullptr);  // the second one ends the process
        for (;;) ::pause();
    }).detach();
}

std::stop_token interruption() { return shared().source.get_token(); }

int interruption_descriptor() { return shared().descriptor; }

void forget_interruptions() {
    std::signal(SIGPIPE, SIG_DFL);  // NOLINT(cert-err33-c)
    const ::sigset_t caught = caught_signals();
    ::pthread_sigmask(SIG_UNBLOCK, &caught, nullptr);
}

}  // namespace promisqs_tool
