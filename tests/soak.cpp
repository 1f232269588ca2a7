// SPDX-License-Identifier: Apache-2.0

// Soaks a queue in death: producers and consumers are killed at random and replaced, while a ledger is kept of every
// message. Then the account must be exact. A round ends when the ledger is full, or after a while; by an order to stop,
// or by the death of everybody at once. After each, the queue must hold exactly its capacity.
//
// In the mode `waiters`, producers and consumers only wait, in every way that there is, and some are stopped, too. After
// a death, nobody comes until the survivors have moved on, so the waits alone must find what the dead have left. Each
// round is in a new queue, perhaps with single roles, and ends with its closing, or with the death of everybody.

#include "support/ledger.hpp"
#include "support/names.hpp"
#include "support/soak_workers.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/wait_any.hpp>

#include <CLI/CLI.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using promisqs::status;
using promisqs_test::balance;
using promisqs_test::dawdle;
using promisqs_test::ledger;
using promisqs_test::sealed_message;
using promisqs_test::shared_array;
using promisqs_test::shared_orders;
using promisqs_test::waiting_worker;
using promisqs_test::worker_state;
using queue = promisqs::shmem_queue<sealed_message>;
using steady = std::chrono::steady_clock;

struct settings {
    unsigned seconds = 2;
    std::uint64_t seed = 0;
    unsigned producers = 4;
    unsigned consumers = 4;
    std::uint64_t capacity = 64;
    std::uint32_t participants = 256;
    unsigned most_pause = 4000;  // microseconds between two kills
    std::uint64_t messages = std::uint64_t{1} << 22;
    // What nothing comes of for so long hangs; this says nothing about how long anything should take.
    std::chrono::seconds patience{120};
    bool in_place = false;
    bool waiters = false;
};

struct violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

constexpr int told_to_stop = 0;
constexpr int no_entry = 40;  // the table of participants was full
constexpr int failed = 41;

std::atomic<bool> interrupted = false;

class soak {
public:
    explicit soak(const settings& wanted)
        : wanted_(wanted),
          name_("soak"),
          quiet_name_("soak-quiet"),
          ledger_(wanted.messages),
          states_(wanted.producers + wanted.consumers),
          orders_(1),
          random_(wanted.seed),
          workers_(wanted.producers + wanted.consumers) {
        if (wanted.waiters) {
            quiet_.emplace(queue::create(quiet_name_, 1, {.participants = wanted.participants}));
        } else {
            create({});
        }
    }

    soak(const soak&) = delete;
    soak& operator=(const soak&) = delete;
    ~soak() { kill_all(); }

    void run() {
        const auto end = steady::now() + std::chrono::seconds(wanted_.seconds);
        last_line_ = steady::now();
        while (steady::now() < end && !interrupted) wanted_.waiters ? round_of_waiters(end) : round(end);
    }

    void say_progress() const {
        const auto stats = queue_->stats();
        std::printf("%llu messages, %llu kills, %llu redelivered, %llu tombstones\n", text(moved()), text(kills_),
                    text(stats.redelivered), text(stats.tombstones));
        std::fflush(stdout);
    }

    void say_result() const {
        std::printf(
            "with killed consumers gone: %llu, popped again: %llu; pushes cut short: %llu; rounds: %llu; "
            "starts refused for want of an entry: %llu\n",
            text(total_.excused_lost), text(total_.excused_twice), text(total_.cut_short), text(rounds_),
            text(refused_));
        if (wanted_.waiters) {
            using milliseconds = std::chrono::duration<double, std::milli>;
            std::printf(
                "stops: %llu; longest time without progress, nobody being stopped or told to rest: %.1f ms; longest "
                "until "
                "a closed queue was at its end: %.1f ms\n",
                text(stops_), milliseconds(longest_).count(), milliseconds(longest_end_).count());
        }
        std::printf("soak: %llu messages, %llu kills, %llu lost, %llu twice\n", text(total_.pushed), text(kills_),
                    text(total_.lost), text(total_.twice));
        std::fflush(stdout);
    }

private:
    static unsigned long long text(std::uint64_t number) noexcept { return number; }

    [[nodiscard]] std::uint64_t up_to(std::uint64_t most) {
        return std::uniform_int_distribution<std::uint64_t>(0, most)(random_);
    }
    [[nodiscard]] bool is_producer(std::size_t i) const noexcept { return i < wanted_.producers; }

