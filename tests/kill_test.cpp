// SPDX-License-Identifier: Apache-2.0

// Killed at every instruction: a victim makes one call, and is killed before its first machine instruction, after its
// first, after its second, and so on to its last, each time in a new process. Each time, the survivors must find every
// message that is owed to them, whole and once, and a queue that works to its full capacity.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/kill_all_over.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/raw_object.hpp"
#include "support/refused_calls.hpp"
#include "support/single_step.hpp"
#include "support/skip.hpp"
#include "support/users.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/birth.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/queue.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using promisqs::status;
using promisqs_test::call_trace;
using promisqs_test::expect;
using promisqs_test::expect_intact;
using promisqs_test::expect_only_the_living;
using promisqs_test::few_participants;
using promisqs_test::finder;
using promisqs_test::kill_all_over;
using promisqs_test::names_of_finders;
using promisqs_test::numbered;
using promisqs_test::numbers;
using promisqs_test::position_reader;
using promisqs_test::raw_object;
using promisqs_test::ring_call;
using promisqs_test::scoped_name;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_test::text_of;
using promisqs_test::trials;
using queue = promisqs_test::numbered_queue;

namespace {

struct setting {
    std::uint64_t capacity;
    std::uint64_t filling;   // messages that wait
    std::uint64_t position;  // the slot that the oldest of them is in
    bool victim_fills;       // they are the victim's own
};

const std::vector<setting>& settings() {
    static const std::vector<setting> all{{1, 0, 0, false}, {1, 1, 0, true},  {2, 0, 1, true}, {2, 1, 0, false},
                                          {2, 2, 1, true},  {3, 0, 2, false}, {3, 2, 0, true}, {3, 3, 1, false},
                                          {8, 0, 7, true},  {8, 5, 2, false}, {8, 8, 7, false}};
    return all;
}

std::string describe(const setting& one) {
    return "capacity " + std::to_string(one.capacity) + ", " + std::to_string(one.filling) + " waiting from slot " +
           std::to_string(one.position) + (one.victim_fills ? ", the victim's" : "");
}

/// A queue in which victims make one call of the ring.
class ring_trials {
public:
    ring_trials(const scoped_name& name, const setting& how, const ring_call& call)
        : name_(name),
          how_(how),
          call_(call),
          mine_(queue::create(name, how.capacity, few_participants)),
          position_(name.path()) {
        promisqs_test::register_at(mine_);
    }

    /// The instructions of the call as it goes as a rule: one that finds nothing now and then takes a longer way, to
    /// look for dead participants.
    call_trace record() {
        call_trace shortest;
        for (int i = 0; i < 3; ++i) {
            auto victim = start();
            auto trace = victim->record();
            expect(victim->finish() == 0, "the victim that was not killed failed");
            promisqs_test::drain(mine_);
            promisqs_test::expect_full_capacity(mine_);
            if (i == 0 || trace.size() < shortest.size()) shortest = std::move(trace);
        }
        return shortest;
    }

    /// Kills a victim after so many instructions, and checks all. Whether the call had its effect by then.
    bool kill_after(std::size_t instructions, const call_trace& trace, finder by) {
        auto victim = start();
        if (!victim->advance(instructions, trace)) ++missed_;  // it took another path, and is over
        victim->kill();
        victim.reset();
        const numbers out = recover_and_drain(by);
        const bool effect = check_account(out);
        promisqs_test::expect_full_capacity(mine_);
        const auto report = mine_.recover();
        expect(report.tombstones + report.messages_to_redeliver + report.messages_dropped + report.postponed == 0,
               "something was left to be recovered after all was well");
        return effect;
    }

