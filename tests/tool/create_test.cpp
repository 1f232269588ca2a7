// SPDX-License-Identifier: Apache-2.0

// `promisqs create`, `rm` and `close`.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/raw_object.hpp"
#include "tool/run_tool.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <signal.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

using promisqs::inspector;
using promisqs::queue_state;
using promisqs_test::number_queue;
using promisqs_test::raw_object;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;

namespace {

constexpr promisqs::options kept{.life = promisqs::lifetime::keep};
constexpr const char* price = "acme.price#2 {id:u64@0 price:f64@8}:16:8";

void mentions(const std::string& text, std::initializer_list<std::string_view> words) {
    CAPTURE(text);
    for (const std::string_view word : words) {
        CAPTURE(word);
        CHECK(text.find(word) != std::string::npos);
    }
}

// A queue that goes with the last handle, and whose users were killed.
void leave_abandoned(const scoped_name& name) {
    const auto pid = promisqs_test::forked([&] {
        auto q = number_queue::create(name, 4);
        if (!q.push(41)) return 1;
        ::_exit(0);
    });
    REQUIRE(promisqs_test::wait_for(pid) == 0);
}

}  // namespace

TEST_CASE("create makes a queue of a schema, which is kept") {
    const scoped_name name("create-schema");
    const auto result = run_tool({"create", name.str(), "--capacity", "7", "--schema", price});
    CHECK(result.exit == 0);
    mentions(result.out, {name.str(), "7 messages of 16 bytes", "kept until removed"});
    const auto facts = inspector(name).facts();
    CHECK(facts.capacity == 7);
    CHECK(facts.schema == price);
    CHECK(facts.created_with.life == promisqs::lifetime::keep);
    CHECK(facts.created_with.permissions == 0600);
    CHECK(inspector(name).look().state == queue_state::abandoned);
}

TEST_CASE("create takes all options of a queue") {
    const scoped_name name("create-options");
    const auto result = run_tool({"create", name.str(), "--capacity", "7", "--schema", "u32", "--participants", "9",
                                  "--max-deaths", "0", "--single-producer", "--permissions", "0660", "--prefault"});
    CHECK(result.exit == 0);
    const auto made = inspector(name).facts().created_with;
    CHECK(made.participants == 9);
    CHECK(made.max_deaths == 0);
    CHECK(made.single_producer);
    CHECK_FALSE(made.single_consumer);
    CHECK(made.permissions == 0660);
}

TEST_CASE("create --like copies type, capacity and options, but for those that are given") {
    const scoped_name model("create-model");
    const scoped_name name("create-like");
    const auto q = promisqs::untyped_queue::create(
        model, 7, price, {.permissions = 0640, .participants = 9, .max_deaths = 1, .single_consumer = true});

    REQUIRE(run_tool({"create", name.str(), "--like", model.str(), "--max-deaths", "2", "--many-consumers"}).exit == 0);

    const auto facts = inspector(name).facts();
    const auto copied = inspector(model).facts();
    CHECK(facts.schema == price);
    CHECK(facts.schema_fingerprint == copied.schema_fingerprint);
    CHECK(facts.name_fingerprint == copied.name_fingerprint);
    CHECK(facts.capacity == 7);
    CHECK(facts.created_with.participants == 9);
    CHECK(facts.created_with.permissions == 0640);
    CHECK(facts.created_with.max_deaths == 2);
    CHECK_FALSE(facts.created_with.single_consumer);
    CHECK(facts.created_with.life == promisqs::lifetime::keep);
}

TEST_CASE("create leaves a queue alone that is there, and says what it is") {
    const scoped_name name("create-twice");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(41));
    const auto result = run_tool({"create", name.str(), "--capacity", "7", "--schema", "u32"});
    CHECK(result.exit == 1);
    mentions(result.err, {"found a queue of 4 messages", "1 wait", "promisqs rm"});
    CHECK(q.pop() == 41U);
    CHECK(q.is_named());
}

TEST_CASE("create --lifetime last-close keeps the queue until it is interrupted") {
    const scoped_name name("create-last-close");
    running_tool tool({"create", name.str(), "--capacity", "7", "--schema", "u32", "--lifetime", "last-close"});
    REQUIRE(tool.wait_for_output([](const std::string& out) { return out.find("created") != out.npos; }));
    CHECK(inspector(name).look().state == queue_state::in_use);
    tool.signal(GENERATE(SIGINT, SIGTERM));
    const auto result = tool.wait();
    CHECK(result.exit == 0);
    mentions(result.err, {"until it is interrupted", "closed it, with 0 messages waiting"});
    CHECK_FALSE(name.exists());
}

