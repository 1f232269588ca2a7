// SPDX-License-Identifier: Apache-2.0

// `promisqs record` and `promisqs replay`, with the processes that they meet: producers, consumers, kills, full disks.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "tool/recordings.hpp"

#include <promisqs/queue.hpp>

#if __has_include(<boost/describe/class.hpp>)
#include <boost/describe/class.hpp>
#endif

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using promisqs_test::arguments;
using promisqs_test::make_recording;
using promisqs_test::nameless_file;
using promisqs_test::read_recording;
using promisqs_test::recording_content;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;
using promisqs_test::scoped_path;
using promisqs_test::tool_result;
using promisqs_test::value_of;
using ending = promisqs_tool::recording_reader::ending;
using namespace std::chrono_literals;

namespace {

struct numbered {
    std::uint64_t number;
    std::uint64_t check;

    static numbered make(std::uint64_t number) { return {number, number * 0x9E37'79B9'7F4A'7C15U ^ number >> 7}; }
    friend bool operator==(const numbered&, const numbered&) = default;
};
using queue = promisqs::shmem_queue<numbered>;

struct quote {
    std::uint64_t id;
    double price;
    std::array<char, 6> symbol;
    bool is_firm;
};
#if __has_include(<boost/describe/class.hpp>)
BOOST_DESCRIBE_STRUCT(quote, (), (id, price, symbol, is_firm))
#endif

// Pushes the numbers from the second argument up to the third, and closes the queue if there is a fourth.
const promisqs_test::role producer("recording-producer", [](const arguments& args) {
    queue q = queue::open(args.at(0));
    for (std::uint64_t i = std::stoull(args.at(1)); i != std::stoull(args.at(2)); ++i) {
        if (q.push_wait(numbered::make(i)) != promisqs::status::ok) return 1;
    }
    if (args.size() > 3) q.close();
    return 0;
});

// Waits for something that another process does.
template <class Condition>
bool wait_until(Condition holds) {
    for (int looks = 0; looks < 1000 * 60 && !holds(); ++looks) ::poll(nullptr, 0, 1);
    return holds();
}

void push_numbers(queue& q, std::uint64_t count, std::uint64_t first = 0) {
    for (std::uint64_t i = first; i != first + count; ++i) REQUIRE(q.push(numbered::make(i)));
}

std::vector<std::uint64_t> numbers_in(queue& q) {
    std::vector<std::uint64_t> found;
    while (const auto message = q.pop()) found.push_back(message->number);
    return found;
}

// Whether they are whole, and numbered from that number on.
bool are_numbered(const recording_content& found, std::uint64_t first = 0) {
    for (const auto& one : found.messages) {
        if (value_of<numbered>(one.bytes) != numbered::make(first++)) return false;
    }
    return true;
}

std::vector<std::uint64_t> up_to(std::uint64_t count) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t i = 0; i != count; ++i) numbers.push_back(i);
    return numbers;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// A limit of the size of files, for programs that are started while it is there.
class file_size_limit {
public:
    explicit file_size_limit(std::uint64_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const ::rlimit wanted{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &wanted);
    }
    file_size_limit(const file_size_limit&) = delete;
    file_size_limit& operator=(const file_size_limit&) = delete;
    ~file_size_limit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

private:
    ::rlimit before_{};
};

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

template <>
struct promisqs::schema_name<quote> {
    static constexpr std::string_view name = "test.quote";
    static constexpr std::uint32_t version = 1;
};

TEST_CASE("ten million messages are recorded and replayed bit for bit") {
    constexpr std::uint64_t count = 10'000'000;
    const scoped_name from("recording-from");
    const scoped_name to("recording-to");
    const scoped_path path("recording-many");
    {
        const queue q = queue::create(from, 4096);
        promisqs_test::child pusher("recording-producer", {from.str(), "0", std::to_string(count), "close"});
        const auto recorded = run_tool({"record", from.str(), path.str(), "--drain"});
        CHECK(recorded.exit == 0);
        CHECK(has(recorded.out, "recorded 10000000 messages"));
        CHECK(pusher.wait() == 0);
    }
    queue q = queue::create(to, 4096);
    running_tool replay({"replay", path.str(), to.str(), "--speed", "max"});
    std::vector<numbered> room(1024);
    std::uint64_t next = 0;
    while (next < count) {
        const auto popped = q.pop_some_wait_for(std::span(room), 60s);
        REQUIRE(popped != 0);
        for (std::uint64_t i = 0; i < popped; ++i, ++next) {
            if (room[i] != numbered::make(next)) FAIL("message " << next << " differs");
        }
    }
    CHECK(replay.wait().exit == 0);
    CHECK(q.empty());
}

TEST_CASE("a recording shows what passes, and leaves it where it is") {
    const scoped_name name("recording-tap");
    const scoped_path path("recording-tap");
    auto q = promisqs::shmem_queue<quote>::create(name, 8);
    REQUIRE(q.push({1, 0.5, {'o', 'l', 'd'}, false}));
    running_tool record({"record", name.str(), path.str()});
    REQUIRE(wait_until([&] { return path.size() != 0; }));
    REQUIRE(q.push({2, 1.5, {'a', 'b'}, true}));
    REQUIRE(q.push({3, 2.5, {'c'}, false}));
    CHECK(q.size() == 3);
    while (q.pop()) {}
    q.close();
    const tool_result result = record.wait();
    CHECK(result.exit == 0);
    CHECK(has(result.out, "recorded 2 messages"));
    CHECK(has(result.out, "missed none"));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.facts.queue == name.str());
    CHECK(found.facts.type == promisqs::element_type_of<quote>());
    CHECK(found.facts.mode == promisqs_tool::recording_mode::tap);
    REQUIRE(found.messages.size() == 2);
    CHECK(found.messages[0].number == 1);
    CHECK(value_of<quote>(found.messages[1].bytes).price == 2.5);
    CHECK(found.messages[0].time <= found.messages[1].time);
    CHECK(found.messages[1].time <= found.end_time);
}

TEST_CASE("a recording can begin with what is in the queue") {
    const scoped_name name("recording-begin");
    const scoped_path path("recording-begin");
    queue q = queue::create(name, 8);
    push_numbers(q, 6);
    for (int i = 0; i < 2; ++i) REQUIRE(q.pop());
    CHECK(run_tool({"record", name.str(), path.str(), "--from", "left", "-n", "6"}).exit == 0);
    CHECK(read_recording(path.str()).messages.size() == 6);
    CHECK(run_tool({"record", name.str(), path.str(), "--from", "waiting", "-n", "4", "--force"}).exit == 0);
    const auto found = read_recording(path.str());
    CHECK(found.messages.size() == 4);
    CHECK(are_numbered(found, 2));
    CHECK(q.size() == 4);
}

TEST_CASE("a recording says which messages it has missed") {
    const scoped_name name("recording-missed");
    const scoped_path path("recording-missed");
    queue q = queue::create(name, 8);
    running_tool record({"record", name.str(), path.str()});
    REQUIRE(wait_until([&] { return path.size() != 0; }));
    record.signal(SIGSTOP);
    int status = 0;
    REQUIRE(::waitpid(record.pid(), &status, WUNTRACED) == record.pid());
    for (std::uint64_t i = 0; i < 100; ++i) {
        push_numbers(q, 1, i);
        REQUIRE(q.pop());
    }
    q.close();
    record.signal(SIGCONT);
    const tool_result result = record.wait();
    CHECK(result.exit == 0);
    const auto found = read_recording(path.str());
    REQUIRE(found.gaps.size() == 1);
    CHECK(found.gaps[0].first == 0);
    const std::uint64_t missed = found.gaps[0].second;
    CHECK(missed >= 92);
    CHECK(has(result.out, "missed " + std::to_string(missed)));
    CHECK(found.messages.size() == 100 - missed);
    CHECK(are_numbered(found, missed));
}

TEST_CASE("a killed drain leaves a readable file, and loses no more than one batch") {
    constexpr std::uint64_t count = 3'000'000;
    constexpr std::uint64_t batch = 64;
    const scoped_name name("recording-kill");
    const scoped_path path("recording-kill");
    queue q = queue::create(name, 1024);
    promisqs_test::child pusher("recording-producer", {name.str(), "0", std::to_string(count), "close"});
    running_tool record({"record", name.str(), path.str(), "--drain", "--batch", std::to_string(batch)});
    REQUIRE(wait_until([&] { return path.size() > 1'000'000; }));
    record.signal(SIGKILL);
    CHECK(record.wait().exit == -SIGKILL);
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
    constexpr std::uint64_t count = 3'000'000;
    const scoped_name name("recording-interrupted");
    const scoped_path path("recording-interrupted");
    queue q = queue::create(name, 1024);
    promisqs_test::child pusher("recording-producer", {name.str(), "0", std::to_string(count), "close"});
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return path.size() > 100'000; }));
    record.signal(SIGINT);
    const tool_result result = record.wait();
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

TEST_CASE("recordings of queues where nothing happens can be interrupted") {
    const scoped_name name("recording-idle");
    const scoped_path path("recording-idle");
    const queue q = queue::create(name, 8);
    const bool drains = GENERATE(false, true);
    arguments args{"record", name.str(), path.str()};
    if (drains) args.emplace_back("--drain");
    running_tool record(args);
    REQUIRE(wait_until([&] { return path.size() != 0; }));
    record.signal(GENERATE(SIGINT, SIGTERM));
    CHECK(record.wait().exit == 0);
    CHECK(read_recording(path.str()).ending == ending::complete);
}

TEST_CASE("a drain for which a file gets too large takes no message that it can't write") {
    constexpr std::uint64_t count = 20'000;
    const scoped_name name("recording-full");
    const scoped_path path("recording-full");
    queue q = queue::create(name, count);
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
    auto all = up_to(count);
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(found.messages.size()));
    CHECK(numbers_in(q) == all);
}

TEST_CASE("a tap for which a file gets too large ends the recording") {
    const scoped_name name("recording-full-tap");
    const scoped_path path("recording-full-tap");
    queue q = queue::create(name, 20'000);
    push_numbers(q, 20'000);
    q.close();
    const tool_result result = [&] {
        const file_size_limit limit(200'000);
        return run_tool({"record", name.str(), path.str(), "--from", "waiting"});
    }();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "File too large"));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.messages.size() > 4096);
    CHECK(are_numbered(found));
    CHECK(q.size() == 20'000);
}

TEST_CASE("a drain whose reader has gone puts back what it could not write") {
    const scoped_name name("recording-pipe");
    const scoped_path path("recording-pipe");
    queue q = queue::create(name, 16);
    reading_end pipe(path.str());
    running_tool record({"record", name.str(), path.str(), "--drain"});
    REQUIRE(wait_until([&] { return pipe.has_something(); }));
    pipe.close();
    push_numbers(q, 1);
    const tool_result result = record.wait();
    CHECK(result.exit == 5);
    CHECK(has(result.err, "recorded 0 messages; of 1 more that had been popped, 1 are in the queue again"));
    CHECK(numbers_in(q) == up_to(1));
}

TEST_CASE("a drain whose reader does not read can be interrupted, and loses nothing") {
    constexpr std::uint64_t count = 20'000;
    const scoped_name name("recording-stuck");
    const scoped_path path("recording-stuck");
    const scoped_path copy("recording-stuck-copy");
    queue q = queue::create(name, count);
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
    CHECK(all == up_to(count));
}

TEST_CASE("a file that is there is written over if that is asked for") {
    const scoped_name name("recording-force");
    const scoped_path path("recording-force");
    queue q = queue::create(name, 8);
    push_numbers(q, 3);
    path.write("precious");
    const tool_result refused = run_tool({"record", name.str(), path.str(), "--drain", "-n", "3"});
    CHECK(refused.exit == 2);
    CHECK(has(refused.err, "--force"));
    CHECK(path.content() == "precious");
    CHECK(q.size() == 3);
    CHECK(run_tool({"record", name.str(), path.str(), "--drain", "-n", "2", "--force"}).exit == 0);
    CHECK(read_recording(path.str()).messages.size() == 2);
    CHECK(numbers_in(q) == std::vector<std::uint64_t>{2});
}

TEST_CASE("a recording of a queue that is none leaves no file") {
    const scoped_name name("recording-none");
    const scoped_path path("recording-none");
    CHECK(run_tool({"record", name.str(), path.str()}).exit == 3);
    CHECK(run_tool({"record", name.str(), path.str(), "--drain"}).exit == 3);
    CHECK_FALSE(std::filesystem::exists(path.str()));
}

TEST_CASE("a recording ends when its time is over") {
    const scoped_name name("recording-time");
    const scoped_path path("recording-time");
    const queue q = queue::create(name, 8);
    const auto before = std::chrono::steady_clock::now();
    const tool_result result = run_tool({"record", name.str(), path.str(), "--for", "0.05"});
    CHECK(std::chrono::steady_clock::now() - before >= 50ms);
    CHECK(result.exit == 0);
    CHECK(has(result.out, "until its time was over"));
    CHECK(read_recording(path.str()).end_time >= 50'000'000);
}

TEST_CASE("a recording goes through pipes") {
    const scoped_name from("recording-out");
    const scoped_name to("recording-in");
    queue q = queue::create(from, 1024);
    push_numbers(q, 1000);
    q.close();
    const tool_result recorded = run_tool({"record", from.str(), "-", "--drain"});
    CHECK(recorded.exit == 0);
    CHECK(has(recorded.err, "recorded 1000 messages"));
    running_tool replay({"replay", "-", to.str(), "--create"}, recorded.out, true);
    replay.end_input();
    CHECK(replay.wait().exit == 0);
    queue copy = queue::open(to);
    CHECK(copy.capacity() == 1024);
    CHECK(numbers_in(copy) == up_to(1000));
}
