// SPDX-License-Identifier: Apache-2.0

#include "numbers.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {
namespace {

double seconds_of(::clockid_t clock) {
    ::timespec used{};
    if (::clock_gettime(clock, &used) != 0) throw std::runtime_error("a process has no clock any more");
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace

child::child(const std::function<void()>& work) {
    const ::pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    try {
        work();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "promisqs_numbers: a process ended by an exception: %s\n", error.what());
    }
    ::_exit(0);
}

child::child(child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

void child::kill() noexcept {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
}

void child::expect_alive() const {
    // Leaves it to be reaped.
    ::siginfo_t found{};
    if (::waitid(P_PID, static_cast<::id_t>(pid_), &found, WEXITED | WNOHANG | WNOWAIT) != 0 || found.si_pid != 0) {
        throw std::runtime_error("a process ended that should not");
    }
}

void child::wait_until_stopped() const {
    int status = 0;
    ::waitpid(pid_, &status, WUNTRACED);
    expect(WIFSTOPPED(status), "a process did not stop");
}

double cpu_of_this_process() { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

double cpu_of(const std::vector<child>& processes) {
    double sum = 0;
    for (const child& one : processes) {
        one.expect_alive();
        ::clockid_t clock{};
        if (::clock_getcpuclockid(one.pid(), &clock) != 0) throw std::runtime_error("a process has no clock");
        sum += seconds_of(clock);
    }
    return sum;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.at(values.size() / 2);
}

void expect(bool well, const char* what) {
    if (!well) throw std::runtime_error(what);
}

void allow_descriptors(unsigned wanted) {
    ::rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return;
    limit.rlim_cur = std::min<::rlim_t>(wanted, limit.rlim_max);
    if (limit.rlim_cur < wanted || ::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        throw std::runtime_error("needs " + std::to_string(wanted) + " descriptors; the limit (ulimit -Hn) is " +
                                 std::to_string(limit.rlim_max));
    }
}

}  // namespace bench
