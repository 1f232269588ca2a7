// SPDX-License-Identifier: Apache-2.0

// The command line: help, and what is said of what can't be done.

#include "support/catch.hpp"
#include "tool/messages.hpp"
#include "tool/terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using promisqs_test::arguments;
using promisqs_test::bytes_of;
using promisqs_test::message;
using promisqs_test::nameless_file;
using promisqs_test::printed_by;
using promisqs_test::queue_of;
using promisqs_test::run_tool;

namespace {

std::size_t longest_line(const std::string& text) {
    std::size_t longest = 0;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) longest = std::max(longest, line.size());
    return longest;
}

// A command line that is wrong, and what is said of it.
void is_refused(const arguments& args, const std::string& sentence, const std::string& help) {
    const auto result = run_tool(args);
    CAPTURE(result.err);
    CHECK(result.exit == 2);
    CHECK(result.out.empty());
    CHECK(result.err == "promisqs: " + sentence + "\nSee: " + help + "\n");
}

/// The program with other standard descriptors than files, or signals ignored.
class started_tool {
public:
    template <class Before>
    started_tool(arguments args, Before before) {
        std::string program = PROMISQS_TOOL;
        std::vector<char*> raw{program.data()};
        for (auto& arg : args) raw.push_back(arg.data());
        raw.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ != 0) return;
        for (const int one : {SIGINT, SIGTERM, SIGHUP}) static_cast<void>(::signal(one, SIG_DFL));
        before();
        ::execv(raw[0], raw.data());
        ::_exit(127);
    }
    started_tool(const started_tool&) = delete;
    started_tool& operator=(const started_tool&) = delete;
    ~started_tool() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    /// Waits until a signal does not end it any more, but requests a stop; then sends it.
    void interrupt(int signal) const {
        while (!blocks(signal)) ::poll(nullptr, 0, 10);
        ::kill(pid_, signal);
    }
    void send(int signal) const { ::kill(pid_, signal); }

    int wait() {
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }

private:
    [[nodiscard]] bool blocks(int signal) const {
        std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
        std::string word;
        std::uint64_t blocked = 0;
        while (status >> word) {
            if (word == "SigBlk:") status >> std::hex >> blocked;
        }
        return ((blocked >> (signal - 1)) & 1U) != 0;
    }

    ::pid_t pid_ = 0;
};

const std::string tool = PROMISQS_TOOL;

}  // namespace

TEST_CASE("the program says its version") {
    const auto result = run_tool({"--version"});
    CHECK(result.exit == 0);
    CHECK(result.out.starts_with("promisqs "));
    CHECK(result.err.empty());
}

TEST_CASE("a command that is none is wrong use, and the nearest one is named") {
    is_refused({"lx"}, "there is no command \"lx\". Did you mean ls?", "promisqs --help");
    is_refused({"craete"}, "there is no command \"craete\". Did you mean create?", "promisqs --help");
    is_refused({"sho"}, "there is no command \"sho\". Did you mean show?", "promisqs --help");
    is_refused({"qqqqqqqq"}, "there is no command \"qqqqqqqq\"", "promisqs --help");
    is_refused({"\x1b[1m"}, "there is no command \"\\x1b[1m\"", "promisqs --help");
}

TEST_CASE("what is missing, or too many, in a command line is named") {
    is_refused({"show"}, "NAME is missing: The queue's name, as `promisqs ls` shows it", "promisqs show --help");
    is_refused({"show", "a", "b"}, "\"b\" is an argument too many", "promisqs show --help");
    is_refused({"show", "--jsn", "a"}, "there is no option --jsn. Did you mean --json?", "promisqs show --help");
    is_refused({"create", "a", "--capacity"}, "--capacity is missing its value", "promisqs create --help");
    is_refused({"create", "a", "--capacity", "x"},
               "--capacity: expected a whole number from 1 to 4294967296, found \"x\"", "promisqs create --help");
}

TEST_CASE("without a command, the help is shown, as an error") {
    const auto result = run_tool({});
    CHECK(result.exit == 2);
    CHECK(result.out.empty());
    CHECK(result.err.find("Usage: promisqs COMMAND") != std::string::npos);
}

TEST_CASE("the help lists the commands, each with one line, within 80 columns") {
    const auto result = run_tool({"--help"});
    CHECK(result.exit == 0);
    CHECK(result.err.empty());
    for (const char* const command : {"\n  ls  ", "\n  show  ", "\n  create  ", "\n  rm  "})
        CHECK(result.out.find(command) != std::string::npos);
    CHECK(result.out.find("Exit codes:") != std::string::npos);
    CHECK(longest_line(result.out) <= 80);
}

TEST_CASE("the help of each command has its usage, details, options and examples") {
    std::istringstream lines(run_tool({"--help"}).out);
    int commands = 0;
    for (std::string line; std::getline(lines, line) && line != "Options:";) {
        if (!line.starts_with("  ") || line[2] == ' ') continue;
        const std::string name = line.substr(2, line.find(' ', 2) - 2);
        const auto result = run_tool({name, "--help"});
        CAPTURE(name, result.out);
        CHECK(result.exit == 0);
        CHECK(result.out.find("\nUsage: promisqs " + name) != std::string::npos);
        CHECK(result.out.find("\nOptions:\n") != std::string::npos);
        CHECK(result.out.find("\nExamples:\n  promisqs ") != std::string::npos);
        ++commands;
    }
    CHECK(commands == 18);
}

