// SPDX-License-Identifier: Apache-2.0

// Killed all over the calls that wait, that wake, that move several messages, and that claim by plain stores.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/kill_all_over.hpp"
#include "support/ledger.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/single_step.hpp"
#include "support/sleepers.hpp"

#include <promisqs/queue.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using promisqs::status;
using promisqs_test::at_once_asleep;
using promisqs_test::await_sleeper;
using promisqs_test::expect;
using promisqs_test::expect_full_capacity;
using promisqs_test::expect_intact;
using promisqs_test::expect_only_the_living;
using promisqs_test::few_participants;
using promisqs_test::finder;
using promisqs_test::forked;
using promisqs_test::fresh_number;
using promisqs_test::kill_all_over;
using promisqs_test::numbered;
using promisqs_test::numbers;
using promisqs_test::scoped_name;
using promisqs_test::shared_answer;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_test::text_of;
using promisqs_test::wait_for;
using queue = promisqs_test::numbered_queue;
using namespace std::chrono_literals;

namespace {

// All messages that wait.
numbers drained_as(finder by, const scoped_name& name, queue& mine) {
    if (by == finder::newcomer) {
        auto newcomer = queue::open(name);
        return promisqs_test::drain(newcomer);
    }
    if (by == finder::recover) static_cast<void>(mine.recover());
    return promisqs_test::drain(mine);
}

// The same, by a handle that is opened for it.
numbers drained_by_another(finder by, const scoped_name& name) {
    auto q = queue::open(name);
    return drained_as(by, name, q);
}

// The first so many.
bool begins_with(const numbers& all, const numbers& first) {
    return first.size() <= all.size() && std::equal(first.begin(), first.end(), all.begin());
}

// One way to wait for room, and for a message; with a limit, and without.
struct waiting_calls {
    const char* name;
    status (*push)(queue&, const numbered&);
    status (*push_for)(queue&, const numbered&, std::chrono::milliseconds);
    status (*pop)(queue&, numbered&);
    status (*pop_for)(queue&, numbered&, std::chrono::milliseconds);
};

constexpr waiting_calls by_copy{
    "by copy", [](queue& q, const numbered& in) { return q.push_wait(in); },
    [](queue& q, const numbered& in, std::chrono::milliseconds limit) { return q.push_wait_for(in, limit); },
    [](queue& q, numbered& out) { return q.pop_wait(out); },
    [](queue& q, numbered& out, std::chrono::milliseconds limit) { return q.pop_wait_for(out, limit); }};

constexpr waiting_calls in_place{
    "in place", [](queue& q, const numbered& in) { return q.push_wait_with([&](numbered& slot) { slot = in; }); },
    [](queue& q, const numbered& in, std::chrono::milliseconds limit) {
        return q.push_wait_with_for([&](numbered& slot) { slot = in; }, limit);
    },
    [](queue& q, numbered& out) { return q.pop_wait_with([&](const numbered& slot) { out = slot; }); },
    [](queue& q, numbered& out, std::chrono::milliseconds limit) {
        return q.pop_wait_with_for([&](const numbered& slot) { out = slot; }, limit);
    }};

// A victim that wants to wait, and does not get anything.
void kill_in_wait_for_nothing(const waiting_calls& calls, bool producer) {
    const scoped_name name("kill-wait");
    auto mine = queue::create(name, 2, few_participants);
    promisqs_test::register_at(mine);
    numbers before;
    const auto start = [&] {
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            q.set_wait_policy(at_once_asleep);
            promisqs_test::register_at(q);
            const numbered in = numbered::make(1);
            numbered out{};
            status result{};
            step_through([&] { result = producer ? calls.push_for(q, in, 15ms) : calls.pop_for(q, out, 15ms); });
            return result == status::timed_out ? 0 : 1;
        });
        before = promisqs_test::put_in(mine, producer ? 2 : 0);
        return victim;
    };
    const auto check = [&](finder by) { expect_intact(name, mine, before, by); };
    kill_all_over(
        name, std::string(producer ? "wait for room, " : "wait for a message, ") + calls.name, 0, start,
        [&] { check(finder::recover); }, check);
}

