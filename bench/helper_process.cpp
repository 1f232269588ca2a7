// SPDX-License-Identifier: Apache-2.0

#include "contenders/helper_process.hpp"

#include "contenders/descriptor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds time_limit{10};

[[noreturn]] void become(std::vector<char*> arguments, int output, ::pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() == parent) {
        ::dup2(output, STDOUT_FILENO);
        ::dup2(output, STDERR_FILENO);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
        ::setpgid(0, 0);  // Ctrl-C is for the parent, which ends this
        arguments.push_back(nullptr);
        ::execvp(arguments[0], arguments.data());
    }
    ::_exit(127);
}

/// What a program has said, up to the end of the line that has `expected` in it.
std::string read_until(int output, const std::string& expected, const std::string& program) {
    const auto end = clock::now() + time_limit;
    std::string said;
    for (;;) {
        const auto found = said.find(expected);
        const auto line_end = said.find('\n', found);
        if (found != std::string::npos && line_end != std::string::npos) {
            const auto line_begin = said.rfind('\n', found) + 1;  // npos + 1 is 0
            return said.substr(line_begin, line_end - line_begin);
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - clock::now()).count();
        ::pollfd wanted{output, POLLIN, 0};
        if (left <= 0 || ::poll(&wanted, 1, static_cast<int>(left)) == 0) {
            throw std::runtime_error(program + " did not become ready within ten seconds");
        }
        std::array<char, 512> room{};
        const ::ssize_t size = ::read(output, room.data(), room.size());
        if (size > 0) {
            said.append(room.data(), static_cast<std::size_t>(size));
        } else if (size == 0 || errno != EINTR) {
            throw std::runtime_error("could not start " + program + ": " + (said.empty() ? "not installed?" : said));
        }
    }
}

void end(::pid_t pid) {
    ::kill(pid, SIGTERM);
    const auto give_up = clock::now() + time_limit;
    while (::waitpid(pid, nullptr, WNOHANG) == 0) {
        if (clock::now() > give_up) ::kill(pid, SIGKILL);
        ::usleep(1000);
    }
}

}  // namespace

helper_process::helper_process(const std::vector<std::string>& command, const std::string& expected)
    : owner_(::getpid()) {
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe");
    const descriptor output(ends[0], "pipe");
    pid_ = ::fork();
    if (pid_ == 0) become(arguments, ends[1], owner_);
    ::close(ends[1]);
    if (pid_ < 0) throw_errno("fork");
    try {
        ready_line_ = read_until(output.get(), expected, command[0]);
    } catch (...) {
        end(pid_);
        throw;
    }
}

helper_process::~helper_process() {
    if (owner_ == ::getpid()) end(pid_);
}

}  // namespace bench