    /// How many victims were killed at the end of the call instead.
    [[nodiscard]] std::size_t missed() const noexcept { return missed_; }

private:
    // A victim that stands at the beginning of its call, in the queue as it is to be.
    std::unique_ptr<stepped_process> start() {
        promisqs_test::turn_to(mine_, position_, how_.position);
        victims_ = promisqs_test::fresh_number();
        before_.clear();
        if (how_.victim_fills) {
            for (std::uint64_t i = 0; i < how_.filling; ++i) before_.push_back(promisqs_test::fresh_number());
        }
        auto victim = std::make_unique<stepped_process>([this] { return live(); });
        if (!how_.victim_fills) before_ = promisqs_test::put_in(mine_, how_.filling);
        return victim;
    }

    int live() const {
        auto q = queue::open(name_);
        promisqs_test::register_at(q);
        for (const std::uint64_t number : before_) {
            if (!q.push(numbered::make(number))) return 1;
        }
        const numbered in = numbered::make(victims_);
        numbered out{};
        bool done = false;
        step_through([&] { done = call_.make(q, in, out); });
        const bool possible = call_.what == ring_call::kind::pushes ? how_.filling < how_.capacity : how_.filling > 0;
        return done == possible ? 0 : 2;
    }

    // Everything that is in the queue, in the order in which it comes out.
    numbers recover_and_drain(finder by) {
        if (by == finder::recover) {
            const auto report = mine_.recover();
            expect(report.participants_removed == 1, "the victim's entry was not taken back");
            expect(report.postponed == 0, "something was left for later, though nobody else is at it");
            return promisqs_test::drain(mine_);
        }
        if (by == finder::newcomer) {
            auto newcomer = queue::open(name_);
            return promisqs_test::drain(newcomer);
        }
        // By the calls that wait, until the queue is full: so whatever the victim holds is met on the way.
        numbers more;
        for (std::uint64_t number = promisqs_test::fresh_number(); mine_.push(numbered::make(number));
             number = promisqs_test::fresh_number()) {
            more.push_back(number);
        }
        numbers out;
        while (const auto message = mine_.pop()) out.push_back(promisqs_test::number_of(*message));
        // The place of a message that was never finished counts until a pop has got there.
        const std::size_t unfinished =
            call_.what == ring_call::kind::pushes && !promisqs_test::holds(out, victims_) && how_.filling > 0 ? 1 : 0;
        expect(out.size() == how_.capacity || out.size() + unfinished == how_.capacity,
               "a queue of " + std::to_string(how_.capacity) + " was full with " + text_of(out));
        numbers from_before;
        numbers ours;
        for (const std::uint64_t number : out)
            (promisqs_test::holds(more, number) ? ours : from_before).push_back(number);
        expect(ours == more, "pushed " + text_of(more) + ", popped " + text_of(ours));
        return from_before;
    }

    // Whether the call had its effect, as far as the survivors can tell.
    bool check_account(const numbers& out) const {
        const std::string found =
            "waiting " + text_of(before_) + ", the victim's " + std::to_string(victims_) + ", found " + text_of(out);
        if (call_.what == ring_call::kind::pushes) {
            numbers with = before_;
            with.push_back(victims_);
            const bool was_full = how_.filling == how_.capacity;
            expect(out == before_ || (out == with && !was_full), found);
            return out == with;
        }
        if (out == before_ || call_.what == ring_call::kind::looks) {
            expect(out == before_, found);
            return false;
        }
        // The message in its hands is gone, or delivered again, later than the others.
        const numbers rest(before_.begin() + 1, before_.end());
        const bool again = promisqs_test::holds(out, before_.front());
        expect(promisqs_test::without(out, before_.front()) == rest, found);
        return !again;
    }

