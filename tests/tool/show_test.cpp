// SPDX-License-Identifier: Apache-2.0

// `promisqs show`: what it says of queues in every state, and of who holds whom up.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <nlohmann/json.hpp>

#include <sys/prctl.h>
#include <sys/stat.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

using nlohmann::json;
using promisqs_test::busy_process;
using promisqs_test::number_queue;
using promisqs_test::raw_object;
using promisqs_test::run_tool;
using promisqs_test::scoped_name;

namespace {

constexpr promisqs::options kept{.life = promisqs::lifetime::keep};

json shown(const scoped_name& name) {
    const auto result = run_tool({"show", name.str(), "--json"});
    CAPTURE(result.err);
    REQUIRE(result.exit == 0);
    return json::parse(result.out);
}

void mentions(const std::string& text, std::initializer_list<std::string_view> words) {
    CAPTURE(text);
    for (const std::string_view word : words) {
        CAPTURE(word);
        CHECK(text.find(word) != std::string::npos);
    }
}

// The sentence on who holds whom up, if there is one alone.
std::string only_sentence(const json& seen) {
    CAPTURE(seen["held_up"].dump());
    REQUIRE(seen["held_up"].size() == 1);
    return seen["held_up"][0]["sentence"];
}

}  // namespace

TEST_CASE("show says what a queue was created with, how it is laid out, and what it has done") {
    const scoped_name name("show-all");
    auto q = promisqs::untyped_queue::create(name, 5, "acme.order#3 {id:u64@0 price:f64@8}:16:8",
                                             {.permissions = 0640,
                                              .life = promisqs::lifetime::keep,
                                              .participants = 7,
                                              .max_deaths = 2,
                                              .single_consumer = true});
    const std::vector<std::byte> message(16);
    REQUIRE(q.push(message));

    const json seen = shown(name);

    CHECK(seen["state"] == "in_use");
    CHECK(seen["file"]["permissions"] == "0640");
    CHECK(seen["options"]["lifetime"] == "keep");
    CHECK(seen["options"]["participants"] == 7);
    CHECK(seen["options"]["max_deaths"] == 2);
    CHECK(seen["options"]["single_consumer"] == true);
    CHECK(seen["layout"]["version"] == promisqs::detail::layout::version);
    CHECK(seen["layout"]["slot_stride"] == 24);
    CHECK(seen["element"]["size"] == 16);
    CHECK(seen["element"]["fields"][1]["path"] == "price");
    CHECK(seen["element"]["fields"][1]["offset"] == 8);
    CHECK(seen["totals"]["size"] == 1);
    CHECK(seen["totals"]["pushed"] == 1);
    REQUIRE(seen["participants"].size() == 1);
    CHECK(seen["participants"][0]["process"] == ::getpid());
    CHECK(seen["participants"][0]["state"] == "alive");
    CHECK(seen["participants"][0]["pushes"] == true);
    CHECK(seen["participants"][0]["pushing"].is_null());
    CHECK(seen["held_up"].empty());
    const auto text = run_tool({"show", name.str()});
    CHECK(text.exit == 0);
    mentions(text.out, {"in use", "1 of 5 messages", "0640", "a single consumer", "kept until removed",
                        "1 of 7 entries", "struct order {", "double price;", "offset 8", "producer", "alive"});
}

TEST_CASE("show names the stopped process, and its thread, behind whose push all consumers wait") {
    const scoped_name name("show-push");
    auto q = number_queue::create(name, 4);
    busy_process other([&](auto in_the_middle) {
        ::prctl(PR_SET_NAME, "feed");
        static_cast<void>(q.push_with([&](std::uint64_t&) { in_the_middle(); }));
    });
    other.stop();

    const json seen = shown(name);

    const std::string pid = std::to_string(other.pid());
    mentions(only_sentence(seen), {"Consumers wait for message 0", "process " + pid + " (feed), stopped",
                                   "has been pushing it for", " at least"});
    CHECK(seen["held_up"][0]["waited_for"] == true);
    CHECK(seen["totals"]["consumers_wait_for"]["by"]["process"] == other.pid());
    mentions(run_tool({"show", name.str()}).out, {"who holds whom up", "(feed)", "stopped", "pushes message 0"});
}

TEST_CASE("show names a process that runs, and has held a message for long") {
    const scoped_name name("show-running");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(1));
    REQUIRE(q.push(1));
    const busy_process other([&](auto in_the_middle) { q.pop_with([&](const std::uint64_t&) { in_the_middle(); }); });

    const json seen = shown(name);

    mentions(only_sentence(seen), {"Process " + std::to_string(other.pid()), "has been popping message 0 for",
                                   "Producers will wait for it after 2 more messages."});
    CHECK(seen["held_up"][0]["waited_for"] == false);
    CHECK(seen["participants"][1]["popping"]["first"] == 0);
}

