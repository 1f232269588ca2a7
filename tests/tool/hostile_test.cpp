// SPDX-License-Identifier: Apache-2.0

// Looking at queues into which something else has written: no crash, no hang, nothing trusted.

#include "fuzz/hostile.hpp"
#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <random>
#include <set>
#include <string>
#include <vector>

using promisqs_test::number_queue;
using promisqs_test::raw_object;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;

namespace {

constexpr promisqs::options small{.life = promisqs::lifetime::keep, .participants = 2};

// A report of a sanitizer ends the program with a code that none of them has: see the presets.
struct expected_end {
    promisqs_test::arguments args;
    std::set<int> codes;
};

std::vector<expected_end> looks_at(const std::string& name) {
    return {{{"ls", "--json"}, {0}},
            {{"ls"}, {0}},
            {{"show", name}, {0, 5}},
            {{"show", name, "--json"}, {0, 5}},
            {{"doctor", name}, {0, 1, 5}},
            {{"peek", name}, {0, 1, 5}},
            {{"peek", name, "--json"}, {0, 1, 5}},
            {{"tail", name, "-n", "1", "--from", "left"}, {0, 5}},
            {{"top", name, "-n", "1", "--interval", "0.05"}, {0, 5}},
            {{"export", name}, {0, 5}}};
}

bool has_control_character(const std::string& text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; });
}

void ends_well(running_tool& tool, const expected_end& expected) {
    const auto result = tool.wait();
    CAPTURE(expected.args, result.err);
    REQUIRE(expected.codes.contains(result.exit));
    REQUIRE(result.err.find("Sanitizer") == std::string::npos);
    REQUIRE(result.err.find("runtime error") == std::string::npos);
    CHECK_FALSE(has_control_character(result.out));
    CHECK_FALSE(has_control_character(result.err));
}

// Where no message comes, tail waits for one.
void interrupt(running_tool& tool, expected_end& expected) {
    for (int looks = 0; looks < 20 && !tool.has_ended(); ++looks) ::poll(nullptr, 0, 10);
    if (tool.has_ended()) return;
    tool.signal(SIGINT);
    expected.codes.insert(-SIGINT);  // it may not even have begun
}

// A change as the fuzzers make it.
void change(promisqs_fuzz::intruder& other, std::minstd_rand& random) {
    std::array<std::uint8_t, 12> instruction{};
    for (auto& byte : instruction) byte = static_cast<std::uint8_t>(random() >> 8);
    promisqs_fuzz::bytes input(instruction);
    other.change(input);
}

// All at once, because most of their time is the pause between two looks.
void all_commands_end_well(const scoped_name& name) {
    auto all = looks_at(name.str());
    std::list<running_tool> tools;
    for (const expected_end& one : all) tools.emplace_back(one.args);
    auto tool = tools.begin();
    for (expected_end& one : all) {
        if (one.args[0] == "tail") interrupt(*tool, one);
        ends_well(*tool++, one);
    }
}

}  // namespace

TEST_CASE("what looks at queues survives any bytes in them") {
    const scoped_name name("hostile");
    constexpr int rounds = 60;
    std::minstd_rand random(20250101);
    for (int round = 0; round < rounds; ++round) {
        auto q = number_queue::create(name, 4, small);
        REQUIRE(q.push(1));
        REQUIRE(q.push(2));
        {
            promisqs_fuzz::intruder other(name.str());
            const unsigned changes = 1 + static_cast<unsigned>(random()) % 4;
            for (unsigned i = 0; i < changes; ++i) change(other, random);
            if (round % 10 == 7) other.randomise(static_cast<std::uint32_t>(random()), round % 20 == 7);
        }
        all_commands_end_well(name);
        REQUIRE(::unlink(name.path().c_str()) == 0);
    }
}

TEST_CASE("what looks at queues survives a queue that is cut short") {
    const scoped_name name("hostile-short");
    for (const std::size_t size : {0U, 1U, 8U, 100U, 256U, 1152U, 1400U, 1700U}) {
        static_cast<void>(number_queue::create(name, 4, small));
        promisqs_fuzz::intruder(name.str()).truncate(size);
        all_commands_end_well(name);
        REQUIRE(::unlink(name.path().c_str()) == 0);
    }
}

TEST_CASE("what looks at queues survives one that changes meanwhile") {
    const scoped_name name("hostile-meanwhile");
    static_cast<void>(number_queue::create(name, 4, small));
    promisqs_fuzz::intruder other(name.str());
    for (std::uint32_t round = 0; round < 20; ++round) {
        const expected_end show{{"show", name.str(), "--json"}, {0, 5}};
        const expected_end diagnosis{{"doctor", name.str()}, {0, 1, 5}};
        const expected_end peek{{"peek", name.str()}, {0, 1, 5}};
        running_tool shows(show.args);
        running_tool diagnoses(diagnosis.args);
        running_tool peeks(peek.args);
        promisqs_fuzz::change_meanwhile(other, round);
        ends_well(shows, show);
        ends_well(diagnoses, diagnosis);
        ends_well(peeks, peek);
    }
}

TEST_CASE("what looks at queues survives hostile descriptions of messages") {
    const scoped_name name("hostile-schema");
    const std::string honest = "{" + std::string("aaaaaaaa:u8@0 ") + std::string(4000, 'b') + ":u8@1}:16:8";
    static_cast<void>(promisqs::untyped_queue::create(name, 4, honest, small));
    const raw_object object(name.path());
    const auto bytes = object.read();
    const std::string all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t place = all.find(honest);
    REQUIRE(place != std::string::npos);
    const auto plant = [&](std::string text) {
        text.resize(honest.size(), ' ');
        for (std::size_t i = 0; i < text.size(); ++i) object.write(place + i, text[i]);
        all_commands_end_well(name);
    };
    plant("\x1b[2J\x1b]0;owned\a{u8@0");
    plant(std::string(honest.size(), '{'));
    plant(std::string(honest.size(), '\0'));
    plant(std::string(honest.size(), '\xff'));
    plant("{u8[140737488355328]@0}:16:8");
    std::string nested;
    for (int i = 0; i < 300; ++i) nested += "{";
    nested += "u8@0";
    for (int i = 0; i < 299; ++i) nested += "}:1:1@0";
    plant(nested + "}:16:8");
    std::mt19937 random(20250102);
    for (int round = 0; round < 20; ++round) {
        std::string text = honest;
        for (int i = 0; i < 3; ++i) text[random() % 40] = static_cast<char>(random());
        plant(text);
    }
}
