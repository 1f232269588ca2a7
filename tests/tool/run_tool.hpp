// SPDX-License-Identifier: Apache-2.0
#pragma once

// The program `promisqs`, run as users run it.

#include "support/process.hpp"
#include "support/users.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_test {

/// A file without a name, for what a program reads or writes.
class nameless_file {
public:
    explicit nameless_file(std::string_view content = {}) : descriptor_(::memfd_create("promisqs-test", 0)) {
        if (descriptor_ < 0) throw std::runtime_error("no file in memory");
        while (!content.empty()) {
            const auto written = ::write(descriptor_, content.data(), content.size());
            if (written < 0) throw std::runtime_error("a file in memory can't be written");
            content.remove_prefix(static_cast<std::size_t>(written));
        }
        ::lseek(descriptor_, 0, SEEK_SET);
    }
    nameless_file(nameless_file&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    nameless_file& operator=(nameless_file&&) = delete;
    ~nameless_file() { ::close(descriptor_); }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    [[nodiscard]] std::string content() const {
        std::string all;
        std::array<char, 65536> some{};
        for (;;) {
            const auto size = ::pread(descriptor_, some.data(), some.size(), static_cast<::off_t>(all.size()));
            if (size <= 0) return all;
            all.append(some.data(), static_cast<std::size_t>(size));
        }
    }

private:
    int descriptor_;
};

struct tool_result {
    int exit;  ///< the exit code, or minus the signal that ended it
    std::string out;
    std::string err;
};

/// `promisqs ARGUMENTS`, running. It is killed when the object goes, if it is still there.
class running_tool {
public:
    /// \param input        what it reads from standard input; without `open_input`, its end follows
    /// \param open_input   its standard input is a pipe, to which `send` writes, until `end_input`
    explicit running_tool(arguments args, std::string_view input = {}, bool open_input = false) : input_(input) {
        std::array<int, 2> ends{-1, -1};
        if (open_input && ::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        std::string program = PROMISQS_TOOL;
        std::vector<char*> raw{program.data()};
        for (auto& arg : args) raw.push_back(arg.data());
        raw.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("could not start the program");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(open_input ? ends[0] : input_.descriptor(), STDIN_FILENO);
            ::dup2(out_.descriptor(), STDOUT_FILENO);
            ::dup2(err_.descriptor(), STDERR_FILENO);
            ::execv(raw[0], raw.data());
            ::_exit(127);
        }
        if (open_input) {
            ::close(ends[0]);
            sender_ = ends[1];
            send(input);
        }
    }
    running_tool(const running_tool&) = delete;
    running_tool& operator=(const running_tool&) = delete;
    ~running_tool() {
        end_input();
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            wait();
        }
    }

    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] std::string out() const { return out_.content(); }
    [[nodiscard]] std::string err() const { return err_.content(); }

    void send(std::string_view text) const {
        while (!text.empty()) {
            const auto written = ::write(sender_, text.data(), text.size());
            if (written < 0) throw std::runtime_error("the program does not read");
            text.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    void end_input() {
        if (sender_ >= 0) ::close(std::exchange(sender_, -1));
    }
    void signal(int number) const { ::kill(pid_, number); }

    /// Waits until it has written so much, or has ended. For programs that go on after it.
    template <class Condition>
    bool wait_for_output(Condition holds) const {
        for (int looks = 0; looks < 100 * 60; ++looks) {
            if (holds(out_.content())) return true;
            if (has_ended()) break;
            ::poll(nullptr, 0, 10);
        }
        return holds(out_.content());
    }

    [[nodiscard]] bool has_ended() const {
        ::siginfo_t found{};
        const int result = ::waitid(P_PID, static_cast<::id_t>(pid_), &found, WEXITED | WNOHANG | WNOWAIT);
        return result != 0 || found.si_pid != 0;
    }

    /// Waits for its end. What hangs is ended by the test's time limit.
    tool_result wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
        pid_ = 0;
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), out_.content(), err_.content()};
    }

private:
    nameless_file input_;
    nameless_file out_;
    nameless_file err_;
    int sender_ = -1;
    ::pid_t pid_ = 0;
};

inline tool_result run_tool(arguments args, std::string_view input = {}) {
    return running_tool(std::move(args), input).wait();
}

/// `promisqs ARGUMENTS`, run by another user. Only root can do that.
inline tool_result run_tool_as(::uid_t user, arguments args, std::string_view input = {}) {
    const nameless_file in(input);
    const nameless_file out;
    const nameless_file err;
    args.insert(args.begin(), "promisqs");
    std::vector<char*> raw;
    for (auto& arg : args) raw.push_back(arg.data());
    raw.push_back(nullptr);
    const int exit = wait_for(forked([&] {
        ::dup2(in.descriptor(), STDIN_FILENO);
        ::dup2(out.descriptor(), STDOUT_FILENO);
        ::dup2(err.descriptor(), STDERR_FILENO);
        const int program = ::open(PROMISQS_TOOL, O_PATH | O_CLOEXEC);  // its folder may be closed to others
        if (!become(user)) return 97;
        ::fexecve(program, raw.data(), environ);
        return 96;
    }));
    return {exit, out.content(), err.content()};
}

}  // namespace promisqs_test