TEST_CASE("show names the stopped process for whose pop producers wait") {
    const scoped_name name("show-pop");
    auto q = number_queue::create(name, 2);
    REQUIRE(q.push(1));
    busy_process other([&](auto in_the_middle) { q.pop_with([&](const std::uint64_t&) { in_the_middle(); }); });
    other.stop();
    REQUIRE(q.push(2));

    mentions(only_sentence(shown(name)),
             {"Producers wait for message 0: process " + std::to_string(other.pid()), "stopped", "popping it"});
}

TEST_CASE("show says who died with a message, and what becomes of it") {
    const scoped_name name("show-died");
    auto q = number_queue::create(name, 4);
    const bool pushes = GENERATE(true, false);
    if (pushes) {
        REQUIRE(promisqs_test::dies_pushing(q) == -SIGKILL);
        mentions(only_sentence(shown(name)), {"Consumers wait for message 0: process ", " died while it pushed it",
                                              "gives its place up", "doctor --fix"});
    } else {
        REQUIRE(q.push(1));
        REQUIRE(promisqs_test::dies_popping(q) == -SIGKILL);
        mentions(only_sentence(shown(name)), {" died while it popped message 0", "delivered again"});
    }
    const json seen = shown(name);
    CHECK(seen["participants"].back()["state"] == "dead");
}

TEST_CASE("show tells a participant of another pid namespace from the process that has its number here") {
    const scoped_name name("show-namespace");
    auto q = number_queue::create(name, 4, kept);
    REQUIRE(q.push(1));
    raw_object(name.path()).write(1152 + 4, std::uint32_t{static_cast<std::uint32_t>(::getppid())});
    raw_object(name.path()).write(1152 + 8, std::uint32_t{static_cast<std::uint32_t>(::getppid())});

    const json seen = shown(name);

    CHECK(seen["participants"][0]["state"] == "elsewhere");
    CHECK(seen["participants"][0]["process_name"].get<std::string>().empty());
}

TEST_CASE("show changes nothing in a queue") {
    const scoped_name name("show-nothing");
    auto q = number_queue::create(name, 4, kept);
    REQUIRE(q.push(1));
    const auto before = raw_object(name.path()).read();
    static_cast<void>(shown(name));
    CHECK(raw_object(name.path()).read() == before);
}

TEST_CASE("show says what an abandoned, closed, unfinished or other version's queue is") {
    const scoped_name name("show-states");
    std::optional<number_queue> q(number_queue::create(name, 4, kept));
    q->close();
    CHECK(shown(name)["state"] == "closed");
    q.reset();
    CHECK(shown(name)["state"] == "closed");
    const raw_object object(name.path());
    object.write(8, std::uint32_t{77});
    CHECK(shown(name)["state"] == "other_layout");
    CHECK(shown(name)["file"]["bytes"] > 0);
    mentions(run_tool({"show", name.str()}).out, {"other layout", "found 77", "/dev/shm/"});
    object.write(0, promisqs::detail::layout::unfinished_magic);
    CHECK(shown(name)["state"] == "unfinished");
    mentions(run_tool({"show", name.str()}).out, {"unfinished", "its creator died"});
}

TEST_CASE("show ends with 5 where there is no queue that can be shown, and with 3 where there is nothing") {
    const scoped_name name("show-none");
    const auto missing = run_tool({"show", name.str()});
    CHECK(missing.exit == 3);
    mentions(missing.err, {name.str()});
    {
        const auto q = number_queue::create(name, 4);
        raw_object(name.path()).write(32, std::uint64_t{0});
        const auto corrupt = run_tool({"show", name.str(), "--json"});
        CHECK(corrupt.exit == 5);
        CHECK(json::parse(corrupt.out)["state"] == "corrupt");
    }
    raw_object(name.path()).write(0, std::uint64_t{12345});
    const auto foreign = run_tool({"show", name.str()});
    CHECK(foreign.exit == 5);
    CHECK(foreign.out.empty());
    mentions(foreign.err, {"expected a promisqs queue"});
}

TEST_CASE("show takes names with odd characters, and prints no control character") {
    const scoped_name name("show-\x1b[31m \xc3\xa4 \xff end");
    const auto q = number_queue::create(name, 4);
    const auto result = run_tool({"show", name.str()});
    CHECK(result.exit == 0);
    CHECK(result.out.find('\x1b') == std::string::npos);
    CHECK(run_tool({"show", name.str() + "x"}).err.find('\x1b') == std::string::npos);
    CHECK(run_tool({"show", name.str(), "--json"}).exit == 0);
}

TEST_CASE("show takes no longer than it has to for a type of very many extents") {
    const scoped_name name("show-extents");
    std::string schema = "u8";
    for (int i = 0; i < 100'000; ++i) schema += "[1]";
    const auto q = promisqs::untyped_queue::create(name, 1, schema);
    const auto result = run_tool({"show", name.str(), "--json"});
    CHECK(result.exit == 0);
    mentions(json::parse(result.out)["element"]["struct"], {"std::array<std::uint8_t, 1>, 1>"});
}
