// SPDX-License-Identifier: Apache-2.0

// What a bridge keeps beside its queue: who owns it, who takes it over, and what it knows of the messages of a stream.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "tool/bridges.hpp"
#include "tool/run_tool.hpp"

#include "bridge/bridge_look.hpp"
#include "system/exit_code.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

using promisqs_test::delivery_of;
using promisqs_test::forked;
using promisqs_test::scoped_bridge;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using promisqs_tool::bridge_record;
using promisqs_tool::delivery;
using promisqs_tool::delivery_entry;
using promisqs_tool::delivery_state;
using promisqs_tool::delivery_table;
using promisqs_tool::look_at_bridge;
using promisqs_tool::record_file;
using promisqs_tool::record_header;

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::uint64_t every = ~std::uint64_t{0};  // message may be forgotten

// A bridge that does something, and is killed.
template <class Body>
void die_after(const scoped_bridge& bridge, Body body) {
    REQUIRE(wait_for(forked([&] {
                auto record = bridge.start();
                body(record);
                ::kill(::getpid(), SIGKILL);
                return 1;
            })) == -SIGKILL);
}

std::string path_of(const std::string& record) { return "/dev/shm/" + record; }

// Writes into a record, as anything of this user can.
template <class T>
void overwrite(const std::string& record, std::size_t at, const T& value) {
    const int file = ::open(path_of(record).c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(file >= 0);
    REQUIRE(::pwrite(file, &value, sizeof value, static_cast<::off_t>(at)) == static_cast<::ssize_t>(sizeof value));
    ::close(file);
}

}  // namespace

TEST_CASE("a message is found in the state that it was given last") {
    std::vector<delivery_entry> memory(64);
    delivery_table table(memory);
    const auto at = table.hold(delivery_of(17), every);
    REQUIRE(at);
    CHECK(table.state_of(delivery_of(17)) == delivery_state::held);
    for (const auto state : {delivery_state::pushing, delivery_state::pushed, delivery_state::confirmed}) {
        table.set(*at, state);
        CHECK(table.state_of(delivery_of(17)) == state);
    }
    CHECK(table.state_of(delivery_of(18)) == delivery_state::unknown);
    table.forget(*at);
    CHECK(table.state_of(delivery_of(17)) == delivery_state::unknown);
}

TEST_CASE("a message of the same number, of a stream that was made again, is another one") {
    std::vector<delivery_entry> memory(64);
    delivery_table table(memory);
    const auto at = table.hold(delivery_of(17), every);
    REQUIRE(at);
    table.set(*at, delivery_state::pushed);
    delivery again = delivery_of(17);
    again.timestamp += 1;
    CHECK(table.state_of(again) == delivery_state::unknown);
    REQUIRE(table.hold(again, every));
    CHECK(table.state_of(again) == delivery_state::held);
    CHECK(table.state_of(delivery_of(17)) == delivery_state::unknown);
}

TEST_CASE("a table forgets confirmed messages only, the oldest of those that are in the way") {
    constexpr std::size_t entries = 1024;
    std::vector<delivery_entry> memory(entries);
    delivery_table table(memory);
    for (std::uint64_t sequence = 1; sequence <= entries * 4; ++sequence) {
        const auto at = table.hold(delivery_of(sequence), every);
        REQUIRE(at);
        table.set(*at, sequence <= 64 ? delivery_state::pushed : delivery_state::confirmed);
    }
    for (std::uint64_t sequence = 1; sequence <= 64; ++sequence)
        CHECK(table.state_of(delivery_of(sequence)) == delivery_state::pushed);
    // Half a table of the last ones is always there.
    for (std::uint64_t sequence = entries * 4 - entries / 2; sequence <= entries * 4; ++sequence)
        CHECK(table.state_of(delivery_of(sequence)) == delivery_state::confirmed);
}

TEST_CASE("a table forgets no message that the consumer may still not know of") {
    std::vector<delivery_entry> memory(delivery_table::ways);
    delivery_table table(memory);
    for (std::uint64_t sequence = 1; sequence <= delivery_table::ways; ++sequence) {
        const auto at = table.hold(delivery_of(sequence), 0);
        REQUIRE(at);
        table.set(*at, delivery_state::confirmed);
    }
    CHECK_FALSE(table.hold(delivery_of(100), 0));
    CHECK(table.hold(delivery_of(100), 1));
    CHECK_FALSE(table.hold(delivery_of(101), 1));
    CHECK(table.state_of(delivery_of(1)) == delivery_state::unknown);
    CHECK(table.state_of(delivery_of(2)) == delivery_state::confirmed);
}

TEST_CASE("a table remembers as well if a consumer gets only each thousandth message of a stream") {
    constexpr std::size_t entries = 1024;
    const std::uint64_t step = GENERATE(as<std::uint64_t>(), 2, 128, 1000, 1024, 65536);
    std::vector<delivery_entry> memory(entries);
    delivery_table table(memory);
    for (std::uint64_t i = 1; i <= entries * 4; ++i) {
        const auto at = table.hold(delivery_of(i * step), every);
        REQUIRE(at);
        table.set(*at, delivery_state::confirmed);
    }
    for (std::uint64_t i = entries * 4 - entries / 4; i <= entries * 4; ++i)
        CHECK(table.state_of(delivery_of(i * step)) == delivery_state::confirmed);
}

