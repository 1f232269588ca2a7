// SPDX-License-Identifier: Apache-2.0
#pragma once

// Other processes for tests: this same program, started again with a role to play.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_test {

using arguments = std::vector<std::string>;
using role_function = int (*)(const arguments&);

inline std::map<std::string, role_function>& roles() {
    static std::map<std::string, role_function> all;
    return all;
}

/// Declares, at namespace scope, what a child with this role does; its result is the exit status.
struct role {
    role(const std::string& name, role_function what) { roles()[name] = what; }
};

/// How long a child may live at most, in seconds. It ends itself then: a hang is seen, and leaves nothing running.
inline constexpr unsigned child_lifetime = 240;

inline int play_role(const std::string& name, const arguments& args) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(child_lifetime);
    try {
        return roles().at(name)(args);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "role %s: %s\n", name.c_str(), failure.what());
        return 99;
    }
}

/// A child process with a role. It is killed when the object goes, if it is still there.
class child {
public:
    child(const std::string& role_name, arguments args) {
        args.insert(args.begin(), {"/proc/self/exe", "--role", role_name});
        std::vector<char*> raw;
        for (auto& arg : args) raw.push_back(arg.data());
        raw.push_back(nullptr);
        if (::posix_spawn(&pid_, "/proc/self/exe", nullptr, nullptr, raw.data(), environ) != 0) {
            throw std::runtime_error("could not start a child");
        }
    }
    child(child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
    child& operator=(child&&) = delete;
    ~child() {
        if (pid_ > 0) kill();
    }

    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }

    /// Waits for its end; returns the exit status, or minus the signal that ended it.
    int wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

    void kill() {
        ::kill(pid_, SIGKILL);
        wait();
    }

private:
    ::pid_t pid_ = 0;
};

/// A line of communication that says one thing: a byte has been sent. For waiting for each other without sleeping.
class signal_pipe {
public:
    signal_pipe() {
        if (::pipe(ends_) != 0) throw std::runtime_error("no pipe");
    }
    signal_pipe(const signal_pipe&) = delete;
    signal_pipe& operator=(const signal_pipe&) = delete;
    ~signal_pipe() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }

    /// For the arguments of a child, which inherits both ends.
    [[nodiscard]] std::string reader() const { return std::to_string(ends_[0]); }
    [[nodiscard]] std::string writer() const { return std::to_string(ends_[1]); }

    void send() const { send(ends_[1]); }
    void wait() const { wait(ends_[0]); }

    static void send(int writer) {
        if (::write(writer, "x", 1) != 1) throw std::runtime_error("nobody listens");
    }
    static void wait(int reader) {
        char byte = 0;
        if (::read(reader, &byte, 1) != 1) throw std::runtime_error("nobody speaks");
    }

private:
    int ends_[2] = {-1, -1};
};

/// Runs something in a forked child, which then ends without any destructor; returns its pid.
template <class Body>
::pid_t forked(Body body) {
    std::fflush(nullptr);
    const ::pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::alarm(child_lifetime);
    int status = 98;
    try {
        status = body();
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "forked child: %s\n", failure.what());
    }
    ::_exit(status);
}

/// Waits for the end of a forked child; its exit status, or minus the signal that ended it.
inline int wait_for(::pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace promisqs_test
