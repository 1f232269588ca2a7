// SPDX-License-Identifier: Apache-2.0

// Stopped at every instruction: a process makes one call, and stands still before its first machine instruction, after
// its first, and so on to its last, each time in a new process. While it stands, a survivor recovers and uses the
// queue: nothing may hang, and nothing may be taken from one that is alive, however long it has been standing. Then it
// goes on, and the account must be exact. In the second part another process is killed while it stands, at some
// instruction of its own call: at those of a grid.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/single_step.hpp"

#include <promisqs/queue.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using promisqs::status;
using promisqs_test::call_trace;
using promisqs_test::expect;
using promisqs_test::few_participants;
using promisqs_test::numbered;
using promisqs_test::numbers;
using promisqs_test::position_reader;
using promisqs_test::ring_call;
using promisqs_test::scoped_name;
using promisqs_test::shared_answer;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_test::text_of;
using promisqs_test::trials;
using queue = promisqs_test::numbered_queue;

namespace {

const ring_call& call_named(const std::string& name) {
    static const ring_call recovers{"recover", ring_call::kind::looks, [](queue& q, const numbered&, numbered&) {
                                        static_cast<void>(q.recover());
                                        return true;
                                    }};
    return name == recovers.name ? recovers : promisqs_test::ring_call_named(name);
}

struct setting {
    std::uint64_t capacity;
    std::uint64_t filling;   // messages that wait
    std::uint64_t position;  // the slot that the oldest of them is in
    bool dead_consumer;      // has the oldest of them in its hands
    bool dead_producer;      // is in the middle of pushing another one
};

std::string describe(const setting& one) {
    return "capacity " + std::to_string(one.capacity) + ", " + std::to_string(one.filling) + " waiting from slot " +
           std::to_string(one.position) + (one.dead_consumer ? ", a dead consumer" : "") +
           (one.dead_producer ? ", a dead producer" : "");
}

/// A process that makes one call of a queue, step by step.
class party {
public:
    /// The queue must be empty.
    party(const scoped_name& name, const ring_call& call) : call_(call), number_(promisqs_test::fresh_number()) {
        *answer_ = {};
        process_.emplace([&] {
            auto q = queue::open(name);
            promisqs_test::register_at(q);
            const numbered in = numbered::make(number_);
            step_through([&] {
                answer_->done = call_.make(q, in, answer_->message);
                answer_->returned = true;
            });
            return 0;
        });
    }

    [[nodiscard]] stepped_process& process() { return *process_; }
    [[nodiscard]] const ring_call& call() const noexcept { return call_; }
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] bool returned() const { return answer_->returned; }

    /// What it has put in and taken out, if its call has returned.
    void enter(numbers& in, numbers& out) const {
        if (!answer_->returned || !answer_->done) return;
        if (call_.what == ring_call::kind::pushes) in.push_back(number_);
        if (call_.what == ring_call::kind::pops) out.push_back(promisqs_test::number_of(answer_->message));
    }

private:
    const ring_call& call_;
    std::uint64_t number_;
    shared_answer answer_;
    std::optional<stepped_process> process_;
};

/// A queue in which some stand still.
class stopped_trials {
public:
    stopped_trials(const scoped_name& name, const setting& how)
        : name_(name), how_(how), mine_(queue::create(name, how.capacity, few_participants)), position_(name.path()) {
        promisqs_test::register_at(mine_);
    }

    /// The instructions of a call while no other process does anything.
    call_trace record(const ring_call& call) {
        call_trace shortest;
        for (int i = 0; i < 3; ++i) {
            begin();
            party one(name_, call);
            furnish();
            auto trace = one.process().record();
            expect(one.process().finish() == 0, "the party that was not stopped failed");
            one.enter(in_, out_);
            end(0, {});
            if (i == 0 || trace.size() < shortest.size()) shortest = std::move(trace);
        }
        return shortest;
    }

    /// Stops one after so many instructions, goes on without it, lets it go on, and checks all.
    void stop_after(const ring_call& call, std::size_t instructions, const call_trace& trace, bool by_signal) {
        begin();
        party one(name_, call);
        furnish();
        one.process().advance(instructions, trace);
        if (by_signal) one.process().leave_to_signal_stop();
        go_on_meanwhile();
        const int status = by_signal ? one.process().finish_after_signal_stop() : one.process().finish();
        expect(status == 0, "the stopped one ended with " + std::to_string(status));
        expect(one.returned(), "the stopped one's call has not returned");
        one.enter(in_, out_);
        end(0, {});
    }

