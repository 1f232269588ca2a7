// SPDX-License-Identifier: Apache-2.0

// `promisqs pop` and `promisqs push` as participants: what they take and give, how they wait, how they end.

#include "support/catch.hpp"
#include "support/raw_object.hpp"
#include "tool/messages.hpp"
#include "tool/readiness.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/inspector.hpp>
#include <promisqs/options.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using promisqs_test::bytes_of;
using promisqs_test::forked;
using promisqs_test::message;
using promisqs_test::queue_of;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;

namespace {

message number(std::uint32_t value) { return bytes_of(value); }

void push_numbers(queue_of& to, std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t i = first; i <= last; ++i) to.push(number(i));
}

std::vector<std::uint32_t> numbers_in(const std::string& lines) {
    std::istringstream in(lines);
    std::vector<std::uint32_t> all;
    for (std::string line; std::getline(in, line) && !in.eof();) {  // whole lines
        all.push_back(static_cast<std::uint32_t>(std::stoul(line)));
    }
    return all;
}

std::multiset<std::uint32_t> numbers_left(queue_of& in) {
    std::multiset<std::uint32_t> all;
    std::uint32_t value = 0;
    while (in->pop(std::as_writable_bytes(std::span(&value, 1)))) all.insert(value);
    return all;
}

std::multiset<std::uint32_t> range(std::uint32_t first, std::uint32_t last) {
    std::multiset<std::uint32_t> all;
    for (std::uint32_t i = first; i <= last; ++i) all.insert(i);
    return all;
}

// Looks every 10 ms, for a minute at most.
template <class Condition>
bool comes_true(Condition holds) {
    for (int looks = 0; looks < 100 * 60; ++looks) {
        if (holds()) return true;
        ::poll(nullptr, 0, 10);
    }
    return holds();
}

/// Both ends of a pipe.
struct pipe_ends {
    int reader = -1;
    int writer = -1;

