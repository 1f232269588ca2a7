// SPDX-License-Identifier: Apache-2.0

// Looking into queues of every kind and state without taking part: what an inspector says of them, and that nobody
// notices it.

#include "support/casualties.hpp"
#include "support/catch.hpp"
#include "support/expect_error.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/users.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using promisqs::errc;
using promisqs::inspector;
using promisqs::message_state;
using promisqs::queue_state;
using promisqs_test::become;
using promisqs_test::busy_process;
using promisqs_test::dies_popping;
using promisqs_test::dies_pushing;
using promisqs_test::expect_error;
using promisqs_test::forked;
using promisqs_test::may_become_others;
using promisqs_test::raw_object;
using promisqs_test::scoped_name;
using promisqs_test::wait_for;
using queue = promisqs_test::number_queue;
namespace layout = promisqs::detail::layout;

namespace Catch {
template <>
struct StringMaker<queue_state> {
    static std::string convert(queue_state value) { return std::string(to_string(value)); }
};
}  // namespace Catch

namespace {

struct order {
    std::uint64_t id;
    std::array<char, 12> symbol;
    float price;
};

constexpr promisqs::options kept{.life = promisqs::lifetime::keep};

std::uint64_t number_in(const promisqs::waiting_message& message) {
    std::uint64_t number = 0;
    REQUIRE(message.bytes.size() == sizeof number);
    std::memcpy(&number, message.bytes.data(), sizeof number);
    return number;
}

bool mentions(const std::string& text, std::initializer_list<std::string_view> words) {
    return std::all_of(words.begin(), words.end(), [&](auto word) { return text.find(word) != std::string::npos; });
}

const promisqs::participant_look& of_process(const std::vector<promisqs::participant_look>& all, std::uint32_t pid) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.who.process == pid; });
    if (found == all.end()) throw std::runtime_error("no such participant");
    return *found;
}

bool is_listed(const scoped_name& name, queue_state state) {
    const auto all = promisqs::list_queues();
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& one) { return one.name == name.str() && one.state == state; });
}
bool is_listed(const scoped_name& name) {
    const auto all = promisqs::list_queues();
    return std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.name == name.str(); });
}

}  // namespace

TEST_CASE("an inspector tells what a queue was created with") {
    const scoped_name name("inspect-facts");
    const auto q = promisqs::shmem_queue<order>::create(name, 5,
                                                        {.permissions = 0640,
                                                         .life = promisqs::lifetime::keep,
                                                         .participants = 3,
                                                         .max_deaths = 2,
                                                         .single_consumer = true});

    const auto facts = inspector(name).facts();

    CHECK(facts.capacity == 5);
    CHECK(facts.element_size == sizeof(order));
    CHECK(facts.element_alignment == alignof(order));
    CHECK(facts.slot_stride == 32);
    CHECK(facts.layout_version == layout::version);
    CHECK(facts.schema == "{u64@0 char[12]@8 f32@20}:24:8");
    CHECK(facts.schema_fingerprint != 0);
    CHECK(facts.created_with.permissions == 0640);
    CHECK(facts.created_with.life == promisqs::lifetime::keep);
    CHECK(facts.created_with.participants == 3);
    CHECK(facts.created_with.max_deaths == 2);
    CHECK(facts.created_with.single_consumer);
    CHECK_FALSE(facts.created_with.single_producer);
    CHECK(facts.creator == static_cast<std::uint32_t>(::getpid()));
    CHECK(facts.owner == ::geteuid());
    CHECK(facts.created_at <= std::chrono::system_clock::now());
}

TEST_CASE("an inspector sees a queue in use, then abandoned, then closed") {
    const scoped_name name("inspect-states");
    std::optional<queue> q(queue::create(name, 3, kept));
    REQUIRE(q->push(1));
    const inspector looks(name);

    CHECK(looks.look().state == queue_state::in_use);
    CHECK(is_listed(name, queue_state::in_use));
    CHECK(mentions(looks.look().what, {"a queue of 3 messages of 8 bytes", "1 wait", "in use"}));
    q.reset();
    CHECK(looks.look().state == queue_state::abandoned);
    CHECK(is_listed(name, queue_state::abandoned));
    q.emplace(queue::open(name));
    q->close();
    CHECK(looks.look().state == queue_state::closed);
    CHECK(looks.look().used);
    CHECK(is_listed(name, queue_state::closed));
}