// A victim that pushes while a consumer sleeps: which must wake up, at the latest when another process pushes.
void kill_while_waking(const waiting_calls& calls) {
    const scoped_name name("kill-wake");
    auto mine = queue::create(name, 2, few_participants);
    promisqs_test::register_at(mine);
    shared_answer answer;
    ::pid_t sleeper = 0;
    std::uint64_t number = 0;
    const auto start = [&] {
        number = fresh_number();
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            const numbered in = numbered::make(number);
            status result{};
            step_through([&] { result = calls.push(q, in); });
            return result == status::ok ? 0 : 1;
        });
        sleeper = forked([&] {
            auto q = queue::open(name);
            q.set_wait_policy(at_once_asleep);
            return calls.pop(q, answer->message) == status::ok ? 0 : 1;
        });
        await_sleeper(mine);
        return victim;
    };
    const auto check = [&](finder by) {
        const std::uint64_t ours = fresh_number();
        expect(mine.push_wait(numbered::make(ours)) == status::ok, "a push into an open queue failed");
        expect(wait_for(sleeper) == 0, "the sleeper failed");
        const std::uint64_t got = promisqs_test::number_of(answer->message);
        expect(got == number || got == ours, "the sleeper got " + std::to_string(got));
        expect_intact(name, mine, got == number ? numbers{ours} : numbers{}, by);
    };
    kill_all_over(
        name, std::string("push while a consumer sleeps, ") + calls.name, 0, start, [&] { check(finder::recover); },
        check);
}

// A victim that pops in place from a full queue while a producer sleeps in place: which must get room, at the latest
// when another process pops. The victim's message is delivered again, unless its callable has got it.
void kill_pop_while_a_producer_sleeps() {
    const scoped_name name("kill-wake-push");
    auto keeper = queue::create(name, 2, few_participants);
    std::optional<queue> mine;
    shared_answer answer;
    ::pid_t sleeper = 0;
    numbers before;
    std::uint64_t number = 0;
    const auto start = [&] {
        number = fresh_number();
        *answer = {};
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            status result{};
            step_through([&] { result = in_place.pop(q, answer->message); });
            return result == status::ok ? 0 : 1;
        });
        auto filler = queue::open(name);
        before = promisqs_test::put_in(filler, 2);
        sleeper = forked([&] {
            auto q = queue::open(name);
            q.set_wait_policy(at_once_asleep);
            return in_place.push(q, numbered::make(number)) == status::ok ? 0 : 1;
        });
        await_sleeper(filler, promisqs::detail::role::producer);
        return victim;
    };
    const auto check = [&](finder by) {
        mine.emplace(queue::open(name));
        mine->set_wait_policy(at_once_asleep);
        numbers out;
        while (!promisqs_test::holds(out, number)) {
            numbered message{};
            expect(mine->pop_wait(message) == status::ok, "a pop from an open queue failed");
            out.push_back(promisqs_test::number_of(message));
            expect(out.size() <= 3, "there is no end of messages");
        }
        expect(wait_for(sleeper) == 0, "the sleeper failed");
        const numbers rest = drained_as(by, name, *mine);
        out.insert(out.end(), rest.begin(), rest.end());
        const bool again = promisqs_test::holds(out, before[0]);
        const std::string found =
            "waiting " + text_of(before) + ", pushed " + std::to_string(number) + ", found " + text_of(out);
        expect(promisqs_test::same_numbers(promisqs_test::without(out, before[0]), {before[1], number}), found);
        expect(again || answer->message.number == before[0], "lost: " + found);
        expect_full_capacity(*mine);
        expect_only_the_living(*mine, 1);
        mine.reset();
    };
    kill_all_over(
        name, "pop in place while a producer sleeps", 0, start, [&] { check(finder::recover); }, check);
}

// Whether a process is blocked in the kernel; one that is stopped between two steps is not.
bool is_blocked(::pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto end_of_name = text.rfind(") ");
    return end_of_name != std::string::npos && text.at(end_of_name + 2) == 'S';
}