    pipe_ends() {
        std::array<int, 2> both{};
        if (::pipe2(both.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        reader = both[0];
        writer = both[1];
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        close(reader);
        close(writer);
    }
    static void close(int& end) {
        if (end >= 0) ::close(end);
        end = -1;
    }
    /// Until nothing more fits in.
    void fill() const {
        const int flags = ::fcntl(writer, F_GETFL);
        ::fcntl(writer, F_SETFL, flags | O_NONBLOCK);
        while (::write(writer, "x", 1) == 1) {}
        ::fcntl(writer, F_SETFL, flags);
    }
};

/// `promisqs ARGUMENTS`, with this standard output; its pid.
::pid_t start_writing_to(int descriptor, promisqs_test::arguments args) {
    return forked([&] {
        std::string program = PROMISQS_TOOL;
        std::vector<char*> raw{program.data()};
        for (auto& arg : args) raw.push_back(arg.data());
        raw.push_back(nullptr);
        ::dup2(descriptor, STDOUT_FILENO);
        ::execv(raw[0], raw.data());
        return 127;
    });
}

}  // namespace

TEST_CASE("pop takes one message, the oldest, unless it is told how many") {
    queue_of queue("u32");
    push_numbers(queue, 1, 5);
    const auto one = run_tool({"pop", queue.name()});
    CHECK(one.exit == 0);
    CHECK(one.out == "1\n");
    CHECK(one.err.empty());
    CHECK(run_tool({"pop", queue.name(), "-n", "2"}).out == "2\n3\n");
    CHECK(run_tool({"pop", queue.name(), "--all"}).out == "4\n5\n");
}

TEST_CASE("pop says when there is nothing to pop") {
    queue_of queue("u32");
    const auto empty = run_tool({"pop", queue.name()});
    CHECK(empty.exit == 1);
    CHECK(empty.out.empty());
    CHECK(empty.err.find("no message waits") != std::string::npos);
    const auto late = run_tool({"pop", queue.name(), "--timeout", "0.01"});
    CHECK(late.exit == 1);
    CHECK(late.err.find("the time is over") != std::string::npos);
    queue->close();
    const auto closed = run_tool({"pop", queue.name(), "--wait"});
    CHECK(closed.exit == 1);
    CHECK(closed.err.find("it is closed") != std::string::npos);
}

TEST_CASE("what is no queue has exit code 3, for pop and push") {
    const scoped_name name("none");
    CHECK(run_tool({"pop", name.str()}).exit == 3);
    CHECK(run_tool({"push", name.str()}, "1\n").exit == 3);
}

TEST_CASE("pop --wait takes what comes, as it comes, until the queue is closed") {
    queue_of queue("u32");
    running_tool pop({"pop", queue.name(), "--all", "--wait"});
    queue.push(number(1));
    CHECK(pop.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    queue.push(number(2));
    CHECK(pop.wait_for_output([](const std::string& out) { return out == "1\n2\n"; }));
    queue->close();
    CHECK(pop.wait().exit == 0);
}

TEST_CASE("a signal ends a pop that waits, and it says what it has done") {
    const int signal = GENERATE(SIGINT, SIGTERM);
    queue_of queue("u32");
    queue.push(number(1));
    running_tool pop({"pop", queue.name(), "--all", "--wait"});
    REQUIRE(pop.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    pop.signal(signal);
    const auto result = pop.wait();
    CHECK(result.exit == 0);
    CHECK(result.err.find("interrupted; popped 1") != std::string::npos);
}

TEST_CASE("a message that nobody reads goes back into the queue") {
    queue_of queue("u32");
    push_numbers(queue, 1, 3);
    pipe_ends broken;
    pipe_ends::close(broken.reader);
    CHECK(wait_for(start_writing_to(broken.writer, {"pop", queue.name(), "--all"})) == 0);
    CHECK(numbers_left(queue) == range(1, 3));
}

TEST_CASE("a message that a full disk does not take goes back into the queue") {
    queue_of queue("u32");
    push_numbers(queue, 1, 3);
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    CHECK(wait_for(start_writing_to(full, {"pop", queue.name(), "--all"})) == 5);
    ::close(full);
    CHECK(numbers_left(queue) == range(1, 3));
}

TEST_CASE("a signal ends a pop whose reader does not read, and its message goes back") {
    queue_of queue("u32");
    push_numbers(queue, 1, 3);
    pipe_ends stuck;
    stuck.fill();
    const ::pid_t pop = start_writing_to(stuck.writer, {"pop", queue.name(), "--all"});
    CHECK(comes_true([&] { return queue->size() == 2; }));  // it holds one
    ::kill(pop, SIGINT);
    CHECK(wait_for(pop) == 0);
    CHECK(numbers_left(queue) == range(1, 3));
}

TEST_CASE("a pop that is killed loses no message, and shows one of them twice at most") {
    constexpr std::uint32_t last = 20000;
    queue_of queue("u32", last);
    push_numbers(queue, 1, last);
    std::multiset<std::uint32_t> seen;
    std::size_t kills = 0;
    for (const std::size_t bytes : {1U, 3000U, 20000U, 7U}) {
        pipe_ends lines;
        ::fcntl(lines.writer, F_SETPIPE_SZ, 4096);
        const ::pid_t pop = start_writing_to(lines.writer, {"pop", queue.name(), "--all"});
        pipe_ends::close(lines.writer);
        std::string read(bytes, '\0');
        std::size_t size = 0;
        while (size < bytes) {
            const auto some = ::read(lines.reader, read.data() + size, bytes - size);
            REQUIRE(some > 0);
            size += static_cast<std::size_t>(some);
        }
        ::kill(pop, SIGKILL);
        if (wait_for(pop) == -SIGKILL) ++kills;
        std::array<char, 4096> rest{};
        for (::ssize_t some = 0; (some = ::read(lines.reader, rest.data(), rest.size())) > 0;) {
            read.append(rest.data(), static_cast<std::size_t>(some));
        }
        for (const std::uint32_t one : numbers_in(read)) seen.insert(one);
    }
    CHECK(kills == 4);  // there were always more than the pipe takes
    static_cast<void>(queue->recover());
    const auto left = numbers_left(queue);
    seen.insert(left.begin(), left.end());
    const std::set<std::uint32_t> different(seen.begin(), seen.end());
    CHECK(different.size() == last);
    CHECK(seen.size() - different.size() <= kills);
}

TEST_CASE("push reads a file, or standard input; a last line needs no end, and empty lines count for nothing") {
    queue_of queue("u32");
    CHECK(run_tool({"push", queue.name()}, "\n1\n\n  \r\n2\r\n3").exit == 0);
    CHECK(numbers_left(queue) == range(1, 3));
    const scoped_name file("lines");
    std::FILE* const made = std::fopen(file.path().c_str(), "w");
    REQUIRE(made != nullptr);
    std::fputs("4\n5\n", made);
    std::fclose(made);
    CHECK(run_tool({"push", queue.name(), file.path()}).exit == 0);
    CHECK(numbers_left(queue) == range(4, 5));
    CHECK(run_tool({"push", queue.name(), "/nowhere/at all"}).exit == 2);
    CHECK(run_tool({"push", queue.name()}, "").exit == 0);
}

TEST_CASE("push reads lines longer than its buffer") {
    queue_of queue("u32");
    const std::string spaces(std::size_t{1} << 20, ' ');
    CHECK(run_tool({"push", queue.name()}, "1\n" + spaces + "2\n3\n").exit == 0);
    CHECK(numbers_left(queue) == range(1, 3));
}

TEST_CASE("a line without end is refused, not read for ever") {
    queue_of queue("u32");
    const auto result = run_tool({"push", queue.name()}, "1\n" + std::string(std::size_t{1} << 26, ' '));
    CHECK(result.exit == 2);
    CHECK(result.err.find("line 2: expected less than 67108864 bytes, found more") != std::string::npos);
    CHECK(numbers_left(queue) == range(1, 1));
}

TEST_CASE("a line that does not fit ends a push: the lines before it are pushed, it and the others are not") {
    queue_of queue("u32");
    const auto result = run_tool({"push", queue.name()}, "1\n\n2\nthree\n4\n");
    CHECK(result.exit == 2);
    CHECK(result.err.find("line 4: ") != std::string::npos);
    CHECK(result.err.find("2 messages were pushed") != std::string::npos);
    CHECK(numbers_left(queue) == range(1, 2));
}

TEST_CASE("push --no-wait says when there is no room, and how many it has pushed") {
    queue_of queue("u32", 2);
    for (const std::vector<std::string>& how : {std::vector<std::string>{"--no-wait"}, {"--timeout", "0.01"}}) {
        promisqs_test::arguments args{"push", queue.name()};
        args.insert(args.end(), how.begin(), how.end());
        const auto result = run_tool(args, "1\n2\n3\n");
        CHECK(result.exit == 1);
        CHECK(result.err.find("has no room; 2 messages were pushed") != std::string::npos);
        CHECK(numbers_left(queue) == range(1, 2));
    }
}

TEST_CASE("push waits for room") {
    queue_of queue("u32", 1);
    running_tool push({"push", queue.name()}, "1\n2\n3\n");
    std::uint32_t value = 0;
    for (std::uint32_t expected = 1; expected <= 3; ++expected) {
        REQUIRE(queue->pop_wait(std::as_writable_bytes(std::span(&value, 1))) == promisqs::status::ok);
        CHECK(value == expected);
    }
    CHECK(push.wait().exit == 0);
}

TEST_CASE("push says when the queue is closed") {
    queue_of queue("u32");
    running_tool push({"push", queue.name()}, "1\n", true);
    REQUIRE(comes_true([&] { return queue->size() == 1; }));
    queue->close();
    push.send("2\n");
    const auto result = push.wait();
    CHECK(result.exit == 1);
    CHECK(result.err.find("is closed; 1 message was pushed") != std::string::npos);
}

TEST_CASE("push holds no line back until there are more") {
    queue_of queue("u32");
    running_tool push({"push", queue.name()}, {}, true);
    std::uint32_t value = 0;
    for (std::uint32_t expected = 1; expected <= 3; ++expected) {
        push.send(std::to_string(expected) + "\n1");  // and the beginning of the next one
        REQUIRE(queue->pop_wait(std::as_writable_bytes(std::span(&value, 1))) == promisqs::status::ok);
        CHECK(value % 10 == expected);
    }
    push.end_input();
    CHECK(push.wait().exit == 0);
    CHECK(numbers_left(queue) == range(1, 1));
}

TEST_CASE("a signal ends a push that waits for lines, and it says what it has done") {
    queue_of queue("u32");
    running_tool push({"push", queue.name()}, "1\n", true);
    REQUIRE(comes_true([&] { return queue->size() == 1; }));
    push.signal(SIGINT);
    const auto result = push.wait();
    CHECK(result.exit == 0);
    CHECK(result.err.find("interrupted; 1 message was pushed") != std::string::npos);
}

TEST_CASE("a signal ends a push that waits for room") {
    queue_of queue("u32", 1);
    running_tool push({"push", queue.name()}, "1\n2\n");
    REQUIRE(comes_true([&] { return queue->size() == 1; }));
    push.signal(SIGTERM);
    const auto result = push.wait();
    CHECK(result.exit == 0);
    CHECK(result.err.find("interrupted; 1 message was pushed") != std::string::npos);
    CHECK(numbers_left(queue) == range(1, 1));
}

TEST_CASE("a queue that nobody uses is there after a push and a pop, with all that is left in it") {
    const scoped_name name("abandoned");
    const ::pid_t creator = forked([&] {
        auto queue = promisqs::untyped_queue::create(name, 8, "u32");
        return queue.push(number(1)) && queue.push(number(2)) ? (::kill(::getpid(), SIGKILL), 0) : 1;
    });
    REQUIRE(wait_for(creator) == -SIGKILL);
    CHECK(run_tool({"pop", name.str()}).out == "1\n");
    CHECK(run_tool({"push", name.str()}, "3\n").exit == 0);
    CHECK(promisqs::inspector(name).look().state == promisqs::queue_state::abandoned);
    CHECK(run_tool({"pop", name.str(), "--all"}).out == "2\n3\n");
    CHECK(name.exists());
}

TEST_CASE("a poison message that a pop drops is shown") {
    const scoped_name name("poison");
    promisqs::options deadly;
    deadly.max_deaths = 1;
    auto queue = promisqs::untyped_queue::create(name, 8, "u32", deadly);
    running_tool pop({"pop", name.str(), "--all", "--wait"});
    REQUIRE(queue.push(number(1)));
    REQUIRE(pop.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    pop.signal(SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(pop.pid(), &status, WUNTRACED) == pop.pid());
    REQUIRE(queue.push(number(666)));
    const ::pid_t victim = forked([&] {
        queue.pop_with([](std::span<const std::byte>) { ::kill(::getpid(), SIGKILL); });
        return 0;
    });
    REQUIRE(wait_for(victim) == -SIGKILL);
    pop.signal(SIGCONT);
    CHECK(comes_true([&] { return pop.err().find("consumers have died with it: 666\n") != std::string::npos; }));
    pop.signal(SIGINT);
    CHECK(pop.wait().out == "1\n");
}

TEST_CASE("a pop that is the last to leave a queue leaves it with its messages, though others used it before") {
    const scoped_name name("last");
    auto queue = std::make_unique<promisqs::untyped_queue>(promisqs::untyped_queue::create(name, 8, "u32"));
    running_tool pop({"pop", name.str(), "--all", "--wait"});
    REQUIRE(queue->push(number(1)));
    REQUIRE(pop.wait_for_output([](const std::string& out) { return out == "1\n"; }));
    pop.signal(SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(pop.pid(), &status, WUNTRACED) == pop.pid());
    REQUIRE(queue->push(number(2)));
    queue.reset();
    REQUIRE(name.exists());
    pop.signal(SIGINT);
    pop.signal(SIGCONT);
    CHECK(pop.wait().exit == 0);
    REQUIRE(name.exists());
    CHECK_FALSE(promisqs::inspector(name).look().used);
}

TEST_CASE("two programs at once on a queue that nobody else uses leave it with all messages") {
    const scoped_name name("two-guests");
    const ::pid_t creator = forked([&] {
        auto queue = promisqs::untyped_queue::create(name, 8, "u32");
        return queue.push(number(1)) ? (::kill(::getpid(), SIGKILL), 0) : 1;
    });
    REQUIRE(wait_for(creator) == -SIGKILL);
    running_tool first({"push", name.str()}, "2\n", true);
    REQUIRE(comes_true([&] { return promisqs::inspector(name).stats().size == 2; }));
    running_tool second({"push", name.str()}, "3\n", true);
    REQUIRE(comes_true([&] { return promisqs::inspector(name).stats().size == 3; }));
    first.end_input();
    CHECK(first.wait().exit == 0);
    second.end_input();
    CHECK(second.wait().exit == 0);
    REQUIRE(name.exists());
    CHECK(run_tool({"pop", name.str(), "--all"}).out == "1\n2\n3\n");
    CHECK(name.exists());
}

TEST_CASE("a queue whose creator is stopped keeps no command waiting, and an interruption is no error") {
    const scoped_name name("stopped-creator");
    const promisqs_test::raw_object object(name.path());
    object.write(0, promisqs::detail::layout::unfinished_magic);
    const promisqs_test::raw_object creator(name.path());
    REQUIRE(creator.lock(promisqs::detail::layout::initialising_byte, promisqs::detail::os::lock_kind::exclusive));
    const std::string command = GENERATE("pop", "push", "close");
    CAPTURE(command);
    const auto late = run_tool({command, name.str()}, "");
    CHECK(late.exit == 5);
    CHECK(late.err.find("has not finished") != std::string::npos);
    // It waits for a second: the signal may come after that.
    promisqs_test::tool_result interrupted{};
    for (int attempts = 0; attempts != 10; ++attempts) {
        running_tool waiting({command, name.str()}, {}, true);
        REQUIRE(promisqs_test::comes_to_handle_signals(waiting.pid()));
        waiting.signal(SIGINT);
        interrupted = waiting.wait();
        if (interrupted.exit != late.exit) break;
    }
    CHECK(interrupted.exit == 0);
    CHECK(interrupted.err.find("interrupted") != std::string::npos);
}

TEST_CASE("a part of a line that a full disk has taken is cut off again") {
    queue_of queue("opaque:200:1");
    for (int i = 0; i < 3; ++i) queue.push(message(200, std::byte{7}));
    const scoped_name file("full");
    const int lines = ::open(file.path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(lines >= 0);
    REQUIRE(::pwrite(lines, "before\n", 7, 0) == 7);
    const bool appends = GENERATE(true, false);
    if (appends)
        ::fcntl(lines, F_SETFL, O_APPEND);
    else
        ::lseek(lines, 7, SEEK_SET);
    const ::pid_t pop = forked([&] {
        const ::rlimit few{1000, 1000};
        ::setrlimit(RLIMIT_FSIZE, &few);
        ::dup2(lines, STDOUT_FILENO);
        ::execl(PROMISQS_TOOL, PROMISQS_TOOL, "pop", queue.name().c_str(), "--all", nullptr);
        return 127;
    });
    CHECK(wait_for(pop) == 5);
    std::string found(2000, '\0');
    const auto size = ::pread(lines, found.data(), found.size(), 0);
    ::close(lines);
    REQUIRE(size > 7);
    CHECK(found.substr(0, 7) == "before\n");
    CHECK(found[static_cast<std::size_t>(size) - 1] == '\n');
    const auto popped = std::count(found.begin(), found.begin() + size, '\n') - 1;
    CHECK(queue->size() == 3 - static_cast<std::uint64_t>(popped));
    CHECK(popped < 3);
}

TEST_CASE("push waits for a pipe's writer, and a signal ends that") {
    queue_of queue("u32");
    const scoped_name file("fifo");
    REQUIRE(::mkfifo(file.path().c_str(), 0600) == 0);
    running_tool push({"push", queue.name(), file.path()});
    const int writer = ::open(file.path().c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(writer >= 0);
    CHECK(::write(writer, "1\n2\n", 4) == 4);
    ::close(writer);
    CHECK(push.wait().exit == 0);
    CHECK(numbers_left(queue) == range(1, 2));
    running_tool waiting({"push", queue.name(), file.path()});
    const int other = ::open(file.path().c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);  // a reader and a writer
    REQUIRE(::write(other, "3\n", 2) == 2);
    REQUIRE(comes_true([&] { return queue->size() == 1; }));
    waiting.signal(SIGINT);
    CHECK(waiting.wait().exit == 0);
    ::close(other);
}

TEST_CASE("a message that takes a long line is pushed, and a folder is no file of lines") {
    constexpr std::size_t size = 40'000'000;
    queue_of queue("opaque:" + std::to_string(size) + ":1", 1);
    queue.push(message(size, std::byte{0x5a}));
    const auto line = run_tool({"pop", queue.name()});
    REQUIRE(line.out.size() > 2 * size);
    CHECK(run_tool({"push", queue.name()}, line.out).exit == 0);
    CHECK(queue.pop() == message(size, std::byte{0x5a}));
    CHECK(run_tool({"push", queue.name(), "/tmp"}).exit == 2);
}

TEST_CASE("names may hold anything, and nothing of it reaches a terminal unescaped") {
    const scoped_name name("odd \x1b[31m \"gr\xc3\xbcn\" $(x) \n");
    const auto queue = promisqs::untyped_queue::create(name, 8, "u32");
    CHECK(run_tool({"push", name.str()}, "1\n2\n").exit == 0);
    CHECK(run_tool({"pop", name.str(), "-n", "2"}).out == "1\n2\n");
    const auto empty = run_tool({"pop", name.str()});
    CHECK(empty.exit == 1);
    CHECK(empty.err.find('\x1b') == std::string::npos);
    CHECK(run_tool({"pop", name.str() + "\x1b"}).err.find('\x1b') == std::string::npos);
}

TEST_CASE("pop and push ask for no more than one way at a time") {
    queue_of queue("u32");
    CHECK(run_tool({"pop", queue.name(), "-n", "2", "--all"}).exit == 2);
    CHECK(run_tool({"pop", queue.name(), "-n", "0"}).exit == 2);
    CHECK(run_tool({"pop", queue.name(), "--timeout", "-1"}).exit == 2);
    CHECK(run_tool({"push", queue.name(), "--no-wait", "--timeout", "1"}).exit == 2);
}