    /// The same, and another one is killed while it stands.
    void stop_and_kill(const ring_call& stopped, std::size_t instructions, const call_trace& trace,
                       const ring_call& killed, std::size_t its_instructions, const call_trace& its_trace) {
        begin();
        party one(name_, stopped);
        party other(name_, killed);
        furnish();
        somebody_dies_ = true;
        one.process().advance(instructions, trace);
        // A push or pop may wait for the one that stands, and never come to where the trace has been: it is stepped.
        if (killed.what == ring_call::kind::looks) {
            other.process().advance(its_instructions, its_trace);
        } else {
            other.process().advance(its_instructions);
        }
        other.process().kill();
        go_on_meanwhile();
        expect(one.process().finish() == 0, "the stopped one failed");
        expect(one.returned(), "the stopped one's call has not returned");
        one.enter(in_, out_);
        numbers perhaps;
        std::size_t may_be_missing = 0;
        if (other.returned()) {
            other.enter(in_, out_);
        } else {
            if (killed.what == ring_call::kind::pushes) perhaps.push_back(other.number());
            if (killed.what == ring_call::kind::pops) may_be_missing = 1;
        }
        end(may_be_missing, perhaps);
    }

private:
    void begin() {
        promisqs_test::turn_to(mine_, position_, how_.position);
        in_.clear();
        out_.clear();
        somebody_dies_ = how_.dead_consumer || how_.dead_producer;
    }

    // Puts in what is to wait, and leaves the dead there.
    void furnish() {
        in_ = promisqs_test::put_in(mine_, how_.filling);
        if (how_.dead_consumer) {
            promisqs_test::wait_for(promisqs_test::forked([this] {
                mine_.pop_with([](const numbered&) { ::_exit(0); });
                return 1;
            }));
        }
        if (how_.dead_producer) {
            promisqs_test::wait_for(promisqs_test::forked([this] {
                static_cast<void>(mine_.push_with([](numbered&) { ::_exit(0); }));
                return 1;
            }));
        }
    }

    // Recovers, and uses the queue for some laps, as far as it is possible without waiting.
    void go_on_meanwhile() {
        constexpr int rounds = 4;
        constexpr int attempts = 4;  // one that clears something up answers `would_block`
        for (int round = 0; round < rounds; ++round) {
            const auto report = mine_.recover();
            if (!somebody_dies_) {
                expect(report.participants_removed + report.tombstones + report.messages_to_redeliver +
                               report.messages_dropped + report.postponed ==
                           0,
                       "somebody alive was taken for dead");
            }
            for (int failed = 0; failed < attempts;) {
                const std::uint64_t number = promisqs_test::fresh_number();
                const status answer = mine_.try_push(numbered::make(number));
                if (answer == status::ok) {
                    in_.push_back(number);
                } else {
                    expect(answer == status::full || answer == status::would_block,
                           "a push said " + std::string(to_string(answer)));
                    ++failed;
                }
            }
            for (int failed = 0; failed < attempts;) {
                numbered message{};
                const status answer = mine_.try_pop(message);
                if (answer == status::ok) {
                    take(promisqs_test::number_of(message));
                } else {
                    expect(answer == status::empty || answer == status::would_block,
                           "a pop said " + std::string(to_string(answer)));
                    ++failed;
                }
            }
        }
    }

    void take(std::uint64_t number) {
        out_.push_back(number);
        taken_.push_back(number);
    }

    // Nobody is in the middle of anything any more.
    void end(std::size_t may_be_missing, const numbers& perhaps) {
        const auto report = mine_.recover();
        expect(report.postponed == 0 && !report.in_progress_elsewhere,
               "something was left for later, though nobody else is at it");
        if (!somebody_dies_) expect(report.participants_removed == 0, "one that was alive did not give its entry back");
        for (const std::uint64_t number : promisqs_test::drain(mine_)) take(number);
        const std::string account = "in " + text_of(in_) + ", perhaps " + text_of(perhaps) + ", out " + text_of(out_);
        // Those that the survivor pushed came out in that order, unless one had to be delivered again.
        numbers ours = std::exchange(taken_, {});
        std::erase_if(ours, [&](std::uint64_t number) { return number < in_front(); });
        if (!somebody_dies_) expect(std::ranges::is_sorted(ours), "not in order: " + account);
        numbers missing = in_;
        for (const std::uint64_t number : out_) {
            const auto it = std::ranges::find(missing, number);
            if (it != missing.end()) {
                missing.erase(it);
            } else {
                expect(promisqs_test::holds(perhaps, number) && std::ranges::count(out_, number) == 1,
                       "not accounted for: " + account);
            }
        }
        expect(missing.size() <= may_be_missing, "missing " + text_of(missing) + ": " + account);
        promisqs_test::expect_full_capacity(mine_);
        const auto stats = mine_.stats();
        expect(stats.participants.size() == 1 && stats.participants.front().alive,
               "there are " + std::to_string(stats.participants.size()) + " participants at the end");
    }

