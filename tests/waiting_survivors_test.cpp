// SPDX-License-Identifier: Apache-2.0

// Killed, or stopped, at every instruction, while the survivors only wait. A victim makes one call, and is killed after
// its first machine instruction, its second, and so on to its last, each time in a new queue; or it is stopped there,
// and then killed, or goes on. The survivors wait, each in one way, and no process does anything else. Each time, they
// must get every message that is owed to them, and none twice; or room; or be told that the queue is closed.
//
// What is owed is known from the stamps in the shared memory while the victim stands: a message is published, or not;
// released, or not. A waiting survivor looks for the dead at intervals, so trials are made side by side.

#include "support/account.hpp"
#include "support/catch.hpp"
#include "support/ledger.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/single_step.hpp"
#include "support/sleepers.hpp"
#include "support/survivors.hpp"

#include <promisqs/queue.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using promisqs::status;
using promisqs_test::at_once_asleep;
using promisqs_test::call_trace;
using promisqs_test::expect;
using promisqs_test::forked;
using promisqs_test::fresh_number;
using promisqs_test::numbered;
using promisqs_test::numbers;
using promisqs_test::position_reader;
using promisqs_test::scoped_name;
using promisqs_test::shared_array;
using promisqs_test::step_through;
using promisqs_test::stepped_process;
using promisqs_test::survivors;
using promisqs_test::text_of;
using promisqs_test::trials;
using promisqs_test::waiting_call;
using promisqs_test::waiting_call_named;
using queue = promisqs_test::numbered_queue;
using team = std::vector<std::string>;  // names of waiting calls

namespace {

constexpr std::size_t batch = 3;

/// What a victim tells of its call, in memory that it shares with this process.
struct told_by_victim {
    bool returned;
    std::size_t count;  // messages that the call says it has moved
    std::array<numbered, batch> messages;
};
using victims_word = shared_array<told_by_victim>;

/// A call that victims make.
struct victims_call {
    const char* name;
    std::size_t most;  // messages
    void (*make)(queue& q, std::span<const numbered> in, told_by_victim& told);
};

const victims_call& victims_call_named(const std::string& name) {
    using in = std::span<const numbered>;
    using out = told_by_victim&;
    static const std::vector<victims_call> all{
        {"push", 1, [](queue& q, in m, out o) { o.count = q.push(m.front()) ? 1 : 0; }},
        {"push_with", 1,
         [](queue& q, in m, out o) { o.count = q.push_with([&](numbered& slot) { slot = m.front(); }) ? 1 : 0; }},
        {"push_some", batch, [](queue& q, in m, out o) { o.count = q.push_some(m); }},
        {"pop", 1,
         [](queue& q, in, out o) {
             if (const auto message = q.pop()) o.messages.front() = *message, o.count = 1;
         }},
        {"pop_with", 1,
         [](queue& q, in, out o) {
             o.count = q.pop_with([&](const numbered& slot) { o.messages.front() = slot; }) ? 1 : 0;
         }},
        {"pop_some", batch, [](queue& q, in, out o) { o.count = q.pop_some(o.messages); }},
        {"close", 0, [](queue& q, in, out) { q.close(); }},
    };
    return *std::ranges::find_if(all, [&](const victims_call& one) { return one.name == name; });
}

/// The slots of a queue, as another program would read them.
class slot_reader {
public:
    explicit slot_reader(const scoped_name& name)
        : file_(name.path()),
          stride_(promisqs::detail::layout::slot_stride(sizeof(numbered), alignof(numbered))),
          first_(file_.read<std::uint64_t>(offsetof(promisqs::detail::layout::header, fields.slots_offset)) +
                 promisqs::detail::layout::stamp_offset(sizeof(numbered))),
          capacity_(file_.read<std::uint64_t>(offsetof(promisqs::detail::layout::header, fields.capacity))),
          tickets_(capacity_) {}
    /// Of a slot; the index may go beyond the last one, and begins again.
    [[nodiscard]] std::uint64_t stamp(std::uint64_t index) const {
        return file_.read<std::uint64_t>(first_ + index % capacity_ * stride_);
    }
    /// The next push ticket, and the next pop ticket.
    [[nodiscard]] std::uint64_t tail() const {
        return tickets_.ticket_of(file_.read<std::uint64_t>(offsetof(promisqs::detail::layout::prefix, words.tail)));
    }
    [[nodiscard]] std::uint64_t head() const {
        return file_.read<std::uint64_t>(offsetof(promisqs::detail::layout::prefix, words.head));
    }
    [[nodiscard]] std::uint64_t next(std::uint64_t ticket) const { return tickets_.next(ticket); }
    [[nodiscard]] std::uint64_t distance(std::uint64_t from, std::uint64_t to) const {
        return tickets_.distance(from, to);
    }
    /// Whether the message of a ticket is there, and has not been released.
    [[nodiscard]] bool is_full(std::uint64_t ticket) const {
        return tickets_.is_stamp(stamp(tickets_.index(ticket)), ticket, promisqs::detail::slot_state::full);
    }

private:
    class file {
    public:
        explicit file(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
        file(const file&) = delete;
        file& operator=(const file&) = delete;
        ~file() { ::close(file_); }
        template <class T>
        [[nodiscard]] T read(std::uint64_t offset) const {
            T value{};
            expect(::pread(file_, &value, sizeof value, static_cast<::off_t>(offset)) == sizeof value, "can't read");
            return value;
        }

    private:
        int file_;
    };