    const scoped_name& name_;
    setting how_;
    const ring_call& call_;
    queue mine_;
    position_reader position_;
    std::uint64_t victims_ = 0;
    numbers before_;
    std::size_t missed_ = 0;
};

void kill_everywhere(const std::string& call_name) {
    SKIP_IF_STEPPING_IS_REFUSED();
    const ring_call& call = promisqs_test::ring_call_named(call_name);
    trials all;
    std::size_t shift = 0;  // every instruction gets every finder, in one setting or another
    for (const setting& how : settings()) {
        const scoped_name name("kill-" + call_name);
        const std::string where = call_name + ", " + describe(how);
        auto queue_of_trials = std::make_unique<ring_trials>(name, how, call);
        const call_trace trace = queue_of_trials->record();
        bool effect = false;
        for (std::size_t i = 0; i <= trace.size(); ++i) {
            const auto by = static_cast<finder>((i + shift) % 3);
            const std::string what = where + ", killed after " + std::to_string(i) + " of " +
                                     std::to_string(trace.size()) + " instructions, found by " +
                                     names_of_finders[static_cast<std::size_t>(by)];
            const bool passed = all.make(name.path(), what, [&] {
                const bool now = queue_of_trials->kill_after(i, trace, by);
                expect(now || !effect, "one instruction earlier, the call had had its effect");
                effect = now;
            });
            if (!passed) {
                queue_of_trials.reset();
                queue_of_trials = std::make_unique<ring_trials>(name, how, call);
            }
        }
        const bool possible = call.what == ring_call::kind::pushes ? how.filling < how.capacity : how.filling > 0;
        INFO(where << ", " << trace.size() << " instructions");
        CHECK(queue_of_trials->missed() * 10 <= trace.size());
        CHECK(effect == (possible && call.what != ring_call::kind::looks));
        if (std::getenv("PROMISQS_SHOW_TRIALS") != nullptr) WARN(where << ": " << trace.size() << " instructions");
        ++shift;
    }
}

}  // namespace

TEST_CASE("killed at every instruction of a push") { kill_everywhere("push"); }
TEST_CASE("killed at every instruction of a try_push") { kill_everywhere("try_push"); }
TEST_CASE("killed at every instruction of a push_with") { kill_everywhere("push_with"); }
TEST_CASE("killed at every instruction of a pop") { kill_everywhere("pop"); }
TEST_CASE("killed at every instruction of a try_pop") { kill_everywhere("try_pop"); }
TEST_CASE("killed at every instruction of a pop_with") { kill_everywhere("pop_with"); }
TEST_CASE("killed at every instruction of a peek") { kill_everywhere("peek"); }
TEST_CASE("killed at every instruction of a push without a type") { kill_everywhere("untyped push"); }
TEST_CASE("killed at every instruction of a push_with without a type") { kill_everywhere("untyped push_with"); }
TEST_CASE("killed at every instruction of a pop without a type") { kill_everywhere("untyped pop"); }
TEST_CASE("killed at every instruction of a pop_with without a type") { kill_everywhere("untyped pop_with"); }