TEST_CASE("a table without room for a message says so, and takes it once one is confirmed") {
    std::vector<delivery_entry> memory(delivery_table::ways);
    delivery_table table(memory);
    std::optional<delivery_table::place> last;
    for (std::uint64_t sequence = 1; sequence <= delivery_table::ways; ++sequence) {
        last = table.hold(delivery_of(sequence), every);
        REQUIRE(last);
    }
    CHECK_FALSE(table.hold(delivery_of(100), every));
    table.set(*last, delivery_state::confirmed);
    CHECK(table.hold(delivery_of(100), every));
}

TEST_CASE("what is unsettled comes in the order of the stream") {
    std::vector<delivery_entry> memory(256);
    delivery_table table(memory);
    for (const std::uint64_t sequence : {30U, 10U, 20U, 40U}) {
        const auto at = table.hold(delivery_of(sequence), every);
        REQUIRE(at);
        if (sequence == 40) table.set(*at, delivery_state::confirmed);
    }
    std::vector<std::uint64_t> found;
    for (const auto at : table.unsettled()) found.push_back(table.at(at).sequence);
    CHECK(found == std::vector<std::uint64_t>{10, 20, 30});
}

TEST_CASE("the next bridge takes over what a killed one has left, with its totals") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    die_after(bridge, [](bridge_record& record) {
        CHECK_FALSE(record.was_left());
        record.counters().out.store(5, relaxed);
        record.counters().in_flight.store(3, relaxed);
        record.counters().connected.store(1, relaxed);
        record.tally().store(9, relaxed);
        auto table = record.table();
        table.set(table.hold(delivery_of(4), every).value(), delivery_state::pushed);
    });
    const auto record = bridge.start();
    CHECK(record.was_left());
    CHECK(record.counters().out.load(relaxed) == 5);
    CHECK(record.counters().in_flight.load(relaxed) == 0);
    CHECK(record.counters().connected.load(relaxed) == 0);
    CHECK(record.tally().load(relaxed) == 9);
    CHECK(record.table().state_of(delivery_of(4)) == delivery_state::pushed);
    CHECK(bridge.records() == 1);
}

TEST_CASE("a bridge that is alive keeps its record, and another one sees what it holds") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    auto first = bridge.start();
    REQUIRE(first.peers().empty());
    auto second = bridge.start();
    CHECK_FALSE(second.was_left());
    CHECK(bridge.records() == 2);
    REQUIRE(second.peers().size() == 1);
    CHECK(second.peers()[0].is_owned());
    auto table = first.table();
    static_cast<void>(table.hold(delivery_of(3), every));
    CHECK(second.peers()[0].table().state_of(delivery_of(3)) == delivery_state::held);
    first.update_peers();
    REQUIRE(first.peers().size() == 1);
}

TEST_CASE("of dead bridges a newcomer takes one record, and sees the others") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    REQUIRE(wait_for(forked([&] {
                const auto one = bridge.start();
                const auto another = bridge.start();
                ::kill(::getpid(), SIGKILL);
                return 1;
            })) == -SIGKILL);
    auto record = bridge.start();
    CHECK(record.was_left());
    REQUIRE(record.peers().size() == 1);
    CHECK_FALSE(record.peers()[0].is_owned());
    CHECK(record.peers()[0].lock());
}

TEST_CASE("what a dead bridge has left of an earlier queue, or consumer, of the same name is removed") {
    const scoped_name queue("bridge");
    scoped_bridge bridge(queue);
    die_after(bridge, [](bridge_record&) {});
    SECTION("another queue") { (*bridge).queue_identity = 2; }
    SECTION("another consumer") { (*bridge).consumer_created += 5'000'000'000; }
    const auto record = bridge.start();
    CHECK_FALSE(record.was_left());
    CHECK(bridge.records() == 1);
}

TEST_CASE("a consumer stays the same one if its server dates it a little later after a restart") {
    const scoped_name queue("bridge");
    scoped_bridge bridge(queue);
    die_after(bridge, [](bridge_record&) {});
    (*bridge).consumer_created += 1'000'000;
    CHECK(bridge.start().was_left());
}

TEST_CASE("what the consumer has said to be acknowledged is known, and only grows") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    const auto record = bridge.start();
    CHECK_FALSE(record.file().is_below_floor(delivery_of(1)));
    CHECK(record.raise_floor(10, delivery_of(12).timestamp));
    CHECK(record.file().is_below_floor(delivery_of(10)));
    CHECK_FALSE(record.file().is_below_floor(delivery_of(11)));
    delivery younger = delivery_of(5);  // of a stream that counts anew
    younger.timestamp = delivery_of(13).timestamp;
    CHECK_FALSE(record.file().is_below_floor(younger));
    CHECK_FALSE(record.raise_floor(3, delivery_of(20).timestamp));
    CHECK(record.floor() == 10);
}

