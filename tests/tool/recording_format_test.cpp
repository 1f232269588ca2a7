// SPDX-License-Identifier: Apache-2.0

// The bytes of recordings: what is written is read again; and whatever is not whole, not ours, or made to do harm, is
// found, at the right place.

#include "support/catch.hpp"
#include "tool/recordings.hpp"

#include "recording/format.hpp"
#include "system/exit_code.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

using promisqs_test::facts_of;
using promisqs_test::make_recording;
using promisqs_test::read_recording;
using promisqs_test::recording_content;
using promisqs_test::scoped_path;
using promisqs_test::value_of;
using promisqs_tool::block_header;
using promisqs_tool::block_kind;
using promisqs_tool::checksum_of;
using promisqs_tool::failure;
using promisqs_tool::file_header;
using promisqs_tool::recording_reader;
using promisqs_tool::recording_writer;
using promisqs_tool::time_run;
using ending = recording_reader::ending;

namespace {

struct message {
    std::uint64_t id;
    std::uint32_t amount;
    std::uint16_t kind;
};

// Two messages at different times, three missed ones, one message, and the end. Returns where each block ends, after
// the header's end.
std::vector<std::uint64_t> make_small(const std::string& path) {
    promisqs_tool::output_file file(path, true);
    recording_writer writer(file, facts_of<std::uint32_t>("small"), 8);
    std::vector<std::uint64_t> ends{file.size()};
    const auto add = [&](std::uint64_t number, std::uint32_t value, std::uint64_t time) {
        std::memcpy(writer.room(1).data(), &value, sizeof value);
        writer.add(number, 1, time);
    };
    const auto note = [&] { ends.push_back(file.size()); };
    add(5, 50, 1000);
    add(6, 60, 2000);
    writer.flush();
    note();
    writer.add_gap(7, 3, 2500);
    note();
    add(10, 100, 3000);
    writer.flush();
    note();
    writer.end(4000);
    note();
    file.close();
    return ends;
}

std::size_t blocks_of(const recording_content& found) { return found.messages.size() + found.gaps.size(); }

// How many of the small recording's messages and gaps its first blocks hold.
constexpr std::array<std::size_t, 5> after_blocks{0, 2, 3, 4, 4};

// The content of a file, or that it is refused.
struct attempt {
    bool refused = false;
    recording_content found{};
};
attempt try_to_read(const std::string& path) {
    try {
        return {false, read_recording(path)};
    } catch (const failure&) {
        return {true, {}};
    }
}

void seal(std::string& file, std::size_t block) {
    block_header header;
    std::memcpy(&header, file.data() + block, sizeof header);
    const auto bytes = std::as_bytes(std::span(file));
    if (header.payload_size <= file.size() - block - sizeof header) {
        header.payload_checksum = checksum_of(bytes.subspan(block + sizeof header, header.payload_size));
        std::memcpy(file.data() + block, &header, sizeof header);
    }
    header.header_checksum = checksum_of(bytes.subspan(block, offsetof(block_header, header_checksum)));
    std::memcpy(file.data() + block, &header, sizeof header);
}

}  // namespace

TEST_CASE("what is recorded is read again, with its times and numbers") {
    const scoped_path path("format-same");
    make_small(path.str());
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::complete);
    CHECK(found.facts.queue == "small");
    CHECK(found.facts.type == promisqs::element_type_of<std::uint32_t>());
    CHECK(found.facts.capacity == 16);
    CHECK(found.facts.began_at == 1'700'000'000'000'000'000);
    REQUIRE(found.messages.size() == 3);
    CHECK(found.messages[0].number == 5);
    CHECK(found.messages[1].time == 2000);
    CHECK(value_of<std::uint32_t>(found.messages[1].bytes) == 60);
    CHECK(found.messages[2].number == 10);
    CHECK(found.gaps == std::vector<std::pair<std::uint64_t, std::uint64_t>>{{7, 3}});
    CHECK(found.end_time == 4000);
}

