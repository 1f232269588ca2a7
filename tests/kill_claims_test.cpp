// SPDX-License-Identifier: Apache-2.0

// Killed all over a consumer's life with messages that it holds: it claims some, releases one in the middle, gives the
// others back, and claims and releases what came back. And stopped all over another such life, while a second consumer
// takes some of what the first is about to claim, and gives some of that back.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/kill_all_over.hpp"
#include "support/ledger.hpp"
#include "support/names.hpp"
#include "support/single_step.hpp"

#include <promisqs/queue.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

using promisqs_test::call_trace;
using promisqs_test::expect;
using promisqs_test::few_participants;
using promisqs_test::finder;
using promisqs_test::kill_all_over;
using promisqs_test::numbers;
using promisqs_test::scoped_name;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_test::text_of;
using promisqs_test::trials;
using queue = promisqs_test::numbered_queue;

namespace {

/// What a victim has released for sure, and what it was about to release: positions among the messages, plus 1.
struct progress {
    std::atomic<std::uint64_t> released{0};  // a bit each
    std::atomic<std::uint64_t> releasing{0};
};
/// How often each message of a trial was had.
struct takings {
    std::uint64_t first_number = 0;
    std::array<std::atomic<int>, 4> times{};

    void add(std::uint64_t number) { ++times.at(static_cast<std::size_t>(number - first_number)); }
};
/// A `T` in memory that a process shares with its children.
template <class T>
class shared {
public:
    shared() : place_(::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (place_ == MAP_FAILED) throw std::bad_alloc();
        ::new (place_) T;
    }
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    ~shared() { ::munmap(place_, sizeof(T)); }
    T& operator*() const { return *static_cast<T*>(place_); }
    T* operator->() const { return static_cast<T*>(place_); }

private:
    void* place_;
};
using shared_progress = shared<progress>;

constexpr std::uint64_t bit(std::uint64_t i) { return std::uint64_t{1} << i; }

void release(const shared_progress& known, queue::claimed_messages& held, std::uint64_t i, std::uint64_t message) {
    known->releasing = bit(message);
    held.release(i);
    known->released |= bit(message);
    known->releasing = 0;
}

// What a consumer does with three messages: it has had the second and the third in the end, and given back the first.
void consume(queue& q, const shared_progress& known) {
    {
        auto held = q.claim_some(3);
        release(known, held, 1, 1);
    }
    auto first = q.claim_some(3);
    auto third = q.claim_some(3);
    release(known, third, 0, 2);
    first.give_back();
}

// Claims two at a time, releases the second, and gives the first back while it holds others.
void take_all(queue& q, takings& had) {
    for (auto held = q.claim_some(2); !held.empty(); held = q.claim_some(2)) {
        const std::uint64_t last = held.size() - 1;
        had.add(promisqs_test::number_of(held[last]));
        held.release(last);
    }
}

}  // namespace

TEST_CASE("killed at every instruction of claiming, releasing and giving back messages") {
    const scoped_name name("kill-claims");
    auto mine = queue::create(name, 4, few_participants);
    promisqs_test::register_at(mine);
    const shared_progress known;
    numbers before;
    const auto start = [&] {
        known->released = 0;
        known->releasing = 0;
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            step_through([&] { consume(q, known); });
            return 0;
        });
        before = promisqs_test::put_in(mine, 3);
        return victim;
    };
    const auto check = [&](finder by) {
        if (by == finder::recover) static_cast<void>(mine.recover());
        numbers out;
        if (by == finder::newcomer) {
            auto newcomer = queue::open(name);
            out = promisqs_test::drain(newcomer);
        } else {
            out = promisqs_test::drain(mine);
        }
        if (by == finder::stuck_user) {  // it finds the dead only in a while, which another one does not wait for
            static_cast<void>(mine.recover());
            for (const std::uint64_t late : promisqs_test::drain(mine)) out.push_back(late);
        }
        const std::uint64_t released = known->released;
        const std::uint64_t maybe = known->releasing;
        for (std::uint64_t i = 0; i < before.size(); ++i) {
            const auto times = std::count(out.begin(), out.end(), before[i]);
            const bool is_gone = (released & bit(i)) != 0;
            const bool may_be_gone = is_gone || (maybe & bit(i)) != 0;
            expect(times <= 1 && (times == 1 ? !is_gone : may_be_gone),
                   "of " + text_of(before) + ", message " + std::to_string(i) + " was delivered " +
                       std::to_string(times) + " times: " + text_of(out));
        }
        expect(by == finder::stuck_user || std::is_sorted(out.begin(), out.end()), "not in order: " + text_of(out));
        promisqs_test::expect_full_capacity(mine);
        promisqs_test::expect_only_the_living(mine, 1);
    };
    kill_all_over(
        name, "claim, release and give back", 0, start, [&] { check(finder::recover); }, check);
}

TEST_CASE("stopped at every instruction of claiming messages, while another consumer takes some and gives some back") {
    SKIP_IF_STEPPING_IS_REFUSED();
    const scoped_name name("stop-claims");
    auto mine = queue::create(name, 4, few_participants);
    promisqs_test::register_at(mine);
    static_cast<void>(mine.claim_some(1));  // the second participant, from now on
    const shared<takings> had;
    const auto start = [&] {
        for (auto& times : had->times) times = 0;
        auto claimer = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            step_through([&] { take_all(q, *had); });
            return 0;
        });
        had->first_number = promisqs_test::put_in(mine, had->times.size()).front();
        return claimer;
    };
    const auto finish = [&](stepped_process& claimer) {
        expect(claimer.finish() == 0, "the claimer failed");
        for (const std::uint64_t number : promisqs_test::drain(mine)) had->add(number);
        for (std::size_t i = 0; i < had->times.size(); ++i) {
            const int times = had->times.at(i);
            expect(times == 1, "message " + std::to_string(i) + " was had " + std::to_string(times) + " times");
        }
        promisqs_test::expect_full_capacity(mine);
        promisqs_test::expect_only_the_living(mine, 2);
    };
    trials all;
    call_trace trace;
    const bool recorded = all.make(name.path(), "not stopped", [&] {
        const auto claimer = start();
        trace = claimer->record();
        finish(*claimer);
    });
    REQUIRE(recorded);

    for (const std::size_t i : trace.places(promisqs_test::stride_of(trace))) {
        all.make(name.path(), "stopped after " + std::to_string(i) + " instructions", [&] {
            const auto claimer = start();
            claimer->advance(i, trace);
            for (const std::uint64_t wanted : {2U, 1U}) {
                auto held = mine.claim_some(wanted);
                if (held.size() < 2) continue;
                had->add(promisqs_test::number_of(held[0]));
                held.release(0);
            }
            finish(*claimer);
        });
    }
    if (std::getenv("PROMISQS_SHOW_TRIALS") != nullptr) {
        WARN("claim and be stopped: " << trace.size() << " instructions, " << all.made() << " trials");
    }
}
