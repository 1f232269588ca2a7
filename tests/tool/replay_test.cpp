// SPDX-License-Identifier: Apache-2.0

// `promisqs replay`: recordings that the tests make, into queues that they look at.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "tool/recordings.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using promisqs_test::make_recording;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;
using promisqs_test::scoped_path;
using promisqs_test::tool_result;
using namespace std::chrono_literals;

namespace {

using queue = promisqs::shmem_queue<std::uint64_t>;
using numbers = std::vector<std::uint64_t>;

constexpr std::uint64_t millisecond = 1'000'000;

numbers numbers_in(queue& q) {
    numbers found;
    while (const auto message = q.pop()) found.push_back(*message);
    return found;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// Four messages at 10, 30, 60 and 60 ms; the end at 70 ms.
const numbers four{11, 12, 13, 14};
void make_four(const scoped_path& path) {
    make_recording(path.str(), four, {10 * millisecond, 30 * millisecond, 60 * millisecond, 60 * millisecond},
                   70 * millisecond);
}

// How long it takes.
std::chrono::nanoseconds time_of(const promisqs_test::arguments& args) {
    const auto before = std::chrono::steady_clock::now();
    CHECK(run_tool(args).exit == 0);
    return std::chrono::steady_clock::now() - before;
}

}  // namespace

TEST_CASE("messages are replayed at the recorded pace, from the first one on, or at another") {
    const scoped_name name("replay-pace");
    const scoped_path path("replay-pace");
    make_four(path);
    queue q = queue::create(name, 64);
    CHECK(time_of({"replay", path.str(), name.str()}) >= 50ms);
    CHECK(numbers_in(q) == four);
    CHECK(time_of({"replay", path.str(), name.str(), "--speed", "0.5"}) >= 100ms);
    CHECK(numbers_in(q) == four);
    CHECK(time_of({"replay", path.str(), name.str(), "--speed", "2"}) >= 25ms);
    CHECK(numbers_in(q) == four);
    CHECK(run_tool({"replay", path.str(), name.str(), "--speed", "max"}).exit == 0);
    CHECK(numbers_in(q) == four);
}

TEST_CASE("each message is pushed when it is due, and not before") {
    const scoped_name name("replay-due");
    const scoped_path path("replay-due");
    make_four(path);
    queue q = queue::create(name, 64);
    const auto before = std::chrono::steady_clock::now();
    running_tool replay({"replay", path.str(), name.str()});
    std::vector<std::chrono::nanoseconds> since;
    for (const std::uint64_t expected : four) {
        CHECK(q.pop_wait() == expected);
        since.push_back(std::chrono::steady_clock::now() - before);
    }
    CHECK(since[1] >= 20ms);
    CHECK(since[2] >= 50ms);
    CHECK(replay.wait().exit == 0);
}

TEST_CASE("a recording is replayed several times, each as long as it took to record") {
    const scoped_name name("replay-loop");
    const scoped_path path("replay-loop");
    make_four(path);
    queue q = queue::create(name, 64);
    CHECK(time_of({"replay", path.str(), name.str(), "--times", "3"}) >= 60ms + 60ms + 50ms);
    numbers expected = four;
    for (int i = 0; i < 2; ++i) expected.insert(expected.end(), four.begin(), four.end());
    CHECK(numbers_in(q) == expected);
}

TEST_CASE("a replay without end goes on until it is interrupted") {
    const scoped_name name("replay-endless");
    const scoped_path path("replay-endless");
    make_four(path);
    queue q = queue::create(name, 64);
    running_tool replay({"replay", path.str(), name.str(), "--loop", "--speed", "max"});
    for (int i = 0; i < 1000; ++i) REQUIRE(q.pop_wait() == four[static_cast<std::size_t>(i) % four.size()]);
    replay.signal(SIGINT);
    const tool_result result = replay.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "until it was interrupted"));
}

TEST_CASE("a replay that waits for the next message can be interrupted") {
    const scoped_name name("replay-interrupted");
    const scoped_path path("replay-interrupted");
    make_recording(path.str(), four, {0, 1, 3'600'000 * millisecond, 3'600'001 * millisecond}, 3'600'002 * millisecond);
    queue q = queue::create(name, 64);
    running_tool replay({"replay", path.str(), name.str()});
    CHECK(q.pop_wait() == four[0]);
    CHECK(q.pop_wait() == four[1]);
    replay.signal(SIGINT);
    const tool_result result = replay.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "replayed 2 messages"));
}

TEST_CASE("a replay into a full queue waits, and says how late it ran") {
    const scoped_name name("replay-full");
    const scoped_path path("replay-full");
    numbers many;
    for (std::uint64_t i = 0; i < 1000; ++i) many.push_back(i);
    make_recording(path.str(), many, std::vector<std::uint64_t>(many.size()), 1);
    queue q = queue::create(name, 4);
    running_tool replay({"replay", path.str(), name.str()});
    for (const std::uint64_t expected : many) REQUIRE(q.pop_wait() == expected);
    const tool_result result = replay.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, " late"));
}