TEST_CASE("a recording that is cut short anywhere is readable up to its last whole block") {
    const scoped_path path("format-cut");
    const auto ends = make_small(path.str());
    const std::string whole = path.content();
    REQUIRE(whole.size() == ends.back());
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        path.write(whole.substr(0, length));
        const auto [refused, found] = try_to_read(path.str());
        REQUIRE(refused == (length < ends.front()));
        if (refused) continue;
        const auto blocks =
            static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), length) - ends.begin()) - 1;
        REQUIRE(found.ending == ending::cut_short);
        REQUIRE(found.whole_bytes == ends[blocks]);
        REQUIRE(blocks_of(found) == after_blocks[blocks]);
    }
}

TEST_CASE("each flipped bit of a recording is found, and what is before it is read") {
    const scoped_path path("format-flip");
    const auto ends = make_small(path.str());
    const std::string whole = path.content();
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
        CAPTURE(bit);
        std::string changed = whole;
        changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
        path.write(changed);
        const auto [refused, found] = try_to_read(path.str());
        REQUIRE(refused == (bit / 8 < ends.front()));
        if (refused) continue;
        const auto blocks =
            static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), bit / 8) - ends.begin()) - 1;
        REQUIRE(found.ending == ending::damaged);
        REQUIRE(found.whole_bytes == ends[blocks]);
    }
}

TEST_CASE("zeroes behind the last whole block count as cut short") {
    const scoped_path path("format-zeroes");
    const auto ends = make_small(path.str());
    path.write(path.content().substr(0, ends[1]) + std::string(4096, '\0'));
    const auto found = read_recording(path.str());
    CHECK(found.ending == ending::cut_short);
    CHECK(found.messages.size() == 2);
}

TEST_CASE("a block that is missing, or comes twice, is found") {
    const scoped_path path("format-missing");
    const auto ends = make_small(path.str());
    const std::string whole = path.content();
    path.write(whole.substr(0, ends[1]) + whole.substr(ends[2]));
    CHECK(read_recording(path.str()).ending == ending::damaged);
    path.write(whole.substr(0, ends[1]) + whole.substr(ends[0]));
    CHECK(read_recording(path.str()).ending == ending::damaged);
}

TEST_CASE("a block whose numbers are impossible is refused, though its checksums are right") {
    const scoped_path path("format-hostile");
    const auto ends = make_small(path.str());
    const std::string whole = path.content();
    const auto begin = static_cast<std::size_t>(ends.front());
    const auto with = [&](auto change) {
        std::string file = whole;
        block_header header;
        std::memcpy(&header, file.data() + begin, sizeof header);
        change(header);
        std::memcpy(file.data() + begin, &header, sizeof header);
        seal(file, begin);
        path.write(file);
        return read_recording(path.str());
    };
    constexpr std::uint64_t huge = ~std::uint64_t{0} - 7;
    CHECK(with([](auto&) {}).ending == ending::complete);
    CHECK(with([](auto& h) { h.kind = static_cast<block_kind>(0); }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.kind = static_cast<block_kind>(4); }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.kind = block_kind::gap; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.kind = block_kind::end; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.runs = 0; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.runs = 3; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.runs = ~std::uint32_t{0}; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.index = 1; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.number = ~std::uint64_t{0}; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.number = 6; }).ending == ending::damaged);  // the gap begins before its end
    CHECK(with([](auto& h) { h.count = 0; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.count = std::uint64_t{1} << 62; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.payload_size = 0; }).ending == ending::damaged);
    CHECK(with([](auto& h) { h.payload_size = huge; }).ending == ending::damaged);
    const auto of_numbers = [&](std::uint64_t count) {
        return with([&](auto& h) {
                   h.count = count;
                   h.payload_size = count * 4 + h.runs * sizeof(time_run);
               })
            .ending;
    };
    CHECK(of_numbers(std::uint64_t{1} << 40) == ending::damaged);    // larger than any block may be
    CHECK(of_numbers(std::uint64_t{1} << 24) == ending::cut_short);  // it may be so large, but the file is not
}