TEST_CASE("an inspector and a tap keep no queue alive") {
    const scoped_name name("inspect-alive");
    std::optional<queue> q(queue::create(name, 3));
    const inspector looks(name);
    auto follows = looks.open_tap();
    REQUIRE(q->push(1));

    q.reset();

    CHECK_FALSE(name.exists());
    CHECK_FALSE(looks.is_named());
    CHECK(looks.look().state == queue_state::abandoned);
    CHECK(follows.next().event == promisqs::tap_event::message);
}

TEST_CASE("an inspector shuts nobody out of any lock") {
    const scoped_name name("inspect-locks");
    { const auto q = queue::create(name, 3, kept); }
    inspector looks(name);
    static_cast<void>(looks.stats());
    static_cast<void>(looks.look());
    const auto follows = looks.open_tap();
    const raw_object object(name.path());

    for (const std::int64_t byte : {layout::initialising_byte, layout::users_byte, layout::recovery_byte}) {
        CHECK(object.lock(byte, promisqs::detail::os::lock_kind::exclusive));
    }
    CHECK(object.lock(layout::participants_byte, promisqs::detail::os::lock_kind::exclusive));
}

TEST_CASE("a user who may only read can inspect a queue") {
    if (!may_become_others()) return;
    const scoped_name name("inspect-reader");
    auto q = queue::create(name, 3, {.permissions = 0604});
    REQUIRE(q.push(7));

    CHECK(wait_for(forked([&] {
              if (!become(promisqs_test::one_member)) return 2;
              inspector looks(name);
              auto follows = looks.open_tap(promisqs::tap_start::oldest_waiting);
              const bool seen = looks.look().state == queue_state::in_use && looks.stats().participants.size() == 1 &&
                                looks.stats().participants[0].alive && number_in(looks.peek().value()) == 7 &&
                                follows.next().event == promisqs::tap_event::message && is_listed(name);
              return seen ? 0 : 1;
          })) == 0);
    CHECK(::chmod(name.path().c_str(), 0600) == 0);
    CHECK(wait_for(forked([&] {
              if (!become(promisqs_test::one_member)) return 2;
              expect_error(errc::no_permission, {name, "reading is needed"}, [&] { inspector looks(name); });
              return is_listed(name) ? 1 : 0;
          })) == 0);
}

TEST_CASE("a name that leads to nothing, or is none, is an error") {
    const scoped_name name("inspect-nothing");
    expect_error(errc::not_found, {name, "found none"}, [&] { inspector looks(name); });
    expect_error(errc::invalid_name, {"a/b"}, [&] { inspector looks("a/b"); });
    CHECK_FALSE(is_listed(name));
}