    file file_;
    std::uint64_t stride_;
    std::uint64_t first_;
    std::uint64_t capacity_;
    promisqs::detail::ticket_space tickets_;
};

/// What becomes of a victim.
enum class fate {
    killed,
    stopped_and_killed,  // it is stopped by a signal, and another process looks for the dead, before
    goes_on,             // it is stopped by a signal, and another process looks for the dead; then it is let go on
    recorded             // it is not stopped at all
};

/// What this process does when the victim stands and the survivors wait.
enum class then { nothing, pushes, closes };

struct setting {
    std::string call = {};  // of the victim
    team waiting = {};
    std::uint64_t capacity = 4;
    std::uint64_t position = 0;  // the slot in which it begins
    bool asleep_before = false;  // the survivors sleep when the victim begins; otherwise they begin when it stands
    then action = then::nothing;
    bool single_producer = false;
    bool single_consumer = false;
    std::uint32_t max_deaths = 3;
    bool filled = false;  // for a closing: the queue is full
};

std::string describe(const setting& one) {
    std::string text = one.call + ";";
    for (const auto& name : one.waiting) text += " " + name;
    text += one.asleep_before ? " slept before" : " wait";
    text += ", capacity " + std::to_string(one.capacity) + " from slot " + std::to_string(one.position);
    if (one.action == then::pushes) text += ", then a push";
    if (one.action == then::closes) text += ", then closed";
    if (one.single_producer) text += ", single producer";
    if (one.single_consumer) text += ", single consumer";
    if (one.max_deaths == 1) text += ", poison";
    if (one.filled) text += ", full";
    return text;
}

/// One victim in a queue of its own. First `arrange`: the victim stands, and the survivors wait. Then `strike`. Then
/// `judge`, which waits for what is owed to the survivors.
class trial {
public:
    trial(const setting& how, const std::string& quiet, std::size_t number, fate what, std::size_t instructions,
          const call_trace& trace)
        : how_(how),
          name_("survivors-" + std::to_string(number)),
          quiet_(quiet),
          instructions_(instructions),
          trace_(trace),
          fate_(what),
          mine_(queue::create(name_, how.capacity,
                              {.participants = 8,
                               .max_deaths = how.max_deaths,
                               .single_producer = how.single_producer,
                               .single_consumer = how.single_consumer})),
          slots_(name_),
          waiting_(name_.str(), quiet),
          victims_(1) {
        if (how.position != 0) {  // by a handle of its own, which gives its role up
            auto turner = queue::open(name_);
            const position_reader position(name_.path());
            promisqs_test::turn_to(turner, position, how.position);
        }
        const auto policy = number % 3 == 0 ? promisqs::wait_policy::balanced() : at_once_asleep;
        for (const auto& one : how.waiting) waiting_.add(waiting_call_named(one), policy);
    }
    trial(const trial&) = delete;
    trial& operator=(const trial&) = delete;
    virtual ~trial() = default;

    virtual void arrange() = 0;
    virtual void judge() = 0;

    /// Kills the victim, or lets it go on.
    void strike() {
        if (fate_ == fate::goes_on) {
            ::kill(victim_->pid(), SIGCONT);
        } else if (fate_ == fate::recorded) {
            expect(victim_->finish() == 0, "the victim that was not killed failed");
        } else {
            victim_->kill();
        }
    }