// A process that does something once a victim sleeps, unless it is told before that it need not.
class at_its_sleep {
public:
    template <class Action>
    at_its_sleep(::pid_t victim, Action action) : not_needed_(1) {
        pid_ = forked([&] {
            while (!is_blocked(victim)) {
                if (not_needed_[0].load()) return 1;
                std::this_thread::yield();
            }
            return action() ? 0 : 2;
        });
    }
    // Whether it has done it.
    bool finish() {
        not_needed_[0].store(true);
        const int result = wait_for(pid_);
        expect(result == 0 || result == 1, "what was to end the sleep failed");
        return result == 0;
    }

private:
    promisqs_test::shared_array<std::atomic<bool>> not_needed_;
    ::pid_t pid_ = 0;
};

// A victim that sleeps until a message comes. It is killed before, in its sleep, or with the message, which must then
// be delivered again, unless the victim has got it.
void kill_in_a_pop_that_is_woken() {
    const scoped_name name("kill-woken-pop");
    auto mine = queue::create(name, 2, few_participants);
    promisqs_test::register_at(mine);
    shared_answer answer;
    std::optional<at_its_sleep> producer;
    std::uint64_t number = 0;
    const auto start = [&] {
        number = fresh_number();
        *answer = {};
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            q.set_wait_policy(at_once_asleep);
            promisqs_test::register_at(q);
            status result{};
            step_through([&] { result = in_place.pop(q, answer->message); });
            return result == status::ok ? 0 : 1;
        });
        producer.emplace(victim->pid(), [&] { return queue::open(name).push(numbered::make(number)); });
        return victim;
    };
    const auto check = [&](finder by) {
        const bool pushed = producer->finish();
        const bool received = answer->message.number == number;
        expect(pushed || !received, "a message came before it was pushed");
        const numbers out = drained_by_another(by, name);
        expect(out == numbers{number} || (out.empty() && (received || !pushed)),
               "pushed " + std::to_string(number) + ", found " + text_of(out));
        expect_intact(name, mine, {}, by);
    };
    kill_all_over(
        name, "pop in place that sleeps and is woken", 0, start, [&] { check(finder::recover); }, check);
}

// A victim that sleeps until there is room. Its message is there, or not.
void kill_in_a_push_that_is_woken() {
    const scoped_name name("kill-woken-push");
    auto mine = queue::create(name, 2, few_participants);
    promisqs_test::register_at(mine);
    numbers before;
    std::optional<at_its_sleep> consumer;
    std::uint64_t number = 0;
    const auto start = [&] {
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            q.set_wait_policy(at_once_asleep);
            promisqs_test::register_at(q);
            const numbered in = numbered::make(number);
            status result{};
            step_through([&] { result = in_place.push(q, in); });
            return result == status::ok ? 0 : 1;
        });
        before = promisqs_test::put_in(mine, 2);
        consumer.emplace(victim->pid(), [&] { return queue::open(name).pop().has_value(); });
        return victim;
    };
    const auto check = [&](finder by) {
        if (consumer->finish()) before.erase(before.begin());
        const numbers out = drained_by_another(by, name);
        expect(promisqs_test::without(out, number) == before && (out.size() < 2 || begins_with(out, before)),
               "waiting " + text_of(before) + ", found " + text_of(out));
        expect_intact(name, mine, {}, by);
    };
    number = fresh_number();
    kill_all_over(
        name, "push in place that sleeps and is woken", 0, start, [&] { check(finder::recover); }, check);
}

struct batch_setting {
    std::uint64_t capacity;
    std::uint64_t filling;  // messages that wait
    bool single;            // roles, of which the victim has one
};