// The rest are long calls: thousands of instructions, most of them the library's and the system's. Before and after
// each system call, and in between at every so many instructions, about so many in all; at every instruction if
// PROMISQS_EVERY_INSTRUCTION is set.
namespace {

// What others left that died before, for the victim to recover.
struct deaths_before {
    std::uint64_t capacity;
    std::uint64_t filling;
    bool consumer;  // has the oldest message in its hands
    bool producer;  // is in the middle of pushing one more
    std::uint32_t max_deaths;
};

void kill_in_recovery(const deaths_before& how, std::size_t phase) {
    const scoped_name name("kill-recover");
    auto mine = queue::create(name, how.capacity, {.participants = 8, .max_deaths = how.max_deaths});
    promisqs_test::register_at(mine);
    numbers before;
    const auto start = [&] {
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            step_through([&] { static_cast<void>(q.recover()); });
            return 0;
        });
        before = promisqs_test::put_in(mine, how.filling);
        if (how.consumer) {
            promisqs_test::wait_for(promisqs_test::forked([&] {
                mine.pop_with([](const numbered&) { ::_exit(0); });
                return 1;
            }));
        }
        if (how.producer) {
            promisqs_test::wait_for(promisqs_test::forked([&] {
                static_cast<void>(mine.push_with([](numbered&) { ::_exit(0); }));
                return 1;
            }));
        }
        return victim;
    };
    const auto check = [&](finder by) {
        numbers out;
        numbers more;
        if (by == finder::recover) {
            static_cast<void>(mine.recover());
            out = promisqs_test::drain(mine);
        } else if (by == finder::newcomer) {
            auto newcomer = queue::open(name);
            out = promisqs_test::drain(newcomer);
        } else {
            for (std::uint64_t number = promisqs_test::fresh_number(); mine.push(numbered::make(number));
                 number = promisqs_test::fresh_number()) {
                more.push_back(number);
            }
            while (const auto message = mine.pop()) out.push_back(promisqs_test::number_of(*message));
            // One that a recovery has made an orphan, and died before it counted it, is not looked for until the next
            // one.
            static_cast<void>(mine.recover());
            for (const std::uint64_t number : promisqs_test::drain(mine)) out.push_back(number);
        }
        // First what was behind the one in the dead consumer's hands, then what is new, then that one again.
        numbers wanted(before.begin() + (how.consumer ? 1 : 0), before.end());
        wanted.insert(wanted.end(), more.begin(), more.end());
        if (how.consumer && how.max_deaths != 1) wanted.push_back(before.front());
        // It may come earlier, where a push had to wait for its place.
        const bool same = how.consumer ? promisqs_test::same_numbers(out, wanted) &&
                                             promisqs_test::without(out, before.front()) ==
                                                 promisqs_test::without(wanted, before.front())
                                       : out == wanted;
        expect(same, "expected " + text_of(wanted) + ", found " + text_of(out));
        if (by == finder::newcomer) static_cast<void>(mine.recover());  // it drops nothing
        promisqs_test::expect_full_capacity(mine);
        expect_only_the_living(mine, 1);
    };
    const std::string what = "recover, capacity " + std::to_string(how.capacity) + ", " + std::to_string(how.filling) +
                             " waiting" + (how.consumer ? ", a dead consumer" : "") +
                             (how.producer ? ", a dead producer" : "") +
                             (how.max_deaths == 1 ? ", a message to be dropped" : "");
    kill_all_over(
        name, what, phase, start, [&] { check(finder::recover); }, check);
}

// A victim that opens a queue, in which a consumer has died if `repair`.
void kill_in_open(std::uint64_t capacity, std::uint64_t filling, bool alone, bool repair) {
    const scoped_name name("kill-open");
    std::optional<queue> mine;
    numbers before;
    const auto open = [&] {
        if (mine) return;
        mine.emplace(name.exists()
                         ? queue::open(name)
                         : queue::create(name, capacity, {.life = promisqs::lifetime::keep, .participants = 8}));
        promisqs_test::register_at(*mine);
    };
    const auto start = [&] {
        open();
        // Forked before there is anything to be seen; it opens the queue when it is let to.
        before = promisqs_test::put_in(*mine, filling);
        if (repair) {
            promisqs_test::wait_for(promisqs_test::forked([&] {
                mine->pop_with([](const numbered&) { ::_exit(0); });
                return 1;
            }));
        }
        if (alone) mine.reset();
        return std::make_unique<stepped_process>([&] {
            std::optional<queue> q;
            step_through([&] { q.emplace(queue::open(name)); });
            return q->capacity() == capacity ? 0 : 1;
        });
    };
    const auto check = [&](finder by) {
        if (alone) {
            mine.emplace(queue::open(name));
            numbered oldest{};
            const status found = mine->try_peek(oldest);
            expect(found == (filling > 0 ? status::ok : status::empty), "a newcomer does not find what waits");
        }
        numbers wanted = before;
        if (repair) std::ranges::rotate(wanted, wanted.begin() + 1);
        if (repair && by == finder::stuck_user) by = finder::recover;  // nobody would be stuck
        expect_intact(name, *mine, wanted, by);
    };
    const std::string what = std::string("open") + (alone ? ", of a queue that nobody uses" : "") +
                             (repair ? ", with something to recover" : "");
    kill_all_over(
        name, what, 0, start, [&] { check(finder::recover); }, check);
}