    [[nodiscard]] std::string path() const { return name_.path(); }
    [[nodiscard]] bool missed() const noexcept { return missed_; }
    [[nodiscard]] call_trace& recorded() noexcept { return recorded_; }
    [[nodiscard]] std::string text() const {
        static constexpr const char* fates[] = {"killed", "stopped and killed", "stopped, and went on", "not stopped"};
        return describe(how_) + ": " + fates[static_cast<std::size_t>(fate_)] + " after " +
               std::to_string(instructions_) + " of " + std::to_string(trace_.size()) + " instructions";
    }

protected:
    /// A victim that stands at the beginning of its call.
    void make_victim(std::function<void(queue&)> prepare) {
        const victims_call& call = victims_call_named(how_.call);
        for (std::size_t i = 0; i < call.most; ++i) its_.push_back(fresh_number());
        victim_ = std::make_unique<stepped_process>([&, prepare = std::move(prepare)] {
            auto q = queue::open(name_);
            prepare(q);
            std::vector<numbered> in;
            std::ranges::transform(its_, std::back_inserter(in), numbered::make);
            step_through([&] {
                call.make(q, in, victims_[0]);
                victims_[0].returned = true;
            });
            return 0;
        });
    }
    /// Lets the victim go on to its instruction.
    void advance() {
        if (fate_ == fate::recorded) {
            recorded_ = victim_->record();
            return;
        }
        // One that sleeps does more or less before, as the clock has it. What comes after its sleep is counted from there.
        const bool after_sleep = trace_.last_sleep() != 0 && instructions_ > trace_.last_sleep();
        if (after_sleep && !victim_->run_to_end_of_sleep(trace_)) {
            missed_ = true;
        } else if (!(after_sleep ? victim_->advance(instructions_) : victim_->advance(instructions_, trace_))) {
            missed_ = true;
        }
    }
    /// Where the victim is to be stopped, it is, and another process looks for the dead: there are none.
    void stand() {
        if (fate_ != fate::goes_on && fate_ != fate::stopped_and_killed) return;
        victim_->leave_to_signal_stop();
        const auto report = mine_.recover();
        expect(report.tombstones + report.messages_to_redeliver + report.messages_dropped == 0,
               "one that is alive was robbed");
    }
    [[nodiscard]] bool dies() const noexcept { return fate_ == fate::killed || fate_ == fate::stopped_and_killed; }

    /// A victim that goes on comes to its end.
    void await_victim() {
        if (fate_ != fate::goes_on) return;
        expect(victim_->finish_after_signal_stop() == 0, "the victim that went on failed");
    }

    /// Everything is well: nothing waits, and the queue works, or is closed.
    void expect_whole() {
        waiting_.finish();
        victim_.reset();
        if (mine_.is_closed()) {
            numbered none{};
            const status answer = mine_.try_pop(none);
            expect(answer == status::closed,
                   "survivors were told closed, and a pop says " + std::string(to_string(answer)));
            return;
        }
        const numbers rest = promisqs_test::drain(mine_);
        expect(rest.empty(), "there is more: " + text_of(rest));
        promisqs_test::expect_full_capacity(mine_);
        const auto report = mine_.recover();
        expect(report.tombstones + report.messages_to_redeliver + report.messages_dropped + report.postponed == 0,
               "something was left to be recovered after all was well");
        const auto stats = mine_.stats();
        expect(stats.participants.size() == 1 && stats.participants.front().alive,
               "there are " + std::to_string(stats.participants.size()) + " participants");
    }

    const setting& how_;
    scoped_name name_;
    std::string quiet_;
    std::size_t instructions_;
    const call_trace& trace_;
    fate fate_;
    queue mine_;
    slot_reader slots_;
    survivors waiting_;
    victims_word victims_;
    std::unique_ptr<stepped_process> victim_;
    numbers its_;  // messages of the victim
    call_trace recorded_;
    bool missed_ = false;
};

/// The survivors are consumers; the victim pushes. One message of the victim waits before, or has been popped.
class push_trial final : public trial {
public:
    using trial::trial;

    void arrange() override {
        const std::uint64_t before = fresh_number();
        owed_ = {before};
        if (how_.asleep_before) waiting_.begin();
        make_victim([before](queue& q) { expect(q.push(numbered::make(before)), "there is no room"); });
        if (how_.asleep_before) {
            waiting_.await({before});
            waiting_.await_sleep();
        }
        for (std::size_t i = 0; i < its_.size(); ++i) stamps_.push_back(slots_.stamp(how_.position + 1 + i));
        advance();
        if (!how_.asleep_before) waiting_.begin();
        if (how_.action == then::closes) {
            mine_.close();
            // Some more instructions, beside the survivors.
            if (fate_ == fate::killed) victim_->advance(instructions_ + instructions_ * 7 % 23);
        }
        for (std::size_t i = 0; i < its_.size() && dies(); ++i) {
            if (slots_.stamp(how_.position + 1 + i) != stamps_[i]) owed_.push_back(its_[i]);
        }
        if (how_.action == then::pushes) {
            owed_.push_back(fresh_number());
            const auto answer = mine_.try_push(numbered::make(owed_.back()));
            expect(answer == status::ok, "a push beside the victim's said " + std::string(to_string(answer)));
        }
        stand();
    }
    void judge() override {
        await_victim();
        // What it has pushed: all, or, in a closed queue, perhaps none.
        for (std::size_t i = 0; i < victims_[0].count && !dies(); ++i) owed_.push_back(its_[i]);
        if (!dies()) expect(victims_[0].count == its_.size() || how_.action == then::closes, "the push failed");
        waiting_.await(owed_);
        if (how_.action == then::closes) {
            waiting_.await_ends();
        } else {
            waiting_.end(mine_);
        }
        const std::string found = "owed " + text_of(owed_) + ", got " + text_of(waiting_.moved());
        expect(promisqs_test::same_numbers(owed_, waiting_.moved()), found);
        expect(waiting_.size() > 1 || !dies() || std::ranges::is_sorted(waiting_.moved()), "out of order: " + found);
        expect_whole();
    }

private:
    numbers owed_;
    std::vector<std::uint64_t> stamps_;  // of the slots that the victim's messages take
};

/// The survivors are consumers; the victim is another one.
class pop_trial final : public trial {
public:
    using trial::trial;