    [[nodiscard]] std::uint64_t moved() const {
        std::uint64_t result = 0;
        for (std::size_t i = wanted_.producers; i < states_.size(); ++i) result += states_[i].moved.load();
        return result;
    }

    void round(steady::time_point end) {
        ++rounds_;
        orders_[0].producers_stop = false;
        orders_[0].consumers_stop = false;
        for (std::size_t i = 0; i < workers_.size(); ++i) start(i);

        const auto round_end = std::min(end, steady::now() + std::chrono::milliseconds(200 + up_to(2000)));
        auto last_change = steady::now();
        std::uint64_t last_moved = moved();
        while (steady::now() < round_end && !ledger_.is_full() && !interrupted) {
            std::this_thread::sleep_for(std::chrono::microseconds(up_to(wanted_.most_pause)));
            look_after_exits();
            // As a rule one; now and then several at once.
            const std::uint64_t victims = up_to(7) == 0 ? 1 + up_to(workers_.size() - 1) : 1;
            std::vector<std::size_t> dead;
            for (std::uint64_t v = 0; v < victims; ++v) {
                const std::size_t i = up_to(workers_.size() - 1);
                if (workers_[i].pid == 0) continue;
                kill(i);
                dead.push_back(i);
            }
            for (const std::size_t i : dead) start(i);

            const auto now = steady::now();
            if (const std::uint64_t count = moved(); count != last_moved) {
                last_moved = count;
                last_change = now;
            } else if (now - last_change > wanted_.patience) {
                throw violation("the queue is wedged: nothing was popped for a long time");
            }
            if (now - last_line_ >= std::chrono::seconds(1)) {
                last_line_ = now;
                say_progress();
            }
        }
        end_round();
    }

    void end_round() {
        if (up_to(1) == 0) {
            kill_all();
        } else {
            orders_[0].producers_stop = true;
            wait_for(0, wanted_.producers);
            orders_[0].consumers_stop = true;
            wait_for(wanted_.producers, workers_.size());
        }
        settle_account();
    }

    // The mode `waiters`.