TEST_CASE("numbers that an option does not take are refused, and it is said which it takes") {
    is_refused({"create", "a", "--capacity", "-1"},
               "--capacity: expected a whole number from 1 to 4294967296, found \"-1\"", "promisqs create --help");
    is_refused({"top", "-n", "-1"}, "--iterations: expected a whole number from 0 up, found \"-1\"",
               "promisqs top --help");
    is_refused({"pop", "a", "-n", "0"}, "--count: expected a whole number from 1 up, found \"0\"",
               "promisqs pop --help");
    is_refused({"pop", "a", "-n", "99999999999999999999"},
               "--count: expected a whole number from 1 up, found \"99999999999999999999\"", "promisqs pop --help");
    is_refused({"push", "a", "--timeout", "nan"}, "--timeout: expected 0 to 1000000000 seconds, found \"nan\"",
               "promisqs push --help");
    is_refused({"bench", "--seconds", "1e400"}, "--seconds: expected 0.1 to 3600 seconds, found \"1e400\"",
               "promisqs bench --help");
}

TEST_CASE("zeros before a number do not make it octal") {
    queue_of queue("u8", 16);
    for (std::uint8_t i = 0; i < 12; ++i) queue.push(bytes_of(i));
    CHECK(run_tool({"pop", queue.name(), "-n", "010"}).out == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

TEST_CASE("the exit code is the same where standard error can't be written") {
    const std::string there_is_none = tool + " show promisqs-test-there-is-none ";
    CHECK(printed_by(there_is_none + "2>/dev/full; echo $?") == "3\n");
    CHECK(printed_by(there_is_none + "2>&-; echo $?") == "3\n");
    CHECK(printed_by("(" + there_is_none + "<&- >&- 2>&-); echo $?") == "3\n");
    CHECK(printed_by(tool + " 2>/dev/full; echo $?") == "2\n");
}

TEST_CASE("a message is not popped where standard output is closed, and no file is opened in its place") {
    queue_of queue("u8");
    queue.push(bytes_of(std::uint8_t{7}));
    CHECK(printed_by("(" + tool + " pop " + queue.name() + " >&- 2>/dev/null); echo $?") == "5\n");
    CHECK(queue.pop() == bytes_of(std::uint8_t{7}));
}

TEST_CASE("a message is not popped where a file may not become longer") {
    queue_of queue("u8");
    queue.push(bytes_of(std::uint8_t{7}));
    CHECK(printed_by("f=$(mktemp); (ulimit -f 0; " + tool + " pop " + queue.name() +
                     " 2>/dev/null) > $f; echo $?; rm $f") == "5\n");
    CHECK(queue.pop() == bytes_of(std::uint8_t{7}));
}

TEST_CASE("a signal that was ignored when the program started stays ignored") {
    queue_of queue("u8");
    queue.push(bytes_of(std::uint8_t{1}));
    const nameless_file out;
    started_tool tail({"tail", queue.name(), "--json", "--from", "waiting", "-n", "2"}, [&] {
        static_cast<void>(::signal(SIGHUP, SIG_IGN));
        ::dup2(out.descriptor(), STDOUT_FILENO);
    });
    while (out.content() != "1\n") ::poll(nullptr, 0, 10);
    tail.send(SIGHUP);
    ::poll(nullptr, 0, 50);  // for a program that does take it
    queue.push(bytes_of(std::uint8_t{2}));
    CHECK(tail.wait() == 0);
    CHECK(out.content() == "1\n2\n");
}

TEST_CASE("a signal ends the program also while its terminal takes nothing") {
    queue_of queue("u8[64]", 4096);
    for (int i = 0; i < 4096; ++i) queue.push(message(64));
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(master >= 0);
    REQUIRE(::grantpt(master) == 0);
    REQUIRE(::unlockpt(master) == 0);
    const std::string name = ::ptsname(master);
    const nameless_file err;
    started_tool peek({"peek", queue.name(), "--json", "-n", "4096"}, [&] {
        ::dup2(::open(name.c_str(), O_RDWR | O_NOCTTY), STDOUT_FILENO);
        ::dup2(err.descriptor(), STDERR_FILENO);
    });
    ::pollfd some{master, POLLIN, 0};
    REQUIRE(::poll(&some, 1, -1) == 1);
    peek.interrupt(SIGTERM);
    CHECK(peek.wait() == 0);
    CHECK(err.content() == "promisqs: interrupted; nobody reads the output, so the rest was not written\n");
    ::close(master);
}

TEST_CASE("a signal ends the program also while nobody reads its standard error") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == 0);
    const std::string some(4096, 'x');
    while (::write(ends[1], some.data(), some.size()) > 0) {}
    REQUIRE(::fcntl(ends[1], F_SETFL, 0) == 0);
    started_tool show({"show", "promisqs-test-there-is-none"}, [&] { ::dup2(ends[1], STDERR_FILENO); });
    show.interrupt(SIGTERM);
    CHECK(show.wait() == 3);
    for (const int end : ends) ::close(end);
}