    void arrange() override {
        make_victim([](queue& q) { promisqs_test::register_at(q); });
        owed_ = promisqs_test::put_in(mine_, how_.capacity > batch ? batch + 1 : how_.capacity);
        std::vector<std::uint64_t> stamps;
        for (std::size_t i = 0; i < owed_.size(); ++i) stamps.push_back(slots_.stamp(how_.position + i));
        advance();
        if (dies()) {
            numbers rest;
            for (std::size_t i = 0; i < owed_.size(); ++i) {
                if (slots_.stamp(how_.position + i) == stamps[i]) rest.push_back(owed_[i]);
            }
            owed_ = rest;
        }
        waiting_.begin();
        if (how_.action == then::pushes) {
            owed_.push_back(fresh_number());
            // There may be no room: the victim has what was first.
            if (mine_.try_push(numbered::make(owed_.back())) != status::ok) owed_.pop_back();
        }
        if (how_.action == then::closes) mine_.close();
        stand();
    }
    void judge() override {
        await_victim();
        for (std::size_t i = 0; i < victims_[0].count && !dies(); ++i) {
            owed_ = promisqs_test::without(owed_, promisqs_test::number_of(victims_[0].messages.at(i)));
        }
        waiting_.await(owed_);
        if (how_.action == then::closes) {
            waiting_.await_ends();
        } else {
            waiting_.end(mine_);
        }
        expect(promisqs_test::same_numbers(owed_, waiting_.moved()),
               "owed " + text_of(owed_) + ", got " + text_of(waiting_.moved()));
        expect_whole();
    }

private:
    numbers owed_;
};

/// The survivors are producers that wait for room in a full queue; the victim pops.
class room_trial final : public trial {
public:
    using trial::trial;

    void arrange() override {
        make_victim([](queue& q) { promisqs_test::register_at(q); });
        {
            auto filler = queue::open(name_);  // gives its role up
            before_ = promisqs_test::put_in(filler, how_.capacity);
        }
        std::vector<std::uint64_t> stamps;
        for (std::size_t i = 0; i < before_.size(); ++i) stamps.push_back(slots_.stamp(how_.position + i));
        const std::uint64_t head = slots_.head();
        if (how_.asleep_before) waiting_.begin();
        advance();
        if (dies()) {
            const std::uint64_t claimed = slots_.distance(head, slots_.head());
            for (std::size_t i = 0; i < before_.size(); ++i) {
                const bool released = slots_.stamp(how_.position + i) != stamps[i];
                const bool dropped = !released && how_.max_deaths == 1 && i < claimed;
                if (released || dropped) ++room_;
                if (!released && !dropped) owed_.push_back(before_[i]);
            }
        }
        if (!how_.asleep_before) waiting_.begin();
        if (how_.action == then::closes) mine_.close();
        stand();
    }
    void judge() override {
        await_victim();
        if (!dies()) {
            owed_ = before_;
            room_ = victims_[0].count;
            for (std::size_t i = 0; i < room_; ++i) {
                owed_ = promisqs_test::without(owed_, promisqs_test::number_of(victims_[0].messages.at(i)));
            }
        }
        // As far as there is room for what they push, they get it, and nobody else needs to do anything.
        std::size_t wanted = 0;
        // NOLINTNEXTLINE(modernize-loop-convert): it has no iterators
        for (std::size_t i = 0; i < waiting_.size(); ++i) wanted += waiting_[i].how().most;
        if (how_.action == then::closes || wanted <= room_) waiting_.await_ends();
        // Then a consumer comes, which only waits, too.
        survivors consumers(name_.str(), name_.str());
        consumers.add(waiting_call_named("pop_wait_with"), at_once_asleep);
        consumers.begin();
        waiting_.await_ends();
        for (const std::uint64_t number : waiting_.moved()) owed_.push_back(number);
        consumers.await(owed_);
        waiting_.finish();  // one gives up its role
        if (how_.action == then::closes) {
            consumers.await_ends();
        } else {
            consumers.end(mine_);
            for (std::size_t i = 0; i < waiting_.size(); ++i) {  // NOLINT(modernize-loop-convert): no iterators
                const numbers all = waiting_[i].pushes();
                const bool some = promisqs_test::holds(waiting_.moved(), all.front());
                expect(some, "a producer was not told that it has pushed " + text_of(all));
            }
        }
        expect(promisqs_test::same_numbers(owed_, consumers.moved()),
               "owed " + text_of(owed_) + ", got " + text_of(consumers.moved()));
        consumers.finish();
        expect_whole();
    }

private:
    numbers before_;
    numbers owed_;
    std::size_t room_ = 0;
};

/// The victim closes the queue, which is empty or full.
class close_trial final : public trial {
public:
    using trial::trial;