TEST_CASE("bridges to different subjects, of different servers and in different directions have records of their own") {
    const scoped_name queue("bridge");
    scoped_bridge bridge(queue);
    die_after(bridge, [](bridge_record&) {});
    (*bridge).target = "another";
    CHECK_FALSE(bridge.start().was_left());
    (*bridge).target = "consumer";
    (*bridge).stream_created += 1;  // of another server
    CHECK_FALSE(bridge.start().was_left());
    (*bridge).direction = promisqs_tool::bridge_direction::out;
    const auto record = bridge.start();
    CHECK_FALSE(record.was_left());
    CHECK_FALSE(record.file().has_table());
    CHECK(bridge.records() == 4);
}

TEST_CASE("a record tells who runs the bridge, for as long as it runs") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    std::string name;
    {
        const auto record = bridge.start();
        record.counters().connected.store(1, relaxed);
        record.counters().duplicates.store(12, relaxed);
        name = record.file().name();
        const auto look = look_at_bridge(name);
        REQUIRE(look);
        CHECK(look->is_alive);
        CHECK(look->is_connected);
        CHECK(look->duplicates == 12);
        CHECK(look->queue == queue.str());
        CHECK(look->stream == "STREAM");
        CHECK(look->target == "consumer");
        CHECK(look->url == "nats://127.0.0.1:4222");
        CHECK(look->process == static_cast<std::uint32_t>(::getpid()));
        CHECK_FALSE(promisqs_tool::remove_record(name));
    }
    const auto look = look_at_bridge(name);
    REQUIRE(look);
    CHECK_FALSE(look->is_alive);
    CHECK_FALSE(look->is_connected);
    CHECK(promisqs_tool::remove_record(name));
    CHECK_FALSE(look_at_bridge(name));
}

TEST_CASE("a file that is no whole record is not used") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    std::string name;
    die_after(bridge, [](bridge_record&) {});
    for (const std::string& one : promisqs_tool::record_names()) {
        const auto file = record_file::open(one);
        if (file && promisqs_tool::record_text(file->header().queue) == queue.str()) name = one;
    }
    REQUIRE(look_at_bridge(name));
    SECTION("another magic") { overwrite(name, offsetof(record_header, magic), std::uint64_t{1}); }
    SECTION("another version") { overwrite(name, offsetof(record_header, version), std::uint32_t{2}); }
    SECTION("no direction") { overwrite(name, offsetof(record_header, direction), std::uint32_t{3}); }
    SECTION("more entries than it has") { overwrite(name, offsetof(record_header, entries), std::uint64_t{1} << 22); }
    SECTION("absurd entries") { overwrite(name, offsetof(record_header, entries), ~std::uint64_t{0}); }
    SECTION("no power of two") { overwrite(name, offsetof(record_header, entries), std::uint64_t{100}); }
    SECTION("cut short") { REQUIRE(::truncate(path_of(name).c_str(), 8192) == 0); }
    SECTION("empty") { REQUIRE(::truncate(path_of(name).c_str(), 0) == 0); }
    CHECK_FALSE(look_at_bridge(name));
    CHECK_FALSE(record_file::open(name));
    {
        const auto record = bridge.start();
        CHECK_FALSE(record.was_left());
        record.remove();
    }
    REQUIRE(::unlink(path_of(name).c_str()) == 0);
}

TEST_CASE("a record that other users can write to is not used") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    auto record = bridge.start();
    REQUIRE(::chmod(path_of(record.file().name()).c_str(), 0666) == 0);
    CHECK_FALSE(record_file::open(record.file().name()));
    record.remove();
}

TEST_CASE("whatever a table holds, a bridge gets along with it") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    die_after(bridge, [](bridge_record& record) {
        // What no bridge writes: states that are none, and one message many times.
        auto* const bytes = reinterpret_cast<std::byte*>(&record.file().header()) + promisqs_tool::record_table_offset;
        const auto size = record.file().header().entries * sizeof(delivery_entry);
        std::memset(bytes, 0xff, size / 2);
        std::memset(bytes + size / 2, 0x11, size - size / 2);
    });
    const auto record = bridge.start();
    REQUIRE(record.was_left());
    auto table = record.table();
    CHECK_FALSE(table.unsettled().empty());
    const auto at = table.hold(delivery_of(1), every);
    if (at) CHECK(table.state_of(delivery_of(1)) == delivery_state::held);
}

TEST_CASE("where there is no room for a record, the bridge says so and leaves nothing") {
    const scoped_name queue("bridge");
    const scoped_bridge bridge(queue);
    REQUIRE(wait_for(forked([&] {
                ::signal(SIGXFSZ, SIG_IGN);
                const ::rlimit little{65536, 65536};
                ::setrlimit(RLIMIT_FSIZE, &little);
                try {
                    static_cast<void>(bridge.start());
                } catch (const promisqs_tool::failure& error) {
                    return std::string(error.what()).find("MiB") != std::string::npos ? 0 : 2;
                }
                return 1;
            })) == 0);
    CHECK(bridge.records() == 0);
}