    // The parties' own numbers are less than those of the messages of the trial.
    [[nodiscard]] std::uint64_t in_front() const { return in_.empty() ? 0 : in_.front(); }

    const scoped_name& name_;
    setting how_;
    queue mine_;
    position_reader position_;
    numbers in_;
    numbers out_;
    numbers taken_;  // of these, what the survivor took, in order
    bool somebody_dies_ = false;
};

// Whether to be thorough, which takes minutes.
bool at_every_instruction() { return std::getenv("PROMISQS_EVERY_INSTRUCTION") != nullptr; }
bool shows_trials() { return std::getenv("PROMISQS_SHOW_TRIALS") != nullptr; }

// What a process sets up with its first queue is set up in this one, so that all victims inherit it, and take the same
// path.
void warm_up() {
    const scoped_name name("first");
    auto q = queue::create(name, 1);
    promisqs_test::register_at(q);
    static_cast<void>(queue::open(name).recover());
}

// A recovery is long: it is stopped before and after each system call, and at about so many places in between; at every
// instruction if PROMISQS_EVERY_INSTRUCTION is set.
constexpr std::size_t most_places = 250;

void stop_everywhere(const std::string& call_name, const std::vector<setting>& settings) {
    SKIP_IF_STEPPING_IS_REFUSED();
    const ring_call& call = call_named(call_name);
    trials all;
    warm_up();
    for (const setting& how : settings) {
        const scoped_name name("stop-" + call_name);
        const std::string where = call_name + ", " + describe(how);
        auto in_queue = std::make_unique<stopped_trials>(name, how);
        const call_trace trace = in_queue->record(call);
        for (const std::size_t i : trace.places(at_every_instruction() ? 1 : trace.stride_for(most_places))) {
            const std::string what = where + ", stopped after " + std::to_string(i) + " of " +
                                     std::to_string(trace.size()) + " instructions";
            const bool passed =
                all.make(name.path(), what, [&] { in_queue->stop_after(call, i, trace, all.made() % 8 == 7); });
            if (!passed) {
                in_queue.reset();
                in_queue = std::make_unique<stopped_trials>(name, how);
            }
        }
        if (shows_trials()) WARN(where << ": " << trace.size() << " instructions");
    }
}

void stop_and_kill_on_a_grid(const std::string& stopped_name, const std::string& killed_name,
                             const std::vector<setting>& settings) {
    SKIP_IF_STEPPING_IS_REFUSED();
    const std::size_t places = at_every_instruction() ? 25 : 7;  // of each call, about
    const ring_call& stopped = call_named(stopped_name);
    const ring_call& killed = call_named(killed_name);
    trials all;
    warm_up();
    for (const setting& how : settings) {
        const scoped_name name(std::string("stop-").append(stopped_name).append("-kill-").append(killed_name));
        auto in_queue = std::make_unique<stopped_trials>(name, how);
        const call_trace trace = in_queue->record(stopped);
        const call_trace its_trace = in_queue->record(killed);
        const std::size_t stride = trace.stride_for(places);
        const std::size_t its_stride = its_trace.stride_for(places);
        std::size_t row = 0;
        for (std::size_t i = 0; i <= trace.size(); i += stride) {
            for (std::size_t j = row++ % its_stride; j <= its_trace.size(); j += its_stride) {
                std::ostringstream what;
                what << stopped_name << " stopped after " << i << " of " << trace.size() << ", " << killed_name
                     << " killed after " << j << " of " << its_trace.size() << " instructions, " << describe(how);
                const bool passed = all.make(name.path(), what.str(),
                                             [&] { in_queue->stop_and_kill(stopped, i, trace, killed, j, its_trace); });
                if (!passed) {
                    in_queue.reset();
                    in_queue = std::make_unique<stopped_trials>(name, how);
                }
            }
        }
    }
    CHECK(all.made() > 0);
    if (shows_trials()) WARN(stopped_name << " and " << killed_name << ": " << all.made() << " trials");
}

const std::vector<setting> nobody_is_dead{{1, 0, 0, false, false}, {1, 1, 0, false, false}, {2, 1, 1, false, false},
                                          {3, 2, 2, false, false}, {3, 3, 1, false, false}, {8, 5, 6, false, false}};
