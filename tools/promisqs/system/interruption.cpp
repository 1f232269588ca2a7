// SPDX-License-Identifier: Apache-2.0

#include "system/interruption.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <system_error>
#include <thread>

namespace promisqs_tool {

namespace {

// Its handler does nothing. A call of the system that waits ends with EINTR when it comes. Programs ignore it by
// default, and so do those that this one starts.
constexpr int wake_up = SIGURG;

bool is_ignored(int signal) {
    struct ::sigaction found {};
    return ::sigaction(signal, nullptr, &found) == 0 && (found.sa_flags & SA_SIGINFO) == 0 &&
           found.sa_handler == SIG_IGN;
}

// A signal that is ignored when the program starts stays so: nohup, for instance, asks for that.
::sigset_t signals_to_catch() {
    ::sigset_t caught;
    ::sigemptyset(&caught);
    for (const int one : {SIGINT, SIGTERM, SIGHUP}) {
        if (!is_ignored(one)) ::sigaddset(&caught, one);
    }
    return caught;
}

struct state {
    std::stop_source source;
    int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ::sigset_t caught = signals_to_catch();
    ::pthread_t main_thread = ::pthread_self();
};

// Never destroyed: the thread below uses it until the process ends.
state& shared() {
    static state& only = *new state;
    return only;
}

extern "C" void on_wake_up(int /*signal*/) {}

// A terminal, or a pipe, that takes nothing keeps the main thread in a call of the system. It may have entered that
// call at any time, so it is woken again and again.
[[noreturn]] void wake_main_thread() {
    constexpr int pause = 100;  // milliseconds
    for (;;) {
        ::poll(nullptr, 0, pause);
        ::pthread_kill(shared().main_thread, wake_up);
    }
}

void wait_for_signals() {
    int received = 0;
    if (::sigwait(&shared().caught, &received) != 0) return;
    shared().source.request_stop();
    const std::uint64_t one = 1;
    if (::write(shared().descriptor, &one, sizeof one) < 0) std::abort();
    ::pthread_sigmask(SIG_UNBLOCK, &shared().caught, nullptr);  // the second one ends the process
    wake_main_thread();
}

// Else the next file that is opened would become standard output, for instance. Reading from what is open for writing
// only fails, and so does writing the other way round, as with a descriptor that is closed.
void occupy_closed_descriptors() {
    for (const int one : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(one, F_GETFD) >= 0) continue;
        static_cast<void>(::open("/dev/null", one == STDIN_FILENO ? O_WRONLY : O_RDONLY));  // takes the lowest number
    }
}

}  // namespace

void prepare_process() {
    occupy_closed_descriptors();
    for (const int one : {SIGPIPE, SIGXFSZ}) std::signal(one, SIG_IGN);  // NOLINT(cert-err33-c)
    if (shared().descriptor < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    struct ::sigaction wakes {};
    wakes.sa_handler = &on_wake_up;
    ::sigaction(wake_up, &wakes, nullptr);
    ::pthread_sigmask(SIG_BLOCK, &shared().caught, nullptr);
    std::thread(wait_for_signals).detach();
}

std::stop_token interruption() { return shared().source.get_token(); }

int interruption_descriptor() { return shared().descriptor; }

void forget_interruptions() {
    for (const int one : {SIGPIPE, SIGXFSZ, wake_up}) std::signal(one, SIG_DFL);  // NOLINT(cert-err33-c)
    ::pthread_sigmask(SIG_UNBLOCK, &shared().caught, nullptr);
}

}  // namespace promisqs_tool
