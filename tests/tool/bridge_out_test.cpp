// SPDX-License-Identifier: Apache-2.0

// The parts of a bridge from a queue into a stream that need no server.

#include "support/catch.hpp"
#include "support/names.hpp"

#include "bridge/out_window.hpp"
#include "bridge/publish_answer.hpp"
#include "bridge/queue_identity.hpp"
#include "bridge/server_options.hpp"

#include <promisqs/untyped_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace promisqs_test;
using namespace promisqs_tool;

namespace {

constexpr const char* schema = "u64";

void push(promisqs::untyped_queue& to, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
        REQUIRE(to.push(std::vector<std::byte>(8, std::byte(i))));
    }
}

}  // namespace

TEST_CASE("a stream's acknowledgement is read, in whatever form it comes") {
    for (const char* const text :
         {R"({"stream":"orders","seq":17})", R"({"stream":"orders", "seq":17})", R"({"seq":17,"stream":"orders"})",
          R"({"stream":"orders","domain":"hub","seq":17})", R"({"stream":"orders","seq":17,"duplicate":false})"}) {
        INFO(text);
        const auto answer = read_answer(text, "orders");
        CHECK(answer.is_stored);
        CHECK(!answer.is_duplicate);
    }
    const auto answer = read_answer(R"({"stream":"orders","seq":17,"duplicate": true})", "orders");
    CHECK(answer.is_stored);
    CHECK(answer.is_duplicate);
}

TEST_CASE("an answer that acknowledges nothing says why") {
    const auto full = read_answer(
        R"({"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"orders","seq":0})",
        "orders");
    CHECK(!full.is_stored);
    CHECK(full.error == 10077);
    CHECK(full.why == "maximum messages exceeded (error 10077)");
    for (const char* const text :
         {"", "+OK", "[]", "{}", R"({"error":1})", R"({"error":{"err_code":"x"}})", R"({"stream":1})",
          R"({"stream":"orders)", R"({"stream":"orders","seq":17)", R"({"stream":"order","seq":17})",
          R"({"stream":"orders2","seq":17})", R"({"stream":"orders","error":{"description":"no"},"seq":17})"}) {
        INFO(text);
        const auto answer = read_answer(text, "orders");
        CHECK(!answer.is_stored);
        CHECK(!answer.why.empty());
    }
}

TEST_CASE("a server's address is shown without the password in it") {
    CHECK(shown_url("nats://me:secret@host:4222") == "nats://host:4222");
    CHECK(shown_url("nats://token@host") == "nats://host");
    CHECK(shown_url("nats://me:s/e@cret@host") == "nats://host");
    CHECK(shown_url("me:secret@host") == "host");
    CHECK(shown_url("tls://host:4222") == "tls://host:4222");
    CHECK(shown_url("host:4222") == "host:4222");
}

TEST_CASE("addresses may be given one by one, or as a list") {
    server_options wanted;
    wanted.urls = {"nats://a:1, nats://b:2,", "nats://c:3"};
    CHECK(server_urls(wanted) == std::vector<std::string>{"nats://a:1", "nats://b:2", "nats://c:3"});
}

TEST_CASE("a queue has another identity than one of the same name before it") {
    const scoped_name name("identity");
    std::uint64_t first = 0;
    {
        const auto queue = promisqs::untyped_queue::create(name.str(), 8, schema);
        first = identity_of_queue(name.str());
        CHECK(identity_of_queue(name.str()) == first);
    }
    const auto queue = promisqs::untyped_queue::create(name.str(), 8, schema);
    CHECK(identity_of_queue(name.str()) != first);
}

TEST_CASE("a message leaves the queue when it is acknowledged, in whatever order") {
    const scoped_name name("window");
    auto queue = promisqs::untyped_queue::create(name.str(), 8, schema);
    push(queue, 8);
    out_window window(4);
    window.add(queue.claim_some(window.room()));
    REQUIRE(window.size() == 4);
    CHECK(window.room() == 0);
    CHECK(window.acknowledge(2));
    CHECK(!window.acknowledge(2));
    CHECK(window.first() == 0);  // two messages are before it
    CHECK(window.room() == 0);
    CHECK(window.acknowledge(0));
    CHECK(window.first() == 1);
    CHECK(window.acknowledge(1));
    CHECK(window.first() == 3);
    CHECK(window.room() == 3);
    CHECK(window.at(3).number == 3);
    CHECK(!window.acknowledge(4));  // not claimed yet
    CHECK(window.give_back() == 1);
    const auto again = queue.claim_some(8);
    REQUIRE(again.size() == 1);
    CHECK(again.number(0) == 3);
}

TEST_CASE("a window that was full is filled again by claims of many messages") {
    const scoped_name name("refill");
    auto queue = promisqs::untyped_queue::create(name.str(), 256, schema);
    push(queue, 256);
    out_window window(64);
    window.add(queue.claim_some(window.room()));
    REQUIRE(window.size() == 64);
    for (std::uint64_t place = 0; place < 7; ++place) {
        window.acknowledge(place);
        CHECK(window.room() == 0);
    }
    window.acknowledge(7);
    CHECK(window.room() == 8);
}

TEST_CASE("a window makes no more claims than the queue has participants for") {
    const scoped_name name("claims");
    promisqs::options few;
    few.participants = 3;
    auto queue = promisqs::untyped_queue::create(name.str(), 64, schema, few);
    push(queue, 32);  // takes one
    out_window window(64);
    for (int i = 0; i < 2; ++i) window.add(queue.claim_some(1));
    CHECK_THROWS_AS(queue.claim_some(1), promisqs::queue_error);
    CHECK(window.limit_claims());
    CHECK(window.room() == 0);
    window.acknowledge(0);
    REQUIRE(window.room() == 63);
    window.add(queue.claim_some(window.room()));
    CHECK(window.size() == 31);
    CHECK(window.room() == 0);
}