    void round_of_waiters(steady::time_point end) {
        ++rounds_;
        const bool single_producer = up_to(3) == 0;
        const bool single_consumer = up_to(3) == 0;
        create({.single_producer = single_producer, .single_consumer = single_consumer});
        used_.clear();
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            const bool alone = is_producer(i) ? single_producer : single_consumer;
            if (!alone || i == 0 || i == wanted_.producers) used_.push_back(i);
        }
        orders_[0].producers_rest = orders_[0].consumers_rest = false;
        told_closed_ = false;
        for (const std::size_t i : used_) start(i);
        note_change();
        const auto round_end = std::min(end, steady::now() + std::chrono::milliseconds(500 + up_to(4000)));
        while (steady::now() < round_end && !ledger_.is_full() && !interrupted) {
            disturb();
            await_progress(round_end);
        }
        end_round_of_waiters();
    }

    void create(promisqs::options wanted) {
        wanted.participants = wanted_.participants;
        wanted.max_deaths = 0;
        queue_.reset();  // the last handle removes the queue
        queue_.emplace(queue::create(name_, wanted_.capacity, wanted));
    }

    [[nodiscard]] std::size_t any_used() { return used_[up_to(used_.size() - 1)]; }
    [[nodiscard]] bool runs(std::size_t i) const noexcept {
        return workers_[i].pid != 0 && workers_[i].stopped_until == steady::time_point();
    }
    // Of this role.
    [[nodiscard]] bool somebody_runs(bool producer) const {
        return std::ranges::any_of(used_, [&](std::size_t i) { return is_producer(i) == producer && runs(i); });
    }

    void disturb() {
        const auto now = steady::now();
        switch (up_to(7)) {
            case 0:
                (up_to(1) == 0 ? orders_[0].producers_rest : orders_[0].consumers_rest) = true;
                rest_until_ = now + std::chrono::microseconds(up_to(150'000));
                break;
            case 1:
            case 2: {
                const std::size_t i = any_used();
                if (!runs(i)) return;
                ::kill(workers_[i].pid, SIGSTOP);
                const std::uint64_t longest = up_to(63) == 0 ? 2'000'000 : up_to(7) == 0 ? 200'000 : 10'000;
                workers_[i].stopped_until = now + std::chrono::microseconds(up_to(longest));
                ++stops_;
                break;
            }
            default:
                for (std::uint64_t left = up_to(7) == 0 ? 1 + up_to(used_.size() - 1) : 1; left > 0; --left) {
                    if (const std::size_t i = any_used(); workers_[i].pid != 0) kill(i);
                }
        }
        note_change();
    }

    // Nobody comes until the survivors have moved on, past whatever the dead hold, unless there are none.
    void await_progress(steady::time_point round_end) {
        const std::uint64_t wanted = moved() + wanted_.capacity + 2 * waiting_worker::batch;
        while (moved() < wanted && steady::now() < round_end && !ledger_.is_full() && !interrupted) {
            std::this_thread::sleep_for(std::chrono::microseconds(100 + up_to(400)));
            go_on_where_due();
            for (const std::size_t i : used_) {
                int how = 0;
                const bool ended = workers_[i].pid != 0 && ::waitpid(workers_[i].pid, &how, WNOHANG) == workers_[i].pid;
                if (ended) judge_exit(i, how);
            }
            const bool nobody_comes = has_some(true) && has_some(false);
            if (!nobody_comes) start_missing();
            watch_progress();
        }
        start_missing();
    }

    // Of this role, running or stopped.
    [[nodiscard]] bool has_some(bool producer) const {
        return std::ranges::any_of(used_,
                                   [&](std::size_t i) { return is_producer(i) == producer && workers_[i].pid != 0; });
    }
    void start_missing() {
        bool started = false;
        for (const std::size_t i : used_) {
            if (workers_[i].pid != 0 || ledger_.is_full()) continue;
            start(i);
            started = true;
        }
        if (started) note_change();
    }

    void go_on_where_due(bool all = false) {
        const auto now = steady::now();
        for (const std::size_t i : used_) {
            if (workers_[i].pid == 0 || runs(i) || (now < workers_[i].stopped_until && !all)) continue;
            if (up_to(2) == 0 && !all) {
                kill(i);
            } else {
                ::kill(workers_[i].pid, SIGCONT);
                workers_[i].stopped_until = {};
            }
            note_change();
        }
        if (rest_until_ != steady::time_point() && (now >= rest_until_ || all)) {
            orders_[0].producers_rest = orders_[0].consumers_rest = false;
            rest_until_ = {};
            note_change();
        }
    }

    // Something moved, or there is a reason why it may not.
    void note_change() {
        last_moved_ = moved();
        last_change_ = steady::now();
    }
    void watch_progress() {
        const auto now = steady::now();
        const bool disturbed =
            rest_until_ != steady::time_point() || !somebody_runs(true) || !somebody_runs(false) ||
            std::ranges::any_of(used_, [&](std::size_t i) { return workers_[i].pid != 0 && !runs(i); });
        // Held up itself, it does not know when something moved.
        const bool late = now - std::exchange(last_look_, now) > std::chrono::milliseconds(20);
        if (disturbed || late || moved() != last_moved_) {
            if (!disturbed && !late) longest_ = std::max(longest_, now - last_change_);
            note_change();
        } else if (now - last_change_ > wanted_.patience) {
            say_progress();
            throw violation("the queue is wedged: for a long time, nothing was popped by those that wait");
        }
        if (now - last_line_ >= std::chrono::seconds(1)) {
            last_line_ = now;
            say_progress();
        }
    }

    void end_round_of_waiters() {
        go_on_where_due(true);
        if (up_to(2) == 0) {
            kill_all();
        } else {
            close();
            // Some die in the closed queue. At least one consumer lives, and is told when it is at its end.
            for (std::uint64_t left = up_to(used_.size()); left > 0; --left) {
                const std::size_t i = any_used();
                if (workers_[i].pid != 0 && (is_producer(i) || i != used_.back())) kill(i);
            }
            if (workers_[used_.back()].pid == 0) start(used_.back());
            const auto begun = steady::now();
            wait_for(0, workers_.size());
            longest_end_ = std::max(longest_end_, steady::now() - begun);
        }
        settle_account();
    }

    // By a process that may be killed half-way.
    void close() {
        const ::pid_t closer = ::fork();
        if (closer < 0) throw violation("can't fork");
        if (closer == 0) {
            queue_->close();
            ::_exit(0);
        }
        std::this_thread::sleep_for(std::chrono::microseconds(up_to(1000)));
        ::kill(closer, SIGKILL);
        int how = 0;
        while (::waitpid(closer, &how, 0) < 0 && errno == EINTR) {}
        if (!queue_->is_closed()) queue_->close();
    }

    void settle_account() {
        check_queue();
        const balance result = ledger_.judge();
        total_ += result;
        if (!result.holds()) throw violation(complaints_of(result));
        ledger_.clear();
        for (std::size_t i = 0; i < states_.size(); ++i) states_[i].in_hand = 0;
    }

    static std::string complaints_of(const balance& result) {
        std::string all;
        for (const auto& one : result.complaints) all += (all.empty() ? "" : "; ") + one;
        return all;
    }

    // Nobody else is alive any more.
    void check_queue() {
        const auto report = queue_->recover();
        if (report.in_progress_elsewhere || report.postponed != 0) {
            throw violation("all are dead, but a recovery leaves something for later");
        }
        for (sealed_message message{};;) {
            const status answer = until_definite([&] { return queue_->try_pop(message); });
            if (answer == status::empty || answer == status::closed) break;
            if (told_closed_) throw violation("a consumer was told that the queue is at its end, and it was not");
            if (answer != status::ok) throw violation("a pop of what is left says " + std::string(to_string(answer)));
            ledger_.popped(message);
        }
        const auto stats = queue_->stats();
        if (stats.participants.size() != 1) throw violation("the dead keep their entries");
        if (stats.size != 0) throw violation("a drained queue's size is " + std::to_string(stats.size));
        if (stats.dropped != 0) throw violation("a message was dropped, though none ever should");
        if (stats.closed) return;
        for (std::uint64_t i = 0; i < wanted_.capacity; ++i) {
            if (until_definite([&] { return queue_->try_push(sealed_message::make(i)); }) != status::ok) {
                throw violation("there is no room for message " + std::to_string(i) + " of " +
                                std::to_string(wanted_.capacity));
            }
        }
        if (queue_->try_push(sealed_message::make(0)) != status::full || queue_->size() != wanted_.capacity) {
            throw violation("it takes more than its capacity");
        }
        for (std::uint64_t i = 0; i < wanted_.capacity; ++i) {
            sealed_message message{};
            const bool got = until_definite([&] { return queue_->try_pop(message); }) == status::ok;
            if (!got || !message.whole() || message.number != i) {
                throw violation("a queue that nobody else uses does not give back message " + std::to_string(i));
            }
        }
        if (!queue_->empty()) throw violation("a drained queue is not empty");
    }

    // One attempt may come to nothing for each tombstone in its way.
    template <class Attempt>
    status until_definite(Attempt attempt) const {
        for (std::uint64_t i = 0; i < 2 * wanted_.capacity + 16; ++i) {
            if (const status answer = attempt(); answer != status::would_block) return answer;
        }
        return status::would_block;
    }

    void start(std::size_t i) {
        const bool inherits = up_to(1) == 0;
        const std::uint64_t luck = random_();
        std::fflush(nullptr);
        const ::pid_t parent = ::getpid();
        const ::pid_t pid = ::fork();
        if (pid < 0) throw violation("can't fork");
        if (pid != 0) {
            workers_[i] = {pid, {}};
            return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(failed);
        ::signal(SIGINT, SIG_IGN);  // the parent sees to that
        int result = failed;
        try {
            queue q = inherits ? *queue_ : queue::open(name_);
            if (wanted_.waiters) {
                waiting_worker me(q, *quiet_, ledger_, states_[i], orders_[0], luck);
                is_producer(i) ? me.produce() : me.consume();
            } else {
                is_producer(i) ? produce(q, states_[i]) : consume(q, states_[i], luck);
            }
            result = told_to_stop;
        } catch (const promisqs::queue_error& error) {
            result = error.code() == promisqs::errc::too_many_participants ? no_entry : failed;
            if (result == failed) std::fprintf(stderr, "worker: %s\n", error.what());
        } catch (const std::exception& error) {
            std::fprintf(stderr, "worker: %s\n", error.what());
        }
        ::_exit(result);
    }

    void produce(queue& q, worker_state& me) const {
        for (std::uint64_t n = ledger_.number_after(ledger::no_number); n != ledger::no_number;
             n = ledger_.number_after(n)) {
            ledger_.about_to_push(n);
            while (!push(q, n)) {
                if (orders_[0].producers_stop) return ledger_.not_pushed(n);
                std::this_thread::yield();
            }
            ledger_.pushed(n);
            me.has_moved(1);
            if (orders_[0].producers_stop) return;
        }
    }

    static bool push(queue& q, std::uint64_t n) {
        const auto fill = [&](sealed_message& slot) {
            slot.number = n;
            dawdle(n);  // half-way
            slot.fill(n);
        };
        switch (n % 6) {
            case 0: return q.push(sealed_message::make(n));
            case 4: return q.push_wait_for(sealed_message::make(n), std::chrono::milliseconds(3)) == status::ok;
            case 5: {
                const std::array one{sealed_message::make(n)};
                return q.push_some(one) == 1;
            }
            case 1: return q.try_push(sealed_message::make(n)) == status::ok;
            case 2: return q.push_with(fill);
            default: return q.try_push_with(fill) == status::ok;
        }
    }

    void consume(queue& q, worker_state& me, std::uint64_t luck) const {
        for (;;) {
            const bool last = orders_[0].consumers_stop;
            me.may_lose = 1;
            const bool got = wanted_.in_place ? pop_in_place(q, me, ++luck) : pop(q, ++luck);
            me.may_lose = 0;
            if (got) {
                me.has_moved(1);
            } else {
                if (last) return;
                std::this_thread::yield();
            }
        }
    }

    bool pop(queue& q, std::uint64_t luck) const {
        if (luck % 3 == 0) {
            const auto message = q.pop();
            if (message) ledger_.popped(*message);
            return message.has_value();
        }
        sealed_message message{};
        const bool waits = luck % 3 == 1;
        if ((waits ? q.pop_wait_for(message, std::chrono::milliseconds(3)) : q.try_pop(message)) != status::ok) {
            return false;
        }
        ledger_.popped(message);
        return true;
    }

    bool pop_in_place(queue& q, worker_state& me, std::uint64_t luck) const {
        const auto use = [&](const sealed_message& message) {
            dawdle(luck);
            me.in_hand = message.number + 1;
            ledger_.popped(message);
            dawdle(luck / 16);
        };
        const bool got = luck % 2 == 0 ? q.pop_with(use) : q.try_pop_with(use) == status::ok;
        me.in_hand = 0;
        return got;
    }

    // Once it is gone, what it had in its hands is known.
    void write_off(std::size_t i) {
        workers_[i] = {};
        if (is_producer(i)) return ledger_.excuse_cut_short(wanted_.waiters ? waiting_worker::batch : 1);
        const std::uint64_t number = states_[i].in_hand.exchange(0);
        if (number != 0) ledger_.excuse_second(number - 1);
        const std::uint64_t lost = states_[i].may_lose.exchange(0);
        if (!wanted_.in_place) ledger_.excuse_losses(lost);
    }

    void kill(std::size_t i) {
        ::kill(workers_[i].pid, SIGKILL);
        int how = 0;
        while (::waitpid(workers_[i].pid, &how, 0) < 0 && errno == EINTR) {}
        if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL) {
            ++kills_;
            write_off(i);
        } else {
            judge_exit(i, how);
        }
    }

    void kill_all() {
        for (const auto& one : workers_) {
            if (one.pid != 0) ::kill(one.pid, SIGKILL);
        }
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            if (workers_[i].pid == 0) continue;
            int how = 0;
            while (::waitpid(workers_[i].pid, &how, 0) < 0 && errno == EINTR) {}
            ++kills_;
            write_off(i);
        }
    }

    // A worker has ended without being killed.
    void judge_exit(std::size_t i, int how) {
        workers_[i] = {};
        if (WIFEXITED(how) && WEXITSTATUS(how) == told_to_stop) {  // the ledger is full, or it was told to
            told_closed_ = told_closed_ || (wanted_.waiters && !is_producer(i));
            return;
        }
        if (WIFEXITED(how) && WEXITSTATUS(how) == no_entry) {
            ++refused_;
            return;
        }
        const std::string what = is_producer(i) ? "a producer" : "a consumer";
        throw violation(what + (WIFSIGNALED(how) ? " was ended by signal " + std::to_string(WTERMSIG(how))
                                                 : " exited with " + std::to_string(WEXITSTATUS(how))));
    }

    void look_after_exits() {
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            if (workers_[i].pid != 0) {
                int how = 0;
                if (::waitpid(workers_[i].pid, &how, WNOHANG) != workers_[i].pid) continue;
                judge_exit(i, how);
            }
            if (!ledger_.is_full()) start(i);
        }
    }

    void wait_for(std::size_t first, std::size_t last) {
        const auto give_up = steady::now() + wanted_.patience;
        for (std::size_t i = first; i < last; ++i) {
            while (workers_[i].pid != 0) {
                int how = 0;
                if (::waitpid(workers_[i].pid, &how, WNOHANG) == workers_[i].pid) {
                    judge_exit(i, how);
                } else if (steady::now() > give_up) {
                    throw violation(std::string(is_producer(i) ? "a producer" : "a consumer") +
                                    " was told to stop, and hangs");
                } else {
                    std::this_thread::yield();
                }
            }
        }
    }

    settings wanted_;
    promisqs_test::scoped_name name_;
    promisqs_test::scoped_name quiet_name_;
    std::optional<queue> queue_;
    std::optional<queue> quiet_;
    ledger ledger_;
    shared_array<worker_state> states_;
    shared_array<shared_orders> orders_;
    std::mt19937_64 random_;
    struct worker {
        ::pid_t pid = 0;
        steady::time_point stopped_until = {};  // the epoch: it is not stopped
    };
    std::vector<worker> workers_;
    steady::time_point last_line_;
    balance total_;
    std::vector<std::size_t> used_;   // the workers of this round
    steady::time_point rest_until_;   // the epoch: nobody is told to rest
    steady::time_point last_change_;  // the last progress, or reason why there was none
    steady::time_point last_look_;
    std::uint64_t last_moved_ = 0;
    steady::duration longest_{};      // without progress
    steady::duration longest_end_{};  // from the closing of a queue until all were told
    bool told_closed_ = false;
    std::uint64_t stops_ = 0;
    std::uint64_t kills_ = 0;
    std::uint64_t rounds_ = 0;
    std::uint64_t refused_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    settings wanted;
    wanted.seed = std::random_device()();
    std::string mode = "pop";
    CLI::App app{"Kills producers and consumers of a queue at random, and keeps account of every message"};
    app.add_option("--seconds", wanted.seconds, "how long");
    app.add_option("--seed", wanted.seed, "of what is random: which process to kill, and when");
    app.add_option("--producers", wanted.producers)->check(CLI::Range(1, 1000));
    app.add_option("--consumers", wanted.consumers)->check(CLI::Range(1, 1000));
    app.add_option("--capacity", wanted.capacity)->check(CLI::PositiveNumber);
    app.add_option("--participants", wanted.participants, "entries of the queue's table");
    app.add_option("--pause", wanted.most_pause, "most microseconds between two kills");
    unsigned patience = 120;
    app.add_option("--patience", patience, "seconds without progress, after which the queue is taken to be wedged");
    app.add_option("--ledger", wanted.messages, "messages of a round, at most");
    app.add_option("--mode", mode, "how consumers take messages; waiters: all only wait, in every way")
        ->check(CLI::IsMember({"pop", "pop_with", "waiters"}));
    CLI11_PARSE(app, argc, argv);
    wanted.patience = std::chrono::seconds(patience);
    wanted.in_place = mode == "pop_with";
    wanted.waiters = mode == "waiters";

    for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, [](int) { interrupted = true; });
    std::printf("seed %llu, mode %s, capacity %llu, %u producers, %u consumers\n",
                static_cast<unsigned long long>(wanted.seed), mode.c_str(),
                static_cast<unsigned long long>(wanted.capacity), wanted.producers, wanted.consumers);
    std::fflush(stdout);
    try {
        soak test(wanted);
        try {
            test.run();
        } catch (const violation& found) {
            test.say_result();
            std::fprintf(stderr, "VIOLATION (seed %llu): %s\n", static_cast<unsigned long long>(wanted.seed),
                         found.what());
            return 1;
        }
        test.say_result();
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "soak: %s\n", failure.what());
        return 2;
    }
    return 0;
}
