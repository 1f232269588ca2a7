// SPDX-License-Identifier: Apache-2.0

// Soaks a queue in death: producers and consumers are killed at random and replaced, while a ledger is kept of every
// message. Then the account must be exact. A round ends when the ledger is full, or after a while; by an order to stop,
// or by the death of everybody at once. After each, the queue must hold exactly its capacity.

#include "support/ledger.hpp"
#include "support/names.hpp"

#include <promisqs/queue.hpp>

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
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using promisqs::status;
using promisqs_test::balance;
using promisqs_test::ledger;
using promisqs_test::sealed_message;
using promisqs_test::shared_array;
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
    bool in_place = false;
};

struct violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// One that nothing has come of for so long hangs; this says nothing about how long anything should take.
constexpr std::chrono::seconds patience{120};

constexpr int told_to_stop = 0;
constexpr int no_entry = 40;  // the table of participants was full
constexpr int failed = 41;

std::atomic<bool> interrupted = false;

// What a worker shows of itself; not cleared by its death.
struct alignas(64) worker_state {
    std::atomic<std::uint64_t> in_hand;  // of a consumer: 0, or the message that it may have written down, plus 1
    std::atomic<bool> in_call;           // of a consumer: it may have been given a message that it has not written down
    std::atomic<std::uint64_t> moved;    // messages, of all incarnations
};

struct shared_orders {
    std::atomic<bool> producers_stop;
    std::atomic<bool> consumers_stop;  // once the queue is empty
};

class soak {
public:
    explicit soak(const settings& wanted)
        : wanted_(wanted),
          name_("soak"),
          queue_(queue::create(name_, wanted.capacity, {.participants = wanted.participants, .max_deaths = 0})),
          ledger_(wanted.messages),
          states_(wanted.producers + wanted.consumers),
          orders_(1),
          random_(wanted.seed),
          workers_(wanted.producers + wanted.consumers, 0) {}

    soak(const soak&) = delete;
    soak& operator=(const soak&) = delete;
    ~soak() { kill_all(); }

    void run() {
        const auto end = steady::now() + std::chrono::seconds(wanted_.seconds);
        last_line_ = steady::now();
        while (steady::now() < end && !interrupted) round(end);
    }

    void say_progress() const {
        const auto stats = queue_.stats();
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
                if (workers_[i] == 0) continue;
                kill(i);
                dead.push_back(i);
            }
            for (const std::size_t i : dead) start(i);

            const auto now = steady::now();
            if (const std::uint64_t count = moved(); count != last_moved) {
                last_moved = count;
                last_change = now;
            } else if (now - last_change > patience) {
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
        const auto report = queue_.recover();
        if (report.in_progress_elsewhere || report.postponed != 0) {
            throw violation("all are dead, but a recovery leaves something for later");
        }
        for (sealed_message message{};;) {
            const status answer = until_definite([&] { return queue_.try_pop(message); });
            if (answer == status::empty) break;
            if (answer != status::ok) throw violation("a pop of what is left says " + std::string(to_string(answer)));
            ledger_.popped(message);
        }
        const auto stats = queue_.stats();
        if (stats.participants.size() != 1) throw violation("the dead keep their entries");
        if (stats.size != 0) throw violation("a drained queue's size is " + std::to_string(stats.size));
        if (stats.dropped != 0) throw violation("a message was dropped, though none ever should");
        for (std::uint64_t i = 0; i < wanted_.capacity; ++i) {
            if (until_definite([&] { return queue_.try_push(sealed_message::make(i)); }) != status::ok) {
                throw violation("there is no room for message " + std::to_string(i) + " of " +
                                std::to_string(wanted_.capacity));
            }
        }
        if (queue_.try_push(sealed_message::make(0)) != status::full || queue_.size() != wanted_.capacity) {
            throw violation("it takes more than its capacity");
        }
        for (std::uint64_t i = 0; i < wanted_.capacity; ++i) {
            sealed_message message{};
            const bool got = until_definite([&] { return queue_.try_pop(message); }) == status::ok;
            if (!got || !message.whole() || message.number != i) {
                throw violation("a queue that nobody else uses does not give back message " + std::to_string(i));
            }
        }
        if (!queue_.empty()) throw violation("a drained queue is not empty");
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
            workers_[i] = pid;
            return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(failed);
        ::signal(SIGINT, SIG_IGN);  // the parent sees to that
        int result = failed;
        try {
            queue q = inherits ? queue_ : queue::open(name_);
            is_producer(i) ? produce(q, states_[i]) : consume(q, states_[i], luck);
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
            me.moved.store(me.moved.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
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
            me.in_call = true;
            const bool got = wanted_.in_place ? pop_in_place(q, me, ++luck) : pop(q, ++luck);
            me.in_call = false;
            if (got) {
                me.moved.store(me.moved.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            } else {
                if (last) return;
                std::this_thread::yield();
            }
        }
    }

    // Lets others go first, now and then: among them the process that kills.
    static void dawdle(std::uint64_t luck) {
        if (luck / 4 % 4 == 0) std::this_thread::yield();
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
        workers_[i] = 0;
        if (is_producer(i)) return ledger_.excuse_cut_short();
        if (!wanted_.in_place) {
            if (states_[i].in_call.exchange(false)) ledger_.excuse_loss();
        } else if (const std::uint64_t number = states_[i].in_hand.exchange(0); number != 0) {
            ledger_.excuse_second(number - 1);
        }
    }

    void kill(std::size_t i) {
        ::kill(workers_[i], SIGKILL);
        int how = 0;
        while (::waitpid(workers_[i], &how, 0) < 0 && errno == EINTR) {}
        if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL) {
            ++kills_;
            write_off(i);
        } else {
            judge_exit(i, how);
        }
    }

    void kill_all() {
        for (const ::pid_t pid : workers_) {
            if (pid != 0) ::kill(pid, SIGKILL);
        }
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            if (workers_[i] == 0) continue;
            int how = 0;
            while (::waitpid(workers_[i], &how, 0) < 0 && errno == EINTR) {}
            ++kills_;
            write_off(i);
        }
    }

    // A worker has ended without being killed.
    void judge_exit(std::size_t i, int how) {
        workers_[i] = 0;
        if (WIFEXITED(how) && WEXITSTATUS(how) == told_to_stop) return;  // the ledger is full, or it was told to
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
            if (workers_[i] != 0) {
                int how = 0;
                if (::waitpid(workers_[i], &how, WNOHANG) != workers_[i]) continue;
                judge_exit(i, how);
            }
            if (!ledger_.is_full()) start(i);
        }
    }

    void wait_for(std::size_t first, std::size_t last) {
        const auto give_up = steady::now() + patience;
        for (std::size_t i = first; i < last; ++i) {
            while (workers_[i] != 0) {
                int how = 0;
                if (::waitpid(workers_[i], &how, WNOHANG) == workers_[i]) {
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
    queue queue_;
    ledger ledger_;
    shared_array<worker_state> states_;
    shared_array<shared_orders> orders_;
    std::mt19937_64 random_;
    std::vector<::pid_t> workers_;
    steady::time_point last_line_;
    balance total_;
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
    app.add_option("--ledger", wanted.messages, "messages of a round, at most");
    app.add_option("--mode", mode, "how consumers take messages")->check(CLI::IsMember({"pop", "pop_with"}));
    CLI11_PARSE(app, argc, argv);
    wanted.in_place = mode == "pop_with";

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