TEST_CASE("create says what is wrong with its options, and creates nothing") {
    const scoped_name name("create-wrong");
    const auto refused = [&](promisqs_test::arguments more, std::initializer_list<std::string_view> words) {
        more.insert(more.begin(), {"create", name.str()});
        const auto result = run_tool(more);
        CHECK(result.exit == 2);
        mentions(result.err, words);
        CHECK_FALSE(name.exists());
    };
    refused({"--capacity", "7"}, {"--schema TEXT or --like QUEUE"});
    refused({"--schema", "u32"}, {"--capacity"});
    refused({"--schema", "u32", "--like", "x", "--capacity", "7"}, {"either"});
    refused({"--schema", "{u32@0 u33@4}:8:4", "--capacity", "7"}, {"--schema", "a type at byte 7", "u33"});
    refused({"--schema", "u32", "--capacity", "0"}, {"--capacity", "from 1 to 4294967296"});
    refused({"--schema", "u32", "--capacity", "-1"}, {"capacity"});
    refused({"--schema", "u32", "--capacity", "7", "--permissions", "0678"}, {"--permissions", "octal"});
    refused({"--schema", "u32", "--capacity", "7", "--permissions", "0060"}, {"permissions"});
    refused({"--schema", "u32", "--capacity", "7", "--participants", "0"}, {"participants"});
    refused({"--schema", "u32", "--capacity", "7", "--lifetime", "ever"}, {"--lifetime", "last-close"});
}

TEST_CASE("create --like a queue that is not there ends with 3") {
    const scoped_name name("create-like-none");
    CHECK(run_tool({"create", name.str(), "--like", name.str() + "-no"}).exit == 3);
    CHECK_FALSE(name.exists());
}

TEST_CASE("rm removes queues that no process has open, all that it can, and ends with the worst exit code") {
    const scoped_name one("rm-one");
    const scoped_name two("rm-two");
    static_cast<void>(number_queue::create(one, 4, kept));
    static_cast<void>(number_queue::create(two, 4, kept));
    const auto result = run_tool({"rm", one.str(), one.str() + "-no", two.str()});
    CHECK(result.exit == 3);
    mentions(result.err, {one.str() + "-no"});
    CHECK_FALSE(one.exists());
    CHECK_FALSE(two.exists());
}

TEST_CASE("rm leaves a queue alone that a process has open, and names it, unless it is forced") {
    const scoped_name name("rm-used");
    auto q = number_queue::create(name, 4);
    const auto refused = run_tool({"rm", name.str()});
    CHECK(refused.exit == 1);
    mentions(refused.err, {"process " + std::to_string(::getpid()), "--force"});
    CHECK(q.is_named());
    CHECK(run_tool({"rm", "--force", name.str()}).exit == 0);
    CHECK_FALSE(q.is_named());
    CHECK(q.push(1));
}

TEST_CASE("rm removes what is left of a queue, or is of another version, but nothing that is no queue") {
    const scoped_name name("rm-left");
    static_cast<void>(number_queue::create(name, 4, kept));
    const raw_object object(name.path());
    object.write(0, std::uint64_t{12345});
    CHECK(run_tool({"rm", "--force", name.str()}).exit == 5);
    CHECK(name.exists());
    const bool is_unfinished = GENERATE(true, false);
    object.write(0, is_unfinished ? promisqs::detail::layout::unfinished_magic : promisqs::detail::layout::magic);
    if (!is_unfinished) object.write(8, std::uint32_t{77});
    CHECK(run_tool({"rm", name.str()}).exit == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("rm does not wait for ever for a process that is building the queue") {
    const scoped_name name("rm-locked");
    const raw_object object(name.path());
    object.write(0, promisqs::detail::layout::unfinished_magic);
    REQUIRE(object.lock(promisqs::detail::layout::initialising_byte, promisqs::detail::os::lock_kind::exclusive));
    const auto result = run_tool({"rm", name.str()});
    CHECK(result.exit == 5);
    mentions(result.err, {"has not finished", "fuser"});
    CHECK(name.exists());
}

TEST_CASE("close lets consumers have what waits, and says how much that is") {
    const scoped_name name("close");
    auto q = number_queue::create(name, 4);
    REQUIRE(q.push(41));
    const auto result = run_tool({"close", name.str()});
    CHECK(result.exit == 0);
    mentions(result.out, {"closed", "1 message waits"});
    CHECK_FALSE(q.push(42));
    CHECK(q.pop() == 41U);
    const auto again = run_tool({"close", name.str()});
    CHECK(again.exit == 0);
    mentions(again.out, {"closed already", "no message waits"});
    CHECK(run_tool({"close", name.str() + "-no"}).exit == 3);
}

TEST_CASE("close does not remove a queue that no process has open, although it is the last one to close it") {
    const scoped_name name("close-abandoned");
    leave_abandoned(name);
    const auto result = run_tool({"close", name.str()});
    CHECK(result.exit == 0);
    REQUIRE(name.exists());
    CHECK(inspector(name).look().state == queue_state::closed);
    CHECK_FALSE(inspector(name).look().used);
    CHECK(number_queue::open(name).pop() == 41U);
}

TEST_CASE("rm removes no queue that a process has opened since it looked, and ends none in use") {
    const scoped_name name("rm-lock");
    leave_abandoned(name);
    raw_object user(name.path());
    REQUIRE(user.lock(promisqs::detail::layout::users_byte, promisqs::detail::os::lock_kind::shared));
    CHECK(run_tool({"rm", name.str()}).exit == 1);
    CHECK(name.exists());
}

TEST_CASE("advice for a shell quotes what a name holds") {
    const scoped_name name("odd;touch x #'");
    const auto q = number_queue::create(name, 4, kept);
    const auto result = run_tool({"create", name.str(), "--capacity", "1", "--schema", "u8"});
    CHECK(result.exit == 1);
    mentions(result.err, {"promisqs rm 'promisqs-test", "odd;touch x #"});
}