TEST_CASE("an inspector says that an object is no queue") {
    const scoped_name name("inspect-foreign");
    const std::string what = GENERATE("a few bytes", "many bytes", "a pipe", "a folder", "a link");
    CAPTURE(what);
    if (what == "a few bytes") raw_object(name.path()).write(0, std::uint32_t{1});
    if (what == "many bytes") raw_object(name.path()).resize(10'000);
    if (what == "a pipe") REQUIRE(::mkfifo(name.path().c_str(), 0600) == 0);
    if (what == "a folder") REQUIRE(::mkdir(name.path().c_str(), 0700) == 0);
    if (what == "a link") REQUIRE(::symlink("/proc/version", name.path().c_str()) == 0);
    {
        inspector looks(name);
        CHECK(looks.look().state == queue_state::not_a_queue);
        expect_error(errc::not_a_queue, {name, "expected a promisqs queue"}, [&] { static_cast<void>(looks.stats()); });
        expect_error(errc::not_a_queue, {name}, [&] { static_cast<void>(looks.open_tap()); });
        CHECK_FALSE(is_listed(name));
    }
    if (what == "a folder") REQUIRE(::rmdir(name.path().c_str()) == 0);
}

TEST_CASE("an inspector says that a queue is not finished, and whether a process is building it") {
    const scoped_name name("inspect-unfinished");
    const raw_object object(name.path());
    const bool empty = GENERATE(false, true);
    if (!empty) object.write(0, layout::unfinished_magic);
    const inspector looks(name);

    CHECK(looks.look().state == queue_state::unfinished);
    CHECK_FALSE(looks.look().locked);
    CHECK(mentions(looks.look().what, {"its creator died"}));
    CHECK(is_listed(name) == !empty);

    REQUIRE(object.lock(layout::initialising_byte, promisqs::detail::os::lock_kind::exclusive));
    CHECK(looks.look().state == queue_state::unfinished);
    CHECK(looks.look().locked);
    CHECK(mentions(looks.look().what, {"a process is building"}));
    CHECK(is_listed(name, queue_state::unfinished));
}

TEST_CASE("an inspector says which layout version a queue has") {
    const scoped_name name("inspect-layout");
    const auto q = queue::create(name, 3);
    raw_object(name.path()).write(8, std::uint32_t{77});
    inspector looks(name);

    CHECK(looks.look().state == queue_state::other_layout);
    CHECK(mentions(looks.look().what, {"expected layout version 4", "found 77"}));
    CHECK(is_listed(name, queue_state::other_layout));
    expect_error(errc::layout_version_differs, {"77"}, [&] { static_cast<void>(looks.facts()); });
}

TEST_CASE("an inspector tells how large a file is, and whose, also if it can't be read as a queue") {
    const scoped_name name("inspect-file");
    const raw_object object(name.path());
    object.resize(10'000);
    REQUIRE(::fchmod(object.descriptor(), 0640) == 0);

    const auto found = inspector(name).look();

    CHECK(found.state == queue_state::not_a_queue);
    CHECK(found.file_size == 10'000);
    CHECK(found.owner == ::geteuid());
    CHECK(found.permissions == 0640);
}

TEST_CASE("an inspector says which field of a queue is impossible") {
    const scoped_name name("inspect-corrupt");
    const auto q = queue::create(name, 3);
    const raw_object object(name.path());
    inspector looks(name);

    SECTION("in the header") {
        object.write(32, std::uint64_t{0});
        CHECK(mentions(looks.look().what, {"`capacity`", "found 0"}));
    }
    SECTION("in the counters") {
        object.write(384, std::uint64_t{200});
        CHECK(mentions(looks.look().what, {"a ticket as head", "found 200"}));
    }
    SECTION("the file is cut short") {
        object.resize(1200);
        CHECK(mentions(looks.look().what, {"segment size"}));
    }
    SECTION("the file is cut to less than a header") {
        object.resize(100);
        CHECK(mentions(looks.look().what, {"found 100"}));
    }
    CHECK(looks.look().state == queue_state::corrupt);
    CHECK(is_listed(name, queue_state::corrupt));
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(looks.participants()); });
    expect_error(errc::corrupt, {name}, [&] { static_cast<void>(looks.peek()); });
}

TEST_CASE("a file that claims elements of terabytes, without having them, is refused") {
    const scoped_name name("inspect-sparse");
    { const auto q = queue::create(name, 1, kept); }
    const raw_object object(name.path());
    const auto plan = layout::make_plan(std::uint64_t{1} << 40, 8, 1, 256, 3);
    object.resize(plan.segment_size);
    object.write(16, std::uint64_t{1} << 40);
    object.write(40, plan.slot_stride);
    object.write(48, static_cast<std::uint32_t>(plan.payload_offset));
    object.write(52, static_cast<std::uint32_t>(plan.stamp_offset));
    object.write(56, plan.slots_offset);
    object.write(112, plan.segment_size);

    const inspector looks(name);

    CHECK(looks.look().state == queue_state::corrupt);
    CHECK(mentions(looks.look().what, {"reserved bytes"}));
}

TEST_CASE("an inspector's statistics are those of the queue") {
    const scoped_name name("inspect-stats");
    auto q = queue::create(name, 4);
    for (std::uint64_t i = 0; i < 4; ++i) REQUIRE(q.push(i));
    REQUIRE(q.pop() == 0U);
    dies_popping(q);
    q.recover();

    const auto ours = q.stats();
    const auto found = inspector(name).stats();

    CHECK(found.size == ours.size);
    CHECK(found.size == 3);
    CHECK(found.capacity == ours.capacity);
    CHECK(found.pushed == ours.pushed);
    CHECK(found.popped == ours.popped);
    CHECK(found.redelivered == 1);
    CHECK(found.tombstones == ours.tombstones);
    CHECK(found.dropped == ours.dropped);
    CHECK(found.closed == ours.closed);
    CHECK(found.being_recovered == ours.being_recovered);
    REQUIRE(found.participants.size() == ours.participants.size());
    for (std::size_t i = 0; i < found.participants.size(); ++i) {
        CHECK(found.participants[i].process == ours.participants[i].process);
        CHECK(found.participants[i].thread == ours.participants[i].thread);
        CHECK(found.participants[i].since == ours.participants[i].since);
        CHECK(found.participants[i].alive == ours.participants[i].alive);
    }
}

TEST_CASE("an inspector shows what a stopped process holds, that it lives, and since when it has been seen") {
    const scoped_name name("inspect-stopped");
    auto q = queue::create(name, 4);
    const bool pushes = GENERATE(true, false);
    REQUIRE(q.push(41));
    inspector looks(name);
    busy_process other([&](auto in_the_middle) {
        if (pushes) {
            static_cast<void>(q.push_with([&](std::uint64_t& slot) {
                slot = 42;
                in_the_middle();
            }));
        } else {
            q.pop_with([&](const std::uint64_t&) { in_the_middle(); });
        }
    });
    other.stop();
    const std::uint32_t pid = other.pid();

    const auto first = looks.participants();
    const auto second = looks.participants();
    const auto& seen = of_process(second, pid);
    const auto& held = pushes ? seen.push : seen.pop;
    CHECK(seen.who.alive);
    REQUIRE(held);
    CHECK(held->first == (pushes ? 1U : 0U));
    CHECK(held->count == 1);
    CHECK(held->at_least > std::chrono::nanoseconds(0));
    CHECK_FALSE((pushes ? seen.pop : seen.push));
    CHECK((pushes ? seen.who.pushing : seen.who.popping) == held->first);

    if (pushes) {
        REQUIRE(q.pop() == 41U);
        const auto stalled = looks.stats().head;
        REQUIRE(stalled);
        CHECK(stalled->message == 1);
        REQUIRE(stalled->by);
        CHECK(stalled->by->process == pid);
        CHECK(stalled->at_least >= held->at_least);
        CHECK(looks.peek().value().state == message_state::pushing);
        CHECK(looks.peek().value().bytes.empty());
    }
    other.kill();
    CHECK_FALSE(of_process(looks.participants(), pid).who.alive);
    CHECK(of_process(first, pid).who.alive);
}

TEST_CASE("an inspector tells producers from consumers, and what each did last") {
    const scoped_name name("inspect-roles");
    auto q = queue::create(name, 4, kept);
    inspector looks(name);
    for (const std::uint64_t i : {40U, 41U}) REQUIRE(q.push(i));
    const auto pid = static_cast<std::uint32_t>(::getpid());
    const auto producer = of_process(looks.participants(), pid);
    const auto other = forked([&] { return q.pop() == 40U ? 0 : 1; });
    REQUIRE(wait_for(other) == 0);
    const auto consumer = of_process(looks.participants(), static_cast<std::uint32_t>(other));
    REQUIRE(q.pop() == 41U);
    const auto both = of_process(looks.participants(), pid);

    CHECK(producer.last_push == 1U);
    CHECK_FALSE(producer.last_pop);
    CHECK_FALSE(consumer.last_push);
    CHECK(consumer.last_pop == 0U);
    CHECK((both.last_push == 1U && both.last_pop == 1U));
}

TEST_CASE("an inspector shows how much of a batch a participant still holds") {
    const scoped_name name("inspect-batch");
    auto q = queue::create(name, 8, kept);
    REQUIRE(q.push(0));
    REQUIRE(q.pop() == 0U);
    const raw_object object(name.path());
    const auto plan = layout::make_plan(8, 8, 8, 256, inspector(name).facts().schema.size());
    // Tickets 1 to 5 are claimed at once; the first two are published.
    object.write(1152 + 40, std::uint64_t{5});
    object.write(1152 + 32, std::uint64_t{1});
    object.write(256, std::uint64_t{6});
    for (const std::uint64_t i : {1U, 2U})
        object.write(plan.slots_offset + i * plan.slot_stride + plan.stamp_offset, std::uint64_t{1});

    const auto all = inspector(name).participants();

    REQUIRE(all.size() == 1);
    REQUIRE(all[0].push);
    CHECK(all[0].push->first == 3);
    CHECK(all[0].push->count == 3);
}

TEST_CASE("an inspector shows who holds a single role") {
    const scoped_name name("inspect-role");
    auto q = queue::create(name, 4, {.single_producer = true});
    REQUIRE(q.push(1));
    const auto all = inspector(name).participants();
    REQUIRE(all.size() == 1);
    CHECK(all[0].sole_producer);
    CHECK_FALSE(all[0].sole_consumer);
}

TEST_CASE("an inspector copies any waiting message, and takes none") {
    const scoped_name name("inspect-peek");
    auto q = queue::create(name, 5);
    for (std::uint64_t i = 0; i < 3; ++i) {
        REQUIRE(q.push(i));
        REQUIRE(q.pop() == i);
    }
    for (std::uint64_t i = 10; i < 15; ++i) REQUIRE(q.push(i));
    const inspector looks(name);

    for (std::uint64_t i = 0; i < 5; ++i) {
        const auto found = looks.peek(i);
        REQUIRE(found);
        CHECK(found->number == 3 + i);
        CHECK(found->state == message_state::ready);
        CHECK(number_in(*found) == 10 + i);
    }
    CHECK_FALSE(looks.peek(5));
    CHECK_FALSE(looks.peek(~std::uint64_t{0}));
    for (std::uint64_t i = 10; i < 15; ++i) CHECK(q.pop() == i);
    CHECK_FALSE(looks.peek());
}

TEST_CASE("an inspector shows tombstones, and messages that came back") {
    const scoped_name name("inspect-irregular");
    auto q = queue::create(name, 4);
    REQUIRE(q.push(41));
    dies_pushing(q);
    REQUIRE(q.push(42));
    dies_popping(q);
    q.recover();
    const inspector looks(name);

    REQUIRE(looks.peek());
    CHECK(looks.peek()->state == message_state::tombstone);
    CHECK(looks.peek()->bytes.empty());
    REQUIRE(looks.peek(1));
    CHECK(number_in(*looks.peek(1)) == 42);
    const auto returned = looks.returned(10);
    REQUIRE(returned.size() == 1);
    CHECK(returned[0].number == 0);
    CHECK(returned[0].state == message_state::to_redeliver);
    CHECK(returned[0].deaths == 1);
    CHECK(number_in(returned[0]) == 41);
    CHECK(looks.returned(0).empty());
    CHECK(looks.look().what.find("2 wait") != std::string::npos);
}

TEST_CASE("an inspector sees that a long row of messages is held, whichever of them are left") {
    const scoped_name name("inspect-held");
    constexpr std::uint64_t messages = 6000;
    auto q = queue::create(name, messages);
    for (std::uint64_t i = 0; i < messages; ++i) REQUIRE(q.push(i));
    auto held = q.claim_some(messages);
    REQUIRE(held.size() == messages);
    const std::uint64_t left = GENERATE(0U, 10U, 4500U, messages - 1);
    for (std::uint64_t i = 0; i < messages; ++i) {
        if (i != left) held.release(i);
    }

    const auto participants = inspector(name).participants();

    CHECK(std::count_if(participants.begin(), participants.end(),
                        [](const auto& one) { return one.pop.has_value(); }) == 1);
}

TEST_CASE("all queues here are listed in the order of their names") {
    const scoped_name second("inspect-list-2");
    const scoped_name first("inspect-list-1");
    const auto q2 = queue::create(second, 1);
    const auto q1 = queue::create(first, 1);

    const auto all = promisqs::list_queues();

    const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
    CHECK(std::is_sorted(all.begin(), all.end(), by_name));
    CHECK(is_listed(first, queue_state::in_use));
    CHECK(is_listed(second, queue_state::in_use));
}