TEST_CASE("a replay for which there is no room can be interrupted") {
    const scoped_name name("replay-stuck");
    const scoped_path path("replay-stuck");
    make_four(path);
    queue q = queue::create(name, 2);
    running_tool replay({"replay", path.str(), name.str(), "--speed", "max"});
    while (!q.full()) std::this_thread::yield();
    replay.signal(SIGINT);
    const tool_result result = replay.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "replayed 2 messages"));
    CHECK(numbers_in(q) == numbers{11, 12});
}

TEST_CASE("a part of a recording is replayed") {
    const scoped_name name("replay-part");
    const scoped_path path("replay-part");
    make_four(path);
    queue q = queue::create(name, 64);
    CHECK(run_tool({"replay", path.str(), name.str(), "--from", "1", "-n", "2"}).exit == 0);
    CHECK(numbers_in(q) == numbers{12, 13});
    CHECK(run_tool({"replay", path.str(), name.str(), "--speed", "max", "--from", "1", "-n", "2"}).exit == 0);
    CHECK(numbers_in(q) == numbers{12, 13});
    CHECK(run_tool({"replay", path.str(), name.str(), "--loop", "--from", "100"}).exit == 0);
    CHECK(numbers_in(q).empty());
}

TEST_CASE("a queue of another type is refused, and both types are shown") {
    const scoped_name name("replay-type");
    const scoped_path path("replay-type");
    make_four(path);
    auto q = promisqs::shmem_queue<std::int64_t>::create(name, 8);
    const tool_result result = run_tool({"replay", path.str(), name.str()});
    CHECK(result.exit == 2);
    CHECK(has(result.err, "expected u64 of 8 bytes"));
    CHECK(has(result.err, "found i64 of 8 bytes"));
    CHECK(q.empty());
}

TEST_CASE("a queue is made for a recording if that is asked for") {
    const scoped_name name("replay-create");
    const scoped_path path("replay-create");
    make_four(path);
    CHECK(run_tool({"replay", path.str(), name.str()}).exit == 3);
    CHECK_FALSE(name.exists());
    CHECK(run_tool({"replay", path.str(), name.str(), "--create", "--capacity", "5", "--speed", "max"}).exit == 0);
    queue q = queue::open(name);
    CHECK(q.capacity() == 5);
    CHECK(numbers_in(q) == four);
    CHECK(run_tool({"replay", path.str(), name.str(), "--create", "--speed", "max"}).exit == 0);  // it is there
    CHECK(numbers_in(q) == four);
}

TEST_CASE("a closed queue ends a replay") {
    const scoped_name name("replay-closed");
    const scoped_path path("replay-closed");
    make_four(path);
    queue q = queue::create(name, 8);
    q.close();
    const tool_result result = run_tool({"replay", path.str(), name.str()});
    CHECK(result.exit == 1);
    CHECK(has(result.err, "closed"));
}

TEST_CASE("a recording that is cut short is replayed as far as it goes, unless whole ones are wanted") {
    const scoped_name name("replay-cut");
    const scoped_path path("replay-cut");
    make_four(path);
    const std::string whole = path.content();
    path.write(whole.substr(0, whole.size() - 1));  // the end is missing
    queue q = queue::create(name, 64);
    const tool_result result = run_tool({"replay", path.str(), name.str()});
    CHECK(result.exit == 0);
    CHECK(has(result.err, "cut short"));
    CHECK(numbers_in(q) == four);
    const tool_result strict = run_tool({"replay", path.str(), name.str(), "--strict"});
    CHECK(strict.exit == 5);
    CHECK(has(strict.err, "cut short"));
    CHECK(q.empty());
}

TEST_CASE("a damaged recording is replayed up to the damage, and that is an error") {
    const scoped_name name("replay-damaged");
    const scoped_path path("replay-damaged");
    make_four(path);
    std::string content = path.content();
    content.back() = 'x';  // in the last block, which is the end
    path.write(content);
    queue q = queue::create(name, 64);
    const tool_result result = run_tool({"replay", path.str(), name.str(), "--loop"});
    CHECK(result.exit == 5);
    CHECK(has(result.err, "damaged"));
    CHECK(numbers_in(q) == four);
}

TEST_CASE("what is no recording is refused") {
    const scoped_name name("replay-none");
    const scoped_path path("replay-none");
    const queue q = queue::create(name, 8);
    CHECK(run_tool({"replay", path.str(), name.str()}).exit == 2);  // there is no such file
    path.write("hello");
    CHECK(run_tool({"replay", path.str(), name.str()}).exit == 2);
    path.write("");
    CHECK(run_tool({"replay", path.str(), name.str()}).exit == 2);
    CHECK(run_tool({"replay", "-", name.str()}, "").exit == 2);
    CHECK(run_tool({"replay", "/", name.str()}).exit == 2);
}