const std::vector<setting> somebody_is_dead{{1, 0, 0, false, true}, {1, 1, 0, true, false}, {3, 2, 2, true, true}};
const std::vector<setting> two_at_it{{1, 1, 0, false, false}, {2, 1, 1, false, false}, {3, 2, 2, false, false}};
const std::vector<setting> two_and_the_dead{{2, 2, 1, true, false}, {3, 2, 2, true, true}};

// A process stands in the middle of creating or closing a queue, alone. Another one opens the queue meanwhile: it waits
// or not, but nothing goes wrong, and at the end the queue is gone.
void stop_in_life(const std::string& what, bool creating) {
    SKIP_IF_STEPPING_IS_REFUSED();
    const scoped_name name("stop-" + what);
    const auto use = [](queue& q) {
        if (!q.push(numbered::make(promisqs_test::fresh_number()))) return 1;
        return q.pop().has_value() ? 0 : 2;
    };
    const auto start = [&] {
        return std::make_unique<stepped_process>([&] {
            std::optional<queue> q;
            const auto open = [&] { q.emplace(queue::open_or_create(name, 3, few_participants)); };
            if (creating) {
                step_through(open);
                return use(*q);
            }
            open();
            const int status = use(*q);
            step_through([&] { q.reset(); });
            return status;
        });
    };
    trials all;
    warm_up();
    call_trace trace;
    REQUIRE(all.make(name.path(), what, [&] {
        auto victim = start();
        trace = victim->record();
        expect(victim->finish() == 0, "the one that was not stopped failed");
    }));
    for (const std::size_t i : trace.places(at_every_instruction() ? 1 : trace.stride_for(most_places))) {
        const std::string where =
            what + ", stopped after " + std::to_string(i) + " of " + std::to_string(trace.size()) + " instructions";
        all.make(name.path(), where, [&] {
            auto victim = start();
            static_cast<void>(victim->advance(i, trace));
            const ::pid_t other = promisqs_test::forked([&] {
                auto q = queue::open_or_create(name, 3, few_participants);
                return use(q);
            });
            for (int turn = 0; turn < 20; ++turn) std::this_thread::yield();  // let it come to where it waits
            const int status = victim->finish();
            expect(promisqs_test::wait_for(other) == 0, "the other one could not use the queue");
            expect(status == 0, "the one that had been stopped could not use the queue");
            expect(!name.exists(), "the last one out did not remove the queue");
        });
    }
    if (shows_trials()) WARN(what << ": " << trace.size() << " instructions");
}

}  // namespace

TEST_CASE("stopped at every instruction of a push") { stop_everywhere("push", nobody_is_dead); }
TEST_CASE("stopped at every instruction of a try_push") { stop_everywhere("try_push", nobody_is_dead); }
TEST_CASE("stopped at every instruction of a push_with") { stop_everywhere("push_with", nobody_is_dead); }
TEST_CASE("stopped at every instruction of a pop") { stop_everywhere("pop", nobody_is_dead); }
TEST_CASE("stopped at every instruction of a try_pop") { stop_everywhere("try_pop", nobody_is_dead); }
TEST_CASE("stopped at every instruction of a pop_with") { stop_everywhere("pop_with", nobody_is_dead); }
TEST_CASE("stopped in a recovery of what the dead have left") { stop_everywhere("recover", somebody_is_dead); }

TEST_CASE("one producer is stopped in a push, another is killed in one") {
    stop_and_kill_on_a_grid("push", "push", two_at_it);
}
TEST_CASE("a producer is stopped in a push, a consumer is killed in a pop") {
    stop_and_kill_on_a_grid("push", "pop", two_at_it);
}
TEST_CASE("a consumer is stopped in a pop, a producer is killed in a push") {
    stop_and_kill_on_a_grid("pop", "push", two_at_it);
}
TEST_CASE("one consumer is stopped in a pop, another is killed in one") {
    stop_and_kill_on_a_grid("pop", "pop", two_at_it);
}
TEST_CASE("a consumer is stopped in a pop, a process is killed in a recovery") {
    stop_and_kill_on_a_grid("pop", "recover", two_and_the_dead);
}
TEST_CASE("a process is stopped in a recovery, a consumer is killed in a pop") {
    stop_and_kill_on_a_grid("recover", "pop", two_and_the_dead);
}
TEST_CASE("a process is stopped in a recovery, another is killed in one") {
    stop_and_kill_on_a_grid("recover", "recover", two_and_the_dead);
}

TEST_CASE("stopped in the creation of a queue") { stop_in_life("create", true); }

TEST_CASE("stopped in the destruction of the last handle") { stop_in_life("close", false); }