    void arrange() override {
        if (how_.filled) {
            auto filler = queue::open(name_);
            owed_ = promisqs_test::put_in(filler, how_.capacity);
        }
        if (how_.asleep_before) waiting_.begin();
        make_victim([](queue&) {});
        advance();
        if (!how_.asleep_before) waiting_.begin();
        stand();
        closed_ = mine_.is_closed();
    }
    void judge() override {
        await_victim();
        if (!dies()) expect(mine_.is_closed(), "the closing has failed");
        if (dies() && !closed_) mine_.close();
        if (how_.filled) {
            waiting_.await_ends();
            expect(waiting_.moved().empty(), "a full queue took a message");
            survivors consumers(name_.str(), name_.str());
            consumers.add(waiting_call_named("pop_wait_with"), at_once_asleep);
            consumers.begin();
            consumers.await_ends();
            expect(owed_ == consumers.moved(), "owed " + text_of(owed_) + ", got " + text_of(consumers.moved()));
            consumers.finish();
        } else {
            waiting_.await_ends();
            expect(waiting_.moved().empty(), "there was a message in an empty queue");
        }
        waiting_.finish();  // one gives up its role
        expect(!mine_.push(numbered::make(1)), "a closed queue took a message");
        expect_whole();
    }

private:
    numbers owed_;
    bool closed_ = false;
};

/// The victim waits itself, in the same way as the first survivor. It sleeps first, then the survivors do, then what
/// all wait for comes, for one of them.
class wait_trial final : public trial {
public:
    using trial::trial;

    void arrange() override {
        const waiting_call& call = waiting_call_named(how_.call);
        consumes_ = call.whose == promisqs::detail::role::consumer;
        for (std::size_t i = 0; i < call.most; ++i) its_.push_back(fresh_number());
        const auto who = static_cast<std::uint32_t>(waiting_.size());
        victim_ = std::make_unique<stepped_process>([&, who] {
            auto q = queue::open(name_);
            const auto quiet = queue::open(quiet_);
            q.set_wait_policy(at_once_asleep);
            if (consumes_ && !how_.single_consumer) promisqs_test::register_at(q);
            told_by_victim& told = victims_[0];
            const std::span<numbered> messages(told.messages.data(), call.most);
            if (!consumes_) std::ranges::transform(its_, messages.begin(), numbered::make);
            status answer{};
            step_through([&] {
                answer = call.make(q, quiet, messages, told.count);
                told.returned = true;
            });
            if (answer != status::ok) told.count = 0;
            if (!consumes_) return answer == status::ok ? 0 : 1;
            std::uint64_t last = promisqs_test::no_last_number;  // is told at the end, once
            for (std::size_t i = 0; i < told.count; ++i) {
                const std::uint64_t number = messages[i].number;
                if (number >= promisqs_test::last_number) last = number;
                if (number < promisqs_test::last_number) waiting_.reports().tell({who, status::ok, number});
            }
            waiting_.reports().tell({who, status::ok, last});
            return 0;
        });
        prepare();
        // When the victim sleeps, so do soon the survivors, and then comes what they wait for. If they were faster than
        // the victim, which is stepped through, they are stopped, and more of it comes.
        const ::pid_t helper = forked([&] {
            bool begun = false;
            auto q = queue::open(name_);
            // Where each step takes long, it is always time to look for the dead again, and never to sleep.
            constexpr unsigned most_looks = 2000;
            for (unsigned looks = 0; !helper_[0].not_needed.load(); ++looks) {
                if (promisqs_test::state_of(victim_->pid()) == 'S' || looks == most_looks) {
                    if (!begun) {
                        waiting_.begin();
                        act(q);
                    } else if (q.size() == (consumes_ ? 0 : how_.capacity)) {
                        waiting_.await_sleep();
                        waiting_.stop();
                        act(q);
                    }
                    begun = true;
                }
                ::usleep(100);  // a victim that is stepped through needs the processor
            }
            return begun ? 0 : 1;
        });
        std::exception_ptr failure;
        try {
            advance();
        } catch (...) {
            failure = std::current_exception();
        }
        helper_[0].not_needed.store(true);
        const int acted = promisqs_test::wait_for(helper);
        waiting_.go_on();
        if (failure) std::rethrow_exception(failure);
        expect(acted == 0 || acted == 1, "what was to end the sleep failed");
        if (acted == 1) {
            waiting_.begin();
            auto q = queue::open(name_);
            act(q);
        }
        stand();
        look();
    }
    void judge() override {
        if (consumes_) {
            judge_consumers();
        } else {
            judge_producers();
        }
        expect_whole();
    }

private:
    // What came for those that wait: pushed, or popped, in memory that is shared with the helper.
    struct shared_part {
        std::atomic<bool> not_needed;
        std::atomic<std::size_t> count;
        std::array<std::atomic<std::uint64_t>, 256> numbers;
    };
    [[nodiscard]] numbers acted() const {
        numbers result;
        for (std::size_t i = 0; i < helper_[0].count.load(); ++i) result.push_back(helper_[0].numbers.at(i).load());
        return result;
    }