// A victim that has used the queue gives its handle up.
void kill_in_destruction(std::uint64_t capacity, std::uint64_t filling) {
    const scoped_name name("kill-destruction");
    auto mine = queue::create(name, capacity, few_participants);
    promisqs_test::register_at(mine);
    numbers before;
    const auto start = [&] {
        auto victim = std::make_unique<stepped_process>([&] {
            std::optional<queue> q(queue::open(name));
            promisqs_test::register_at(*q);
            step_through([&] { q.reset(); });
            return 0;
        });
        before = promisqs_test::put_in(mine, filling);
        return victim;
    };
    const auto check = [&](finder by) { expect_intact(name, mine, before, by); };
    kill_all_over(
        name, "destruction of a handle", 0, start, [&] { check(finder::recover); }, check);
}

// The last handle: the queue goes with it, or stays as it is.
void kill_in_last_destruction(std::uint64_t capacity, std::uint64_t filling) {
    const scoped_name name("kill-last");
    numbers before;
    const auto start = [&] {
        before.clear();
        for (std::uint64_t i = 0; i < filling; ++i) before.push_back(promisqs_test::fresh_number());
        return std::make_unique<stepped_process>([&] {
            std::optional<queue> q(queue::create(name, capacity, few_participants));
            for (const std::uint64_t number : before) {
                if (!q->push(numbered::make(number))) return 1;
            }
            step_through([&] { q.reset(); });
            return 0;
        });
    };
    bool gone = false;  // in some trial
    const auto check = [&](finder by) {
        const bool here = name.exists();
        gone = gone || !here;
        {
            auto mine = here && by == finder::newcomer ? queue::open(name)
                                                       : queue::open_or_create(name, capacity, few_participants);
            expect_intact(name, mine, here ? before : numbers{}, by);
        }
        expect(!name.exists(), "the last handle did not remove the queue");
    };
    kill_all_over(
        name, "destruction of the last handle", 0, start,
        [&] { expect(!name.exists(), "the last handle did not remove the queue"); }, check);
    CHECK(gone);
}

// How a victim creates a queue, and which process comes after it.
struct creation {
    const char* what;
    std::uint64_t capacity;
    bool or_open = false;
    bool by_temporary_name = false;  // the system has no nameless files
    bool in_a_group = false;         // the next one is another member, which may not remove the victim's object
    bool starts_over = false;        // there is a queue with a message, which nobody uses; in a group, the next one's
};

constexpr promisqs::options for_a_group{.permissions = 0660, .participants = few_participants.participants};

// Leaves a queue with a message whose users were killed.
void abandon(const scoped_name& name, const creation& how) {
    const int status = promisqs_test::wait_for(promisqs_test::forked([&] {
        if (how.in_a_group && !promisqs_test::become(promisqs_test::another_member)) return 2;
        auto q = queue::create(name, how.capacity, how.in_a_group ? for_a_group : few_participants);
        ::_exit(q.push(numbered::make(1)) ? 0 : 1);
    }));
    expect(status == 0, "no queue could be left");
}

queue create_or_open(const scoped_name& name, const creation& how) {
    auto wanted = how.in_a_group ? for_a_group : few_participants;
    if (how.starts_over) wanted.abandoned = promisqs::abandoned_queue::start_over;
    return how.or_open ? queue::open_or_create(name, how.capacity, wanted) : queue::create(name, how.capacity, wanted);
}

// What is seen of a queue that is being made is locked, or unfinished, or a queue; and has its permissions.
void expect_no_half_made(const scoped_name& name, const creation& how) {
    struct ::stat found {};
    if (::stat(name.path().c_str(), &found) != 0) return;
    expect((found.st_mode & 0777U) == (how.in_a_group ? 0660U : 0600U), "an object without its permissions is seen");
    std::uint64_t word = 0;
    const raw_object object(name.path());
    expect(promisqs::detail::os::read_word(object.descriptor(), word), "an empty object is seen");
    expect(word == promisqs::detail::layout::magic || word == promisqs::detail::layout::unfinished_magic,
           "an object without a mark is seen");
}