TEST_CASE("times that run backwards, or are not of as many messages, are refused") {
    const scoped_path path("format-times");
    const auto ends = make_small(path.str());
    const std::string whole = path.content();
    const auto begin = static_cast<std::size_t>(ends.front());
    const auto with = [&](time_run first, time_run second) {
        std::string file = whole;
        std::memcpy(file.data() + ends[1] - 2 * sizeof(time_run), &first, sizeof first);
        std::memcpy(file.data() + ends[1] - sizeof(time_run), &second, sizeof second);
        seal(file, begin);
        path.write(file);
        return read_recording(path.str()).ending;
    };
    CHECK(with({1000, 1}, {2000, 1}) == ending::complete);
    CHECK(with({2000, 1}, {1000, 1}) == ending::damaged);
    CHECK(with({1000, 1}, {2501, 1}) == ending::damaged);  // later than the next block
    CHECK(with({1000, 1}, {2000, 2}) == ending::damaged);
    CHECK(with({1000, 1}, {2000, 0}) == ending::damaged);
    CHECK(with({1000, 3}, {2000, ~std::uint64_t{0}}) == ending::damaged);
}

TEST_CASE("a header with an impossible type is refused, though its checksum is right") {
    const scoped_path path("format-header");
    const auto ends = make_small(path.str());
    const std::string whole = path.content();
    const auto refuses = [&](auto change) {
        std::string file = whole;
        file_header header;
        std::memcpy(&header, file.data(), sizeof header);
        change(header);
        std::memcpy(file.data(), &header, sizeof header);
        const auto size = static_cast<std::size_t>(ends.front()) - sizeof(std::uint32_t);
        const std::uint32_t checksum = checksum_of(std::as_bytes(std::span(file)).first(size));
        std::memcpy(file.data() + size, &checksum, sizeof checksum);
        path.write(file);
        return try_to_read(path.str()).refused;
    };
    CHECK_FALSE(refuses([](auto&) {}));
    CHECK(refuses([](auto& h) { h.version = 2; }));
    CHECK(refuses([](auto& h) { h.size = 8; }));
    CHECK(refuses([](auto& h) { h.size = ~std::uint32_t{0}; }));
    CHECK(refuses([](auto& h) { h.name_size = ~std::uint32_t{0}; }));
    CHECK(refuses([](auto& h) { h.schema_size = 1 << 20; }));
    CHECK(refuses([](auto& h) { h.element_size = 0; }));
    CHECK(refuses([](auto& h) { h.element_size = ~std::uint64_t{0}; }));
    CHECK(refuses([](auto& h) { h.element_size = 6; }));
    CHECK(refuses([](auto& h) { h.element_alignment = 0; }));
    CHECK(refuses([](auto& h) { h.element_alignment = 3; }));
    CHECK(refuses([](auto& h) { h.element_alignment = 8192; }));
    CHECK(refuses([](auto& h) { h.mode = 2; }));
}

TEST_CASE("a recording with random damage, and right checksums, does no harm") {
    const scoped_path path("format-random");
    const std::vector<message> messages{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
    make_recording(path.str(), messages, {0, 10, 20}, 30);
    const std::string whole = path.content();
    const std::size_t begin = whole.find("PSQBLK") - 1;
    std::mt19937 random(15);
    std::size_t accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string file = whole;
        const auto changes = 1 + random() % 4;
        for (std::size_t i = 0; i < changes; ++i)
            file[begin + random() % sizeof(block_header)] = static_cast<char>(random());
        seal(file, begin);
        if (random() % 4 == 0) file.resize(random() % file.size());
        path.write(file);
        const auto [refused, found] = try_to_read(path.str());
        if (!refused && found.messages.size() == messages.size()) ++accepted;
    }
    CHECK(accepted < 3000);  // most changes are seen: numbers and checksums are all that can differ
}