    // What there is when all begin to wait.
    void prepare() {
        if (!consumes_) {
            auto filler = queue::open(name_);
            before_ = promisqs_test::put_in(filler, how_.capacity);
        }
        for (int i = 0; i < 256; ++i) fresh_number();  // the helper's
        first_number_ = fresh_number() - 256;
        tail_ = slots_.tail();
    }
    // What all wait for, for one of them.
    void act(queue& q) {
        const std::size_t n = helper_[0].count.load();
        std::uint64_t number = first_number_ + n;
        if (consumes_) {
            if (!q.push(numbered::make(number))) return;
        } else {
            const auto oldest = q.pop();
            if (!oldest) return;
            number = promisqs_test::number_of(*oldest);
        }
        helper_[0].numbers.at(n).store(number);
        helper_[0].count.store(n + 1);
    }
    void look() {
        if (!dies()) return;
        if (consumes_) {
            // The victim has had a message if it is in its hands, and released.
            const numbers all = acted();
            std::uint64_t ticket = tail_;
            for (const std::uint64_t number : all) {
                const bool in_its_hands = std::ranges::any_of(
                    victims_[0].messages, [&](const numbered& one) { return one.number == number; });
                if (!in_its_hands || slots_.is_full(ticket)) owed_.push_back(number);
                ticket = slots_.next(ticket);
            }
        } else {
            has_room_ = slots_.distance(tail_, slots_.tail()) < acted().size();
        }
    }
    void judge_consumers() {
        if (!dies()) owed_ = acted();
        waiting_.await(owed_);
        waiting_.end(mine_, !dies());
        await_victim();
        numbers all = waiting_.moved();
        all.insert(all.end(), waiting_.others().begin(), waiting_.others().end());
        expect(promisqs_test::same_numbers(all, owed_), "owed " + text_of(owed_) + ", got " + text_of(all));
    }
    void judge_producers() {
        if (dies() && has_room_ && waiting_.size() == 1 && waiting_[0].how().most == 1) waiting_.await_ends();
        survivors consumers(name_.str(), name_.str());
        consumers.add(waiting_call_named("pop_wait_with"), at_once_asleep);
        consumers.begin();
        waiting_.await_ends();
        await_victim();
        numbers owed = before_;
        owed.insert(owed.end(), waiting_.moved().begin(), waiting_.moved().end());
        if (!dies())
            owed.insert(owed.end(), its_.begin(), its_.begin() + static_cast<std::ptrdiff_t>(victims_[0].count));
        const numbers gone = acted();
        numbers rest = owed;
        std::erase_if(rest, [&](std::uint64_t number) { return promisqs_test::holds(gone, number); });
        consumers.await(rest);
        waiting_.finish();
        consumers.end(mine_);
        numbers got = gone;
        got.insert(got.end(), consumers.moved().begin(), consumers.moved().end());
        for (const std::uint64_t number : its_) {
            if (dies())
                expect(promisqs_test::holds(got, number) || !victims_[0].returned, "the victim's message is lost");
            if (dies()) got = promisqs_test::without(got, number);
        }
        expect(promisqs_test::same_numbers(got, owed), "owed " + text_of(owed) + ", got " + text_of(got));
        consumers.finish();
    }

    shared_array<shared_part> helper_{1};
    bool consumes_ = true;
    bool has_room_ = false;
    numbers before_;
    numbers owed_;
    std::uint64_t first_number_ = 0;
    std::uint64_t tail_ = 0;
};

// Then each instruction of a short call is met in several of its settings, and those of a wait are sampled. Otherwise all
// are sampled.
bool at_every_instruction() { return std::getenv("PROMISQS_EVERY_INSTRUCTION") != nullptr; }

/// Makes the trials of settings, some side by side.
template <class Trial>
class trial_runner {
public:
    explicit trial_runner(std::string what) : what_(std::move(what)), quiet_("quiet") {
        static_cast<void>(promisqs_test::stepping_is_allowed());  // from now on all is on one processor
        quiet_queue_.emplace(queue::create(quiet_, 1, promisqs_test::few_participants));
        // What a process sets up with its first queue is set up in this one, so that all victims inherit it.
        promisqs_test::register_at(*quiet_queue_);
        static_cast<void>(queue::open(quiet_).recover());
    }