// The next process finds nothing, a queue that nobody uses, or what it can take over at once. Whether it finds a queue.
bool come_after(const scoped_name& name, const creation& how, finder by) {
    bool complete = false;
    {
        std::optional<queue> mine;
        try {
            if (by == finder::recover) mine.emplace(queue::create(name, how.capacity, for_a_group));
            if (by == finder::newcomer) mine.emplace(queue::open(name));
            complete = by == finder::newcomer;
        } catch (const promisqs::queue_error& refusal) {
            const auto code = refusal.code();
            complete = code == promisqs::errc::already_exists;
            const bool honest = by == finder::recover
                                    ? complete
                                    : code == promisqs::errc::not_found || code == promisqs::errc::unfinished;
            expect(honest, refusal.what());
        }
        if (!mine) mine.emplace(queue::open_or_create(name, how.capacity, for_a_group));
        promisqs_test::register_at(*mine);
        if (how.starts_over && !mine->empty()) {  // the victim did not come so far
            const auto left = promisqs_test::drain(*mine);
            expect(left == numbers{1}, "what was there is neither whole nor gone");
        }
        expect_intact(name, *mine, {}, by);
    }
    expect(how.in_a_group || !name.exists(), "the last handle did not remove the queue");
    return complete;
}

void kill_in_creation(const creation& how) {
    const scoped_name name("kill-create");
    const auto start = [&] {
        if (how.starts_over) abandon(name, how);
        return std::make_unique<stepped_process>([&] {
            if (how.in_a_group && !promisqs_test::become(promisqs_test::one_member)) return 2;
            if (how.by_temporary_name && !promisqs_test::refuse({promisqs_test::refuse_nameless_files(EOPNOTSUPP)}))
                return 3;
            std::optional<queue> q;
            step_through([&] { q.emplace(create_or_open(name, how)); });
            return q->capacity() == how.capacity && q->empty() ? 0 : 1;
        });
    };
    bool complete = false;  // in some trial
    const auto check = [&](finder by) {
        expect_no_half_made(name, how);
        if (!how.in_a_group) {
            complete |= come_after(name, how, by);
        } else {
            const int status = promisqs_test::wait_for(promisqs_test::forked([&] {
                if (!promisqs_test::become(promisqs_test::another_member)) return 3;
                return come_after(name, how, by) ? 1 : 0;
            }));
            expect(status == 0 || status == 1, "another member of the group could not go on");
            complete |= status == 1;
            ::unlink(name.path().c_str());
        }
        if (how.by_temporary_name) {  // the next creator that needs such names removes what is left of them
            promisqs::detail::remove_temporary_objects({promisqs::detail::object_folder::current(), name.str()});
        }
    };
    kill_all_over(
        name, how.what, 0, start,
        [&] {
            const bool may_stay = how.in_a_group && how.starts_over;  // empty, in an object that is another member's
            expect(may_stay || !name.exists(), "the last handle did not remove the queue");
            if (may_stay) ::unlink(name.path().c_str());
        },
        check);
    CHECK(complete);
}