// A victim that pushes three at once. Each is there, or not; none that was claimed after one that is missing, because
// it writes them in order.
void kill_in_push_of_three(const batch_setting& how) {
    const scoped_name name("kill-push-3");
    promisqs::options wanted = few_participants;
    wanted.single_producer = how.single;
    auto keeper = queue::create(name, how.capacity, wanted);
    std::optional<queue> mine;
    numbers before;
    numbers all;
    const auto start = [&] {
        before.clear();
        all.clear();
        for (std::uint64_t i = 0; i < how.filling; ++i) before.push_back(fresh_number());
        for (int i = 0; i < 3; ++i) all.push_back(fresh_number());
        return std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            for (const std::uint64_t number : before) {
                if (!q.push(numbered::make(number))) return 1;
            }
            std::array<numbered, 3> in{};
            std::transform(all.begin(), all.end(), in.begin(), numbered::make);
            std::uint64_t done = 0;
            step_through([&] { done = q.push_some(in); });
            return done == std::min<std::uint64_t>(3, how.capacity - how.filling) ? 0 : 2;
        });
    };
    const auto check = [&](finder by) {
        mine.emplace(queue::open(name));
        numbers out = drained_as(by, name, *mine);
        expect(begins_with(out, before), "waiting " + text_of(before) + ", found " + text_of(out));
        out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(before.size()));
        expect(begins_with(all, out), "the victim's " + text_of(all) + ", found " + text_of(out));
        expect_full_capacity(*mine);
        expect_only_the_living(*mine, 1);
        mine.reset();
    };
    kill_all_over(
        name, how.single ? "push_some of a single producer" : "push_some", how.filling, start,
        [&] { check(finder::recover); }, check);
}

// A victim that pops three at once. Each is delivered to another consumer, later than the others, or was released, in
// order.
void kill_in_pop_of_three(const batch_setting& how) {
    const scoped_name name("kill-pop-3");
    promisqs::options wanted = few_participants;
    wanted.single_consumer = how.single;
    wanted.single_producer = how.single;
    auto keeper = queue::create(name, how.capacity, wanted);
    std::optional<queue> mine;
    numbers before;
    const auto start = [&] {
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            std::array<numbered, 3> out{};
            static_cast<void>(q.pop_some(out));  // so that it is known
            std::uint64_t done = 0;
            step_through([&] { done = q.pop_some(out); });
            return done > 0 ? 0 : 2;
        });
        auto filler = queue::open(name);
        before = promisqs_test::put_in(filler, how.filling);
        return victim;
    };
    const auto check = [&](finder by) {
        mine.emplace(queue::open(name));
        const numbers out = drained_as(by, name, *mine);
        const numbers rest(before.begin() + 3, before.end());
        numbers again;
        for (const std::uint64_t number : out) {
            expect(promisqs_test::holds(before, number), "found " + std::to_string(number));
            if (!promisqs_test::holds(rest, number)) again.push_back(number);
        }
        expect(out.size() == again.size() + rest.size() || out == before,
               "waiting " + text_of(before) + ", found " + text_of(out));
        expect(std::ranges::is_sorted(again), "delivered again " + text_of(again));
        expect(again.empty() || rest.empty() || promisqs_test::holds(again, before[before.size() - rest.size() - 1]),
               "released out of order: waiting " + text_of(before) + ", found " + text_of(out));
        expect_full_capacity(*mine);
        expect_only_the_living(*mine, 1);
        mine.reset();
    };
    kill_all_over(
        name, how.single ? "pop_some of a single consumer" : "pop_some", how.filling, start,
        [&] { check(finder::recover); }, check);
}

}  // namespace

TEST_CASE("killed in a wait for nothing") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_wait_for_nothing(by_copy, false);
    kill_in_wait_for_nothing(by_copy, true);
}

TEST_CASE("killed in a wait in place for nothing") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_wait_for_nothing(in_place, false);
    kill_in_wait_for_nothing(in_place, true);
}

TEST_CASE("killed in a pop in place that sleeps until a message comes") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_a_pop_that_is_woken();
}

TEST_CASE("killed in a push in place that sleeps until there is room") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_a_push_that_is_woken();
}

TEST_CASE("killed in a push while a consumer sleeps") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_while_waking(by_copy);
}

TEST_CASE("killed in a push in place while a consumer sleeps in place") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_while_waking(in_place);
}

TEST_CASE("killed in a pop in place while a producer sleeps in place") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_pop_while_a_producer_sleeps();
}

TEST_CASE("killed in a push of several at once") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_push_of_three({3, 0, false});
    kill_in_push_of_three({8, 2, false});
    kill_in_push_of_three({4, 2, true});
    kill_in_push_of_three({8, 3, true});
}

TEST_CASE("killed in a pop of several at once") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_pop_of_three({3, 3, false});
    kill_in_pop_of_three({8, 5, false});
    kill_in_pop_of_three({3, 3, true});
}