    void run(const std::vector<setting>& settings, std::size_t most_places) {
        std::size_t phase = 0;
        for (const setting& how : settings) run(how, most_places, phase++);
        CHECK(missed_ * 2 <= made_);
        if (std::getenv("PROMISQS_SHOW_TRIALS") != nullptr) {
            WARN(what_ << ": " << longest_ << " instructions, " << made_ << " trials, " << missed_
                       << " of them missed");
        }
    }

private:
    void run(const setting& how, std::size_t most_places, std::size_t phase) {
        call_trace trace;
        for (int i = 0; i < 3; ++i) {
            auto one = std::make_unique<Trial>(how, quiet_.str(), number_++, fate::recorded, 0, trace);
            const bool recorded = all_.make(one->path(), one->text(), [&] {
                one->arrange();
                one->strike();
                one->judge();
            });
            REQUIRE(recorded);
            if (i == 0 || one->recorded().size() < trace.size()) trace = std::move(one->recorded());
        }
        longest_ = std::max(longest_, trace.size());
        std::vector<std::unique_ptr<Trial>> group;
        std::size_t turn = phase;
        for (const std::size_t i : places(trace, most_places, phase)) {
            static constexpr fate fates[] = {fate::killed, fate::killed, fate::goes_on, fate::killed,
                                             fate::stopped_and_killed};
            group.push_back(
                std::make_unique<Trial>(how, quiet_.str(), number_++, fates[turn++ % std::size(fates)], i, trace));
            if (group.size() == at_once) make(group);
        }
        make(group);
    }

    // Half of them are after its sleep, if it sleeps.
    static std::vector<std::size_t> places(const call_trace& trace, std::size_t most, std::size_t phase) {
        std::vector<std::size_t> all;
        const auto add = [&](std::size_t first, std::size_t last, std::size_t share) {
            const std::size_t stride = std::max<std::size_t>(1, (last - first) / share);
            for (std::size_t i = first + phase % stride; i <= last; i += stride) all.push_back(i);
        };
        if (const std::size_t sleep = trace.last_sleep(); sleep != 0) {
            add(0, sleep, most / 2);
            add(sleep + 1, trace.size(), most - most / 2);
        } else {
            add(0, trace.size(), most);
        }
        return all;
    }

    void make(std::vector<std::unique_ptr<Trial>>& group) {
        std::vector<Trial*> good;
        for (const auto& one : group) {
            if (all_.make(one->path(), one->text(), [&] { one->arrange(); })) good.push_back(one.get());
        }
        for (Trial* one : good) one->strike();
        for (Trial* one : good) {
            all_.make(one->path(), one->text(), [&] { one->judge(); });
            ++made_;
            if (one->missed()) ++missed_;
        }
        group.clear();
    }

    static constexpr std::size_t at_once = 8;