TEST_CASE("a speed that is none is wrong use") {
    const scoped_name name("replay-speed");
    for (const char* const text : {"0", "-1", "nan", "inf", "1x", "fast", "1e300"}) {
        CAPTURE(text);
        CHECK(run_tool({"replay", "file", name.str(), "--speed", text}).exit == 2);
    }
}

TEST_CASE("a pipe is replayed once") {
    const scoped_name name("replay-pipe");
    const scoped_path path("replay-pipe");
    make_four(path);
    queue q = queue::create(name, 64);
    running_tool loop({"replay", "-", name.str(), "--loop"}, path.content(), true);
    CHECK(loop.wait().exit == 2);
    CHECK(q.empty());
    running_tool waiting({"replay", "-", name.str()}, path.content().substr(0, path.content().size() - 10), true);
    for (const std::uint64_t expected : four) CHECK(q.pop_wait() == expected);
    waiting.signal(SIGINT);  // while it waits for the end of the recording
    const tool_result result = waiting.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "replayed 4 messages"));
}

TEST_CASE("a replay never removes a queue that nobody uses, whether it pushes or refuses") {
    const scoped_name name("replay-abandoned");
    const scoped_path path("replay-abandoned");
    make_four(path);
    const bool is_of_this_type = GENERATE(true, false);
    const auto pid = promisqs_test::forked([&] {
        const auto q = promisqs::untyped_queue::create(name, 8, is_of_this_type ? "u64" : "u32");
        ::_exit(0);
        return 0;
    });
    REQUIRE(promisqs_test::wait_for(pid) == 0);
    const int exit = run_tool({"replay", path.str(), name.str(), "--speed", "max"}).exit;
    CHECK(exit == (is_of_this_type ? 0 : 2));
    REQUIRE(name.exists());
    auto q = promisqs::untyped_queue::open(name);
    CHECK(q.size() == (is_of_this_type ? 4 : 0));
}

TEST_CASE("a strict replay of a pipe is refused, as what was pushed can't be taken back") {
    const scoped_name name("replay-strict-pipe");
    const scoped_path path("replay-strict-pipe");
    make_four(path);
    queue q = queue::create(name, 8);
    running_tool replay({"replay", "-", name.str(), "--strict"}, path.content(), true);
    const tool_result result = replay.wait();
    CHECK(result.exit == 2);
    CHECK(has(result.err, "--strict"));
    CHECK(q.empty());
}

TEST_CASE("what stands behind the end of a recording is damage") {
    const scoped_name name("replay-more");
    const scoped_path path("replay-more");
    make_four(path);
    path.write(path.content() + "x");
    queue q = queue::create(name, 8);
    const tool_result strict = run_tool({"replay", path.str(), name.str(), "--strict", "--speed", "max"});
    CHECK(strict.exit == 5);
    CHECK(has(strict.err, "more than a recording"));
    CHECK(q.empty());
}

TEST_CASE("no queue is made of a recording whose schema does not describe its messages") {
    const scoped_name name("replay-lie");
    const scoped_path path("replay-lie");
    promisqs_tool::recording_facts facts = promisqs_test::facts_of<std::uint64_t>("recorded");
    const int lie = GENERATE(range(0, 4));
    if (lie == 0) facts.type.text = "{{{{";
    if (lie == 1) facts.type.text = "{a:u64@0 b:u64@8}:16:8";
    if (lie == 2) facts.type.fingerprint += 1;
    if (lie == 3) facts.type.name_fingerprint = 77;
    {
        promisqs_tool::output_file file(path.str(), true);
        promisqs_tool::recording_writer writer(file, facts, 1);
        writer.end(1);
        file.close();
    }
    const tool_result result = run_tool({"replay", path.str(), name.str(), "--create"});
    CHECK(result.exit == (lie == 3 ? 0 : 5));  // of a type without a name, the schema does not say which it had
    CHECK(name.exists() == (lie == 3));
}

TEST_CASE("a replay waits for a pipe's writer, and a signal ends that") {
    const scoped_name name("replay-fifo");
    const scoped_path path("replay-fifo");
    const scoped_path fifo("replay-fifo-pipe");
    make_four(path);
    queue q = queue::create(name, 8);
    REQUIRE(::mkfifo(fifo.str().c_str(), 0600) == 0);
    running_tool replay({"replay", fifo.str(), name.str(), "--speed", "max"});
    fifo.write(path.content());  // opens the pipe, and waits for the reader
    CHECK(replay.wait().exit == 0);
    CHECK(numbers_in(q) == four);
}