// A closing that is killed half-way is completed by whoever comes next: a push, a pop, or a newcomer's pop.
void kill_in_close(std::uint64_t capacity, std::uint64_t filling, bool single_producer = false) {
    const scoped_name name("kill-close");
    promisqs::options wanted = few_participants;
    wanted.single_producer = single_producer;
    std::optional<queue> mine;
    numbers before;
    const auto start = [&] {
        if (!mine) mine.emplace(queue::create(name, capacity, wanted));
        promisqs_test::register_at(*mine);
        auto victim = std::make_unique<stepped_process>([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            step_through([&] { q.close(); });
            return q.is_closed() ? 0 : 1;
        });
        before = promisqs_test::put_in(*mine, filling);
        return victim;
    };
    bool closed = false;  // earlier
    const auto check = [&](finder by) {
        expect(mine->is_closed() || !closed, "one instruction earlier, the queue was closed");
        closed = mine->is_closed();
        if (!closed) return expect_intact(name, *mine, before, by);
        const auto refuses = [&] { return !mine->push(numbered::make(promisqs_test::fresh_number())); };
        if (by == finder::stuck_user) {
            // The single producer looks for a closing at the end of its push: so that may be the last one.
            const std::uint64_t last = promisqs_test::fresh_number();
            if (single_producer && mine->push(numbered::make(last))) before.push_back(last);
            expect(refuses(), "a closed queue took a message");
        }
        {
            auto newcomer = queue::open(name);
            expect(newcomer.is_closed(), "a newcomer finds the queue open");
            auto& popper = by == finder::newcomer ? newcomer : *mine;
            const numbers out = promisqs_test::drain(popper);
            expect(out == before, "waiting " + text_of(before) + ", found " + text_of(out));
            numbered none{};
            expect(popper.try_pop(none) == status::closed, "a closed queue does not say so when it is drained");
        }
        expect(refuses(), "a closed queue took a message");
        expect_only_the_living(*mine, 1);
        mine.reset();
    };
    kill_all_over(
        name, single_producer ? "close, with a single producer" : "close", 0, start,
        [&] { check(finder::recover), closed = false; }, check);
    CHECK(closed);
}

}  // namespace

TEST_CASE("killed in the recovery of what dead participants have left") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_recovery({1, 0, false, true, 3}, 0);
    kill_in_recovery({1, 1, true, false, 3}, 1);
    kill_in_recovery({2, 1, true, true, 3}, 2);
    kill_in_recovery({3, 2, true, true, 3}, 3);
    kill_in_recovery({8, 8, true, false, 3}, 4);
    kill_in_recovery({3, 2, true, false, 1}, 5);
}

TEST_CASE("killed at every instruction of the closing of a queue for good") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_close(1, 1);
    kill_in_close(3, 2);
    kill_in_close(8, 0);
    kill_in_close(3, 2, true);
    kill_in_close(4, 0, true);
}

TEST_CASE("killed in the opening of a queue") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_open(3, 2, false, false);
    kill_in_open(2, 2, true, false);
    kill_in_open(3, 2, false, true);
}

TEST_CASE("killed in the creation of a queue") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_creation({.what = "create", .capacity = 3});
    kill_in_creation({.what = "open_or_create", .capacity = 1, .or_open = true});
}

TEST_CASE("killed in the creation of a queue by a temporary name") {
    SKIP_IF_STEPPING_IS_REFUSED();
    SKIP_UNLESS(promisqs_test::can_refuse(), "no seccomp here");
    kill_in_creation({.what = "create by a temporary name", .capacity = 3, .by_temporary_name = true});
}

TEST_CASE("killed in the creation of a queue that another member of the group takes over") {
    SKIP_IF_STEPPING_IS_REFUSED();
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become other users");
    kill_in_creation({.what = "open_or_create in a group", .capacity = 2, .or_open = true, .in_a_group = true});
}

TEST_CASE("killed in the creation of a queue in place of one that nobody uses") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_creation({.what = "open_or_create, starting over", .capacity = 2, .or_open = true, .starts_over = true});
}

TEST_CASE("killed in the creation of a queue in another member's object") {
    SKIP_IF_STEPPING_IS_REFUSED();
    SKIP_UNLESS(promisqs_test::may_become_others(), "only root can become other users");
    kill_in_creation({.what = "open_or_create in a group, starting over in place",
                      .capacity = 2,
                      .or_open = true,
                      .in_a_group = true,
                      .starts_over = true});
}

TEST_CASE("killed in the destruction of a handle") {
    SKIP_IF_STEPPING_IS_REFUSED();
    kill_in_destruction(3, 2);
    kill_in_last_destruction(2, 1);
}