    std::string what_;
    trials all_;
    scoped_name quiet_;
    std::optional<queue> quiet_queue_;
    std::size_t number_ = 0;
    std::size_t made_ = 0;
    std::size_t missed_ = 0;
    std::size_t longest_ = 0;
};

template <class Trial>
void survive(const std::string& what, const std::vector<setting>& settings, std::size_t most_places = 6) {
    SKIP_IF_STEPPING_IS_REFUSED();
    trial_runner<Trial>(what).run(settings, at_every_instruction() ? 24 : most_places);
}

const std::vector<team> teams_of_consumers{{"pop_wait"},
                                           {"pop_wait_with"},
                                           {"pop_some_wait"},
                                           {"wait_any"},
                                           {"pop_wait", "pop_wait_with"},
                                           {"wait_any", "pop_wait"},
                                           {"pop_some_wait", "pop_wait"}};
const std::vector<team> teams_of_producers{{"push_wait"},
                                           {"push_wait_with"},
                                           {"push_all_wait"},
                                           {"push_some_wait"},
                                           {"push_wait", "push_wait_with"},
                                           {"push_all_wait", "push_wait"}};

/// Consumers that wait, in an open and in a closed queue, while `call` is cut short.
std::vector<setting> with_consumers(const std::string& call, bool pushes) {
    std::vector<setting> all;
    std::uint64_t position = 0;
    const auto add = [&](setting one) {
        one.call = call;
        one.capacity = call == "push_some" ? 5 : 2 + all.size() % 3;
        one.position = position++ % 5 == 0 ? one.capacity - 1 : 0;
        all.push_back(one);
    };
    for (const team& waiting : teams_of_consumers) {
        for (const then action : {then::nothing, then::pushes, then::closes}) {
            add({.waiting = waiting, .action = action});
            if (pushes) add({.waiting = waiting, .asleep_before = true, .action = action});
        }
        for (const then action : {then::nothing, then::closes}) {
            add({.waiting = waiting, .asleep_before = pushes, .action = action, .single_producer = true});
            if (pushes && waiting.size() == 1) {
                add({.waiting = waiting, .action = action, .single_consumer = true});
                add({.waiting = waiting, .asleep_before = true, .action = action, .single_consumer = true});
                add({.waiting = waiting, .action = action, .single_producer = true, .single_consumer = true});
            }
        }
    }
    return all;
}

/// Producers that wait for room while `call` is cut short.
std::vector<setting> with_producers(const std::string& call) {
    std::vector<setting> all;
    const auto add = [&](setting one) {
        one.call = call;
        one.capacity = call == "pop_some" ? 3 + all.size() % 2 : 2 + all.size() % 3;
        one.position = all.size() % 4 == 0 ? one.capacity - 1 : 0;
        all.push_back(one);
    };
    for (const team& waiting : teams_of_producers) {
        for (const bool before : {true, false}) {
            for (const std::uint32_t deaths : {3U, 1U}) {
                add({.waiting = waiting, .asleep_before = before, .max_deaths = deaths});
                add({.waiting = waiting, .asleep_before = before, .single_consumer = true, .max_deaths = deaths});
                if (waiting.size() == 1) {
                    add({.waiting = waiting, .asleep_before = before, .single_producer = true, .max_deaths = deaths});
                }
            }
            add({.waiting = waiting, .asleep_before = before, .action = then::closes});
        }
    }
    return all;
}

std::vector<setting> closings() {
    std::vector<setting> all;
    for (const bool single : {true, false}) {
        for (const bool before : {true, false}) {
            for (const team& waiting : teams_of_consumers) {
                all.push_back(
                    {.call = "close", .waiting = waiting, .asleep_before = before, .single_producer = single});
            }
            for (const team& waiting : teams_of_producers) {
                if (single && waiting.size() > 1) continue;
                all.push_back({.call = "close",
                               .waiting = waiting,
                               .capacity = 3,
                               .asleep_before = before,
                               .single_producer = single,
                               .filled = true});
            }
        }
    }
    return all;
}

std::vector<setting> waits(const std::string& call, const std::vector<team>& teams) {
    std::vector<setting> all;
    for (const team& waiting : teams) all.push_back({.call = call, .waiting = waiting, .capacity = 2 + all.size() % 2});
    return all;
}

}  // namespace

TEST_CASE("consumers that wait survive a push") { survive<push_trial>("push", with_consumers("push", true)); }
TEST_CASE("consumers that wait survive a push in place") {
    survive<push_trial>("push_with", with_consumers("push_with", true));
}
TEST_CASE("consumers that wait survive a push of several at once") {
    survive<push_trial>("push_some", with_consumers("push_some", true));
}
TEST_CASE("consumers that wait survive a pop") { survive<pop_trial>("pop", with_consumers("pop", false)); }
TEST_CASE("consumers that wait survive a pop in place") {
    survive<pop_trial>("pop_with", with_consumers("pop_with", false));
}
TEST_CASE("consumers that wait survive a pop of several at once") {
    survive<pop_trial>("pop_some", with_consumers("pop_some", false));
}
TEST_CASE("producers that wait survive a pop") { survive<room_trial>("pop", with_producers("pop")); }
TEST_CASE("producers that wait survive a pop in place") { survive<room_trial>("pop_with", with_producers("pop_with")); }
TEST_CASE("producers that wait survive a pop of several at once") {
    survive<room_trial>("pop_some", with_producers("pop_some"));
}
TEST_CASE("all that wait survive a closing") { survive<close_trial>("close", closings()); }

TEST_CASE("consumers that wait survive one of them") {
    survive<wait_trial>("pop_wait", waits("pop_wait", teams_of_consumers));
}
TEST_CASE("consumers that wait survive one of them that waits in place") {
    survive<wait_trial>("pop_wait_with", waits("pop_wait_with", teams_of_consumers));
}
TEST_CASE("consumers that wait survive one of them that waits for several messages") {
    survive<wait_trial>("pop_some_wait", waits("pop_some_wait", teams_of_consumers));
}
TEST_CASE("producers that wait survive one of them") {
    survive<wait_trial>("push_wait", waits("push_wait", teams_of_producers));
}
TEST_CASE("producers that wait survive one of them that waits in place") {
    survive<wait_trial>("push_wait_with", waits("push_wait_with", teams_of_producers));
}
