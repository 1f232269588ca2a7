// SPDX-License-Identifier: Apache-2.0

// `promisqs record --drain`: what becomes of messages when it is killed, interrupted, or can't write.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "tool/numbered.hpp"
#include "tool/readiness.hpp"
#include "tool/recordings.hpp"

#include <promisqs/queue.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace promisqs_test;
using ending = promisqs_tool::recording_reader::ending;

namespace {

// A pipe with a name, which this process reads.
class reading_end {
public:
    explicit reading_end(const std::string& path) {
        if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("no pipe");
        descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    }
    reading_end(const reading_end&) = delete;
    reading_end& operator=(const reading_end&) = delete;
    ~reading_end() { close(); }

    [[nodiscard]] bool has_something() const {
        ::pollfd look{descriptor_, POLLIN, 0};
        return ::poll(&look, 1, 0) == 1 && (look.revents & POLLIN) != 0;
    }
    [[nodiscard]] std::string read_all() const {
        std::string all;
        std::array<char, 65536> some{};
        for (;;) {
            const auto size = ::read(descriptor_, some.data(), some.size());
            if (size <= 0) return all;
            all.append(some.data(), static_cast<std::size_t>(size));
        }
    }
    void close() {
        if (descriptor_ >= 0) ::close(descriptor_);
        descriptor_ = -1;
    }

private:
    int descriptor_;
};

}  // namespace

TEST_CASE("a killed drain leaves a readable file, and loses no more than one batch") {
    constexpr std::uint64_t count = 1'000'000;
    constexpr std::uint64_t batch = 64;
    const scoped_name name("recording-kill");
    const scoped_path path("recording-kill");
    numbered_queue q = numbered_queue::create(name, 1024);
    const promisqs_test::signal_pipe go_on;  // the drain is not to come to the end before the signal
    promisqs_test::child pusher("recording-producer", {name.str(), std::to_string(count), "200000", go_on.reader()});
    running_tool record({"record", name.str(), path.str(), "--drain", "--batch", std::to_string(batch)});
    REQUIRE(wait_until([&] { return path.size() > 1'000'000; }));
    record.signal(SIGKILL);
    CHECK(record.wait().exit == -SIGKILL);
    go_on.send();
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::cut_short);
    CHECK(are_numbered(found));
    std::vector<bool> seen(count);
    for (const auto& one : found.messages) seen[value_of<numbered>(one.bytes).number] = true;
    while (const auto message = q.pop_wait()) seen[message->number] = true;
    CHECK(pusher.wait() == 0);
    CHECK(std::count(seen.begin(), seen.end(), false) <= static_cast<std::ptrdiff_t>(batch));
}

TEST_CASE("a drain that is interrupted ends its file, and leaves the other messages") {
    constexpr std::uint64_t count = 1'000'000;
    const scoped_name name("recording-interrupted");
    const scoped_path path("recording-interrupted");
    numbered_queue q = numbered_queue::create(name, 1024);
    const promisqs_test::signal_pipe go_on;  // the drain is not to come to the end before the signal
    promisqs_test::child pusher("recording-producer", {name.str(), std::to_string(count), "200000", go_on.reader()});
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return path.size() > 100'000; }));
    record.signal(SIGINT);
    const tool_result result = record.wait();
    go_on.send();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "until it was interrupted"));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(are_numbered(found));
    std::uint64_t next = found.messages.size();
    while (const auto message = q.pop_wait()) REQUIRE(message->number == next++);
    CHECK(next == count);
    CHECK(pusher.wait() == 0);
}

TEST_CASE("a drain for which a file gets too large takes no message that it can't write") {
    constexpr std::uint64_t count = 20'000;
    const scoped_name name("recording-full");
    const scoped_path path("recording-full");
    numbered_queue q = numbered_queue::create(name, count);
    push_numbers(q, count);
    q.close();
    const tool_result result = [&] {
        const file_size_limit limit(200'000);
        return run_tool({"record", name.str(), path.str(), "--drain"});
    }();
    CHECK(result.exit == 5);
    CHECK(has(result.err, path.str()));
    CHECK(has(result.err, "File too large"));
    CHECK(has(result.err, "in the queue"));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.messages.size() > 4096);
    CHECK(are_numbered(found));
    CHECK(numbers_in(q) == numbers_between(found.messages.size(), count));
}

TEST_CASE("a drain whose reader has gone puts back what it could not write") {
    const scoped_name name("recording-pipe");
    const scoped_path path("recording-pipe");
    numbered_queue q = numbered_queue::create(name, 16);
    reading_end pipe(path.str());
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return pipe.has_something(); }));
    pipe.close();
    push_numbers(q, 1);
    const tool_result result = record.wait();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "recorded 0 messages; of 1 more that had been popped, 1 are in the queue again"));
    CHECK(numbers_in(q) == numbers_between(0, 1));
}

TEST_CASE("a drain whose reader does not read can be interrupted, and loses nothing") {
    constexpr std::uint64_t count = 20'000;
    const scoped_name name("recording-stuck");
    const scoped_path path("recording-stuck");
    const scoped_path copy("recording-stuck-copy");
    numbered_queue q = numbered_queue::create(name, count);
    push_numbers(q, count);
    reading_end pipe(path.str());
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return q.size() < count; }));
    record.signal(SIGINT);
    const tool_result result = record.wait();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "and 0 are lost"));
    copy.write(pipe.read_all());
    const auto found = read_recording(copy.str());
    CHECK(found.ending == ending::cut_short);
    auto all = numbers_in(q);
    for (const auto& one : found.messages) all.push_back(value_of<numbered>(one.bytes).number);
    std::sort(all.begin(), all.end());
    CHECK(all == numbers_between(0, count));
}

