// SPDX-License-Identifier: Apache-2.0

// Killed all over a consumer's life with messages that it holds: it claims some, releases one in the middle, gives the
// others back, and claims and releases what came back.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/kill_all_over.hpp"
#include "support/ledger.hpp"
#include "support/names.hpp"
#include "support/single_step.hpp"

#include <promisqs/queue.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

using promisqs_test::expect;
using promisqs_test::few_participants;
using promisqs_test::finder;
using promisqs_test::kill_all_over;
using promisqs_test::numbers;
using promisqs_test::scoped_name;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_test::text_of;
using queue = promisqs_test::numbered_queue;

namespace {

/// What a victim has released for sure, and what it was about to release: positions among the messages, plus 1.
struct progress {
    std::atomic<std::uint64_t> released{0};  // a bit each
    std::atomic<std::uint64_t> releasing{0};
};
class shared_progress {
public:
    shared_progress()
        : place_(::mmap(nullptr, sizeof(progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (place_ == MAP_FAILED) throw std::bad_alloc();
        ::new (place_) progress;
    }
    shared_progress(const shared_progress&) = delete;
    shared_progress& operator=(const shared_progress&) = delete;
    ~shared_progress() { ::munmap(place_, sizeof(progress)); }
    progress* operator->() const { return static_cast<progress*>(place_); }

private:
    void* place_;
};

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
