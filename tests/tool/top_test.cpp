// SPDX-License-Identifier: Apache-2.0

// `promisqs top`, in a real terminal and into a file.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "tool/run_tool.hpp"
#include "tool/terminal.hpp"

#include <promisqs/queue.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using promisqs_test::child;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using promisqs_test::terminal;
using queue = promisqs::shmem_queue<std::uint64_t>;

namespace {

// Stays in the middle of a pop.
const promisqs_test::role hanging_consumer("hanging_consumer", [](const promisqs_test::arguments& args) {
    auto q = queue::open(args[0]);
    static_cast<void>(q.pop_with([&](std::uint64_t) {
        signal_pipe::send(std::stoi(args[1]));
        for (;;) ::pause();
    }));
    return 0;
});

std::size_t columns_of(std::string_view line) {
    return static_cast<std::size_t>(std::count_if(
        line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

bool has(std::string_view text, std::string_view what) { return text.find(what) != std::string_view::npos; }

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream in(line);
    return {std::istream_iterator<std::string>(in), {}};
}

// top in a terminal, with a shell below it that says how it ended, and how the terminal was set before and after.
class top_in_terminal {
public:
    explicit top_in_terminal(const std::string& arguments) : arguments_(arguments) { start(); }

    [[nodiscard]] const terminal& screen() const noexcept { return screen_; }
    [[nodiscard]] ::pid_t pid() const { return static_cast<::pid_t>(std::stol(screen_.content("pid"))); }

    // Whether all is as it was; what the shell showed before, too.
    void check_given_back(int exit) const {
        REQUIRE(screen_.becomes([&] { return has(screen_.content("exit"), "\n"); }));
        REQUIRE(screen_.becomes([&] { return has(screen_.content("after"), "\n"); }));
        CHECK(screen_.content("exit") == std::to_string(exit) + "\n");
        CHECK(screen_.content("before") == screen_.content("after"));
        CHECK(screen_.becomes([&] { return screen_.is_given_back(); }));
        CHECK(screen_.shows("what was there"));
        CHECK_FALSE(has(screen_.text(), "SIZE/CAPACITY"));
    }

private:
    // The shell that it stands for writes its process id.
    void start() const {
        screen_.type("echo what was \"there\"; stty -g > " + screen_.path("before") + "; sh -c \"echo \\$\\$ > " +
                     screen_.path("pid") + "; exec " + PROMISQS_TOOL + " top --interval 0.1 " + arguments_ +
                     "\"; echo $? > " + screen_.path("exit") + "; stty -g > " + screen_.path("after"));
        if (!screen_.shows("SIZE/CAPACITY")) throw std::runtime_error("top shows nothing:\n" + screen_.text());
    }

    std::string arguments_;
    terminal screen_;
};

}  // namespace

TEST_CASE("top prints a table each interval where there is no terminal, with rates") {
    const scoped_name name("top-pipe");
    auto q = queue::create(name, 100);
    running_tool top({"top", name.str(), "--interval", "0.1", "-n", "200"});
    const bool shown = top.wait_for_output([&](const std::string& out) {
        for (std::uint64_t i = 0; i < 10; ++i) static_cast<void>(q.push(i) && q.pop());
        if (q.stats().size == 0) static_cast<void>(q.push(7));
        std::istringstream all(out);
        for (std::string line; std::getline(all, line);) {
            const auto words = words_of(line);
            if (words.size() > 3 && words[0].starts_with("promisqs-test-") && words[1] != "-" && words[1] != "0") {
                return true;
            }
        }
        return false;
    });
    CHECK(shown);
    CHECK(has(top.out(), "IN/S"));
    CHECK(top.wait_for_output([](const std::string& out) { return has(out, "1/100"); }));
    CHECK(has(top.out(), "1/1"));
    CHECK_FALSE(has(top.out(), "\x1b"));
    top.signal(SIGINT);
    CHECK(top.wait().exit == 0);
}

TEST_CASE("top tells what is dangerous in a name, and does not print it") {
    const scoped_name name("top-\x1b[2J-name");
    const auto q = queue::create(name, 4);
    const auto result = run_tool({"top", name.str(), "--interval", "0.05", "-n", "1"});
    CHECK(result.exit == 0);
    CHECK_FALSE(has(result.out, "\x1b"));
}

TEST_CASE("top says that a queue is not there, and waits for it") {
    const scoped_name name("top-later");
    running_tool top({"top", name.str(), "--interval", "0.05"});
    CHECK(top.wait_for_output([](const std::string& out) { return has(out, "no such"); }));
    const auto q = queue::create(name, 4);
    CHECK(top.wait_for_output([](const std::string& out) { return has(out, "0/4"); }));
    top.signal(SIGTERM);
    CHECK(top.wait().exit == 0);
}

TEST_CASE("top says which participant has held a message for long, and who waits for it") {
    const scoped_name name("top-hangs");
    auto q = queue::create(name, 2);
    REQUIRE(q.push(1));
    const signal_pipe holds;
    const child consumer("hanging_consumer", {name.str(), holds.writer()});
    holds.wait();
    const std::string who =
        ": process " + std::to_string(consumer.pid()) + " (exe)";  // it was started by /proc/self/exe
    running_tool top({"top", name.str(), "--interval", "0.1"});
    CHECK(top.wait_for_output([&](const std::string& out) { return has(out, who); }));
    CHECK(has(top.out(), "in pop 0 for "));
    REQUIRE(q.push(2));
    CHECK(q.try_push(3) == promisqs::status::would_block);
    ::kill(consumer.pid(), SIGSTOP);
    CHECK(top.wait_for_output([&](const std::string& out) {
        const std::size_t at = out.find("producers wait ");
        return at != std::string::npos && has(out.substr(at), "for pop 0" + who + ", stopped");
    }));
}

TEST_CASE("top in a terminal fills its width, follows its size, and wraps no line") {
    SKIP_UNLESS(terminal::is_possible(), "tmux is not installed");
    const scoped_name name("top-size");
    auto q = queue::create(name, 100);
    for (std::uint64_t i = 0; i < 50; ++i) REQUIRE(q.push(i));
    const top_in_terminal top(name.str());
    const terminal& screen = top.screen();

    for (const auto& [columns, rows] : {std::pair{80U, 24U}, std::pair{60U, 20U}, std::pair{120U, 30U}, {20U, 5U}}) {
        screen.resize(columns, rows);
        const auto fits = [&, width = columns, height = rows] {
            const auto lines = screen.lines();
            return lines.size() == height && lines[0].starts_with("promisqs: 1 queue") &&
                   columns_of(lines[0]) <= width && lines[1].starts_with("NAME") && columns_of(lines[1]) == width &&
                   lines[2].starts_with("promisqs") && lines[3].empty() && lines[height - 1].starts_with("q ends");
        };
        CHECK(screen.becomes(fits));
        if (columns >= 60) CHECK(has(screen.lines()[2], " 50/100 "));
    }
    screen.press("q");
    top.check_given_back(0);
}

TEST_CASE("top shows queues that appear, and forgets those that go") {
    SKIP_UNLESS(terminal::is_possible(), "tmux is not installed");
    const scoped_name name("top-new");
    const top_in_terminal top("");
    top.screen().resize(120, 400);  // room for all queues of this machine, and for their names
    const auto is_shown = [&] { return has(top.screen().text(), name.str()); };
    CHECK_FALSE(is_shown());
    std::optional<queue> q(queue::create(name, 3));
    CHECK(top.screen().becomes(is_shown));
    q.reset();
    CHECK(top.screen().becomes([&] { return !is_shown(); }));
    top.screen().press("q");
    top.check_given_back(0);
}

TEST_CASE("top's keys sort, help and end") {
    SKIP_UNLESS(terminal::is_possible(), "tmux is not installed");
    const scoped_name full("top-a");
    const scoped_name fuller("top-b");
    auto some = queue::create(full, 10);
    auto more = queue::create(fuller, 10);
    REQUIRE(more.push(1));
    const top_in_terminal top(full.str() + " " + fuller.str());
    const terminal& screen = top.screen();
    const auto first_is = [&](std::string_view what) {
        return screen.becomes([&] { return has(screen.lines()[2], what); });
    };
    CHECK(first_is(" 0/10 "));
    for (int i = 0; i < 3; ++i) screen.press("s");
    CHECK(screen.shows("now: depth"));
    CHECK(first_is(" 1/10 "));
    screen.press("?");
    CHECK(screen.shows("PROD/CONS     threads that push"));
    screen.press("x");
    CHECK(first_is(" 1/10 "));
    for (const std::string key : {"j", "Down", "Up", "k", "PageDown", "PageUp"}) screen.press(key);
    CHECK(first_is(" 1/10 "));
    screen.press("q");
    top.check_given_back(0);
}

TEST_CASE("top gives the terminal back when a signal ends it") {
    SKIP_UNLESS(terminal::is_possible(), "tmux is not installed");
    const scoped_name name("top-ends");
    const auto q = queue::create(name, 4);
    SECTION("SIGINT, by Ctrl-C") {
        const top_in_terminal top(name.str());
        top.screen().press("C-c");
        top.check_given_back(0);
    }
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        DYNAMIC_SECTION("signal " << signal) {
            const top_in_terminal top(name.str());
            ::kill(top.pid(), signal);
            top.check_given_back(0);
        }
    }
    for (const int signal : {SIGQUIT, SIGABRT, SIGSEGV}) {
        DYNAMIC_SECTION("fatal signal " << signal) {
            const top_in_terminal top(name.str());
            ::kill(top.pid(), signal);
            top.check_given_back(128 + signal);
        }
    }
}

TEST_CASE("top gives the terminal back while it is stopped, and takes it again") {
    SKIP_UNLESS(terminal::is_possible(), "tmux is not installed");
    const scoped_name name("top-stops");
    const auto q = queue::create(name, 4);
    const top_in_terminal top(name.str());
    const terminal& screen = top.screen();
    for (int i = 0; i < 2; ++i) {
        screen.press("C-z");
        CHECK(screen.becomes([&] { return screen.is_given_back(); }));
        screen.type("stty -g > " + screen.path("stopped"));
        CHECK(screen.becomes([&] { return screen.content("stopped") == screen.content("before"); }));
        screen.type("rm " + screen.path("stopped") + "; fg");
        CHECK(screen.becomes([&] { return !screen.is_given_back(); }));
        CHECK(screen.shows("SIZE/CAPACITY"));
    }
    screen.press("q");
    CHECK(screen.becomes([&] { return screen.is_given_back(); }));
}