TEST_CASE("a drain that can't put messages back says that they are lost") {
    const scoped_name name("recording-lost");
    const scoped_path path("recording-lost");
    numbered_queue q = numbered_queue::create(name, 16, {.single_producer = true});
    reading_end pipe(path.str());
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return pipe.has_something(); }));
    pipe.close();
    push_numbers(q, 1);
    const tool_result result = record.wait();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "0 are in the queue again, behind the others, and 1 are lost"));
}

TEST_CASE("messages that are larger than a batch are drained one by one") {
    struct large {
        std::array<std::uint64_t, 20'000> words;
    };
    const scoped_name name("recording-large");
    const scoped_path path("recording-large");
    auto q = promisqs::shmem_queue<large>::create(name, 3);
    auto message = std::make_unique<large>();
    for (std::uint64_t i = 0; i < 3; ++i) {
        message->words.fill(i);
        REQUIRE(q.push(*message));
    }
    CHECK(run_tool({"record", name.str(), path.str(), "--drain", "-n", "3"}).exit == 0);
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    REQUIRE(found.messages.size() == 3);
    CHECK(found.messages[2].bytes == bytes_of(*message));
}

namespace {

// A queue that was to go with its last user, who was killed.
void leave_abandoned(const scoped_name& name, std::uint64_t count) {
    const auto pid = forked([&] {
        numbered_queue q = numbered_queue::create(name, count);
        push_numbers(q, count);
        ::_exit(0);
        return 0;
    });
    REQUIRE(promisqs_test::wait_for(pid) == 0);
}

}  // namespace

TEST_CASE("a drain of a queue that nobody uses leaves it with what it did not take") {
    const scoped_name name("recording-abandoned");
    const scoped_path path("recording-abandoned");
    leave_abandoned(name, 3);
    path.write("precious");
    CHECK(run_tool({"record", name.str(), path.str(), "--drain"}).exit == 2);
    CHECK(path.content() == "precious");
    REQUIRE(name.exists());
    CHECK(run_tool({"record", name.str(), path.str(), "--drain", "-n", "1", "--force"}).exit == 0);
    REQUIRE(name.exists());
    numbered_queue q = numbered_queue::open(name);
    CHECK(numbers_in(q) == numbers_between(1, 3));
}

TEST_CASE("a drain to a file on standard output takes no message for which there is no room") {
    constexpr std::uint64_t count = 20'000;
    const scoped_name name("recording-redirected");
    const scoped_path path("recording-redirected");
    numbered_queue q = numbered_queue::create(name, count, {.single_producer = true});
    push_numbers(q, count);
    q.close();
    const auto pid = forked([&] {
        const file_size_limit limit(200'000);
        const int file = ::open(path.str().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ::dup2(file, STDOUT_FILENO);
        ::execl(PROMISQS_TOOL, PROMISQS_TOOL, "record", name.str().c_str(), "-", "--drain", nullptr);
        return 127;
    });
    CHECK(promisqs_test::wait_for(pid) == 5);
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.messages.size() > 4096);
    CHECK(are_numbered(found));
    CHECK(numbers_in(q) == numbers_between(found.messages.size(), count));
}

TEST_CASE("a drain whose reader has gone before the end says so") {
    const scoped_name name("recording-unread");
    const scoped_path path("recording-unread");
    numbered_queue q = numbered_queue::create(name, 16);
    push_numbers(q, 10);
    reading_end pipe(path.str());
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return q.empty() && pipe.has_something(); }));
    record.signal(SIGSTOP);
    pipe.close();
    record.signal(SIGINT);
    record.signal(SIGCONT);
    const tool_result result = record.wait();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "has gone"));
}

TEST_CASE("a drain into a pipe without a reader can be interrupted, and takes nothing") {
    const scoped_name name("recording-readerless");
    const scoped_path path("recording-readerless");
    numbered_queue q = numbered_queue::create(name, 16);
    push_numbers(q, 10);
    REQUIRE(::mkfifo(path.str().c_str(), 0600) == 0);
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(comes_to_handle_signals(record.pid()));
    record.signal(SIGINT);
    const tool_result result = record.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.err, "interrupted"));
    CHECK(numbers_in(q) == numbers_between(0, 10));
}

TEST_CASE("a poison message that a drain drops is shown") {
    const scoped_name name("recording-poison");
    const scoped_path path("recording-poison");
    numbered_queue q = numbered_queue::create(name, 16, {.max_deaths = 1});
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return path.size() > 0; }));
    push_numbers(q, 1);
    REQUIRE(wait_until([&] { return q.empty(); }));
    record.signal(SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(record.pid(), &status, WUNTRACED) == record.pid());
    REQUIRE(q.push(numbered{}));
    const auto victim = forked([&] {
        q.pop_with([](const numbered&) { ::kill(::getpid(), SIGKILL); });
        return 0;
    });
    REQUIRE(promisqs_test::wait_for(victim) == -SIGKILL);
    record.signal(SIGCONT);
    CHECK(wait_until([&] { return has(record.err(), "consumers have died with it"); }));
    record.signal(SIGINT);
    CHECK(record.wait().exit == 0);
}
