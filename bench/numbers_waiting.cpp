// SPDX-License-Identifier: Apache-2.0

// What waiting costs: for nothing, for few messages, behind a slow participant, under signals; and the threads of
// ready_event.

#include "numbers.hpp"
#include "segment_name.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/ready_event.hpp>

#include <linux/futex.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;
using queue = promisqs::shmem_queue<std::int64_t>;
using figures = std::map<std::string, double>;

constexpr std::uint32_t many_entries = 4096;
constexpr std::chrono::milliseconds message_interval{1};

void wait_for_nothing(queue& q) {
    while (q.pop_wait()) {}
}

/// What part of a processor is used from now on, in percent.
template <class Cpu>
double measure_percent(const scale& how_much, Cpu cpu) {
    std::this_thread::sleep_for(how_much.settling());
    const double before = cpu();
    const auto begin = clock::now();
    std::this_thread::sleep_for(how_much.duration);
    const double used = cpu() - before;
    return 100 * used / seconds_since(begin);
}

figures idle_processes(unsigned count, const scale& how_much) {
    const segment_name name;
    auto q = queue::create(name.get(), 64, {.participants = many_entries});
    std::vector<child> waiting;
    for (unsigned i = 0; i < count; ++i) waiting.emplace_back([&] { wait_for_nothing(q); });
    return {{"cpu_percent", measure_percent(how_much, [&] { return cpu_of(waiting); })}};
}

/// Threads that do something until the queue is closed.
class team_of_threads {
public:
    team_of_threads(queue& q, unsigned count, const std::function<void(queue&, unsigned)>& work) : queue_(q) {
        for (unsigned i = 0; i < count; ++i) threads_.emplace_back([&q, work, i] { work(q, i); });
    }
    team_of_threads(const team_of_threads&) = delete;
    team_of_threads& operator=(const team_of_threads&) = delete;
    ~team_of_threads() { end(); }

    void end() {
        queue_.close();
        for (auto& one : threads_) one.join();
        threads_.clear();
    }

private:
    queue& queue_;
    std::vector<std::thread> threads_;
};

figures idle_threads(unsigned count, const scale& how_much) {
    const segment_name name;
    auto q = queue::create(name.get(), 64, {.participants = many_entries});
    const team_of_threads waiting(q, count, [](queue& own, unsigned) { wait_for_nothing(own); });
    return {{"cpu_percent", measure_percent(how_much, cpu_of_this_process)}};
}

std::int64_t now() { return std::chrono::nanoseconds(clock::now().time_since_epoch()).count(); }

struct wake_ups {
    double cpu_percent;
    std::vector<std::int64_t> late;  // nanoseconds from push to pop
};

// Everything counts: the producer, and those that sleep.
wake_ups measure_wake_ups(unsigned sleepers, std::chrono::milliseconds duration, std::chrono::milliseconds settling) {
    const segment_name name;
    auto q = queue::create(name.get(), 1024, {.participants = many_entries});
    std::vector<std::vector<std::int64_t>> late(sleepers);
    for (auto& one : late) one.reserve(static_cast<std::size_t>(2 * duration.count()));
    team_of_threads waiting(q, sleepers, [&](queue& own, unsigned i) {
        while (const auto sent = own.pop_wait()) late[i].push_back(now() - *sent);
    });
    std::this_thread::sleep_for(settling);
    const double before = cpu_of_this_process();
    const auto begin = clock::now();
    for (auto next = begin; next < begin + duration; next += message_interval) {
        std::this_thread::sleep_until(next);
        expect(q.push(now()), "the queue is full");
    }
    const double used = cpu_of_this_process() - before;
    const double passed = seconds_since(begin);
    waiting.end();
    wake_ups found{100 * used / passed, {}};
    for (const auto& one : late) found.late.insert(found.late.end(), one.begin(), one.end());
    std::sort(found.late.begin(), found.late.end());
    expect(!found.late.empty(), "no message came");
    return found;
}

figures wake_one_of(unsigned sleepers, const scale& how_much) {
    std::vector<double> alone;
    std::vector<double> together;
    figures found;
    constexpr int turns = 2;
    for (int turn = 0; turn < turns; ++turn) {
        const auto part = how_much.duration / turns;
        const auto one = measure_wake_ups(1, part, how_much.settling() / 4);
        const auto all = measure_wake_ups(sleepers, part, how_much.settling() / 4);
        alone.push_back(one.cpu_percent);
        together.push_back(all.cpu_percent);
        const auto at = [](const auto& sorted, double where) {
            return static_cast<double>(
                       sorted[static_cast<std::size_t>(where * static_cast<double>(sorted.size() - 1))]) /
                   1e3;
        };
        found["p50_us_of_1"] = at(one.late, 0.5);
        found["p99_us_of_1"] = at(one.late, 0.99);
        found["p50_us"] = at(all.late, 0.5);
        found["p99_us"] = at(all.late, 0.99);
    }
    found["cpu_percent_of_1"] = median(alone);
    found["cpu_percent"] = median(together);
    found["ratio"] = found["cpu_percent"] / found["cpu_percent_of_1"];
    return found;
}

figures behind_slow_pop_with(unsigned waiters, const scale& how_much) {
    const segment_name name;
    auto q = queue::create(name.get(), 4, {.participants = many_entries});
    while (q.push(1)) {}
    std::atomic<bool> inside = false;
    std::atomic<bool> done = false;
    std::thread slow([&] {
        q.pop_with([&](const std::int64_t&) {
            inside = true;
            inside.notify_one();
            done.wait(false);
        });
    });
    inside.wait(false);
    figures found;
    {
        const team_of_threads waiting(q, waiters, [](queue& own, unsigned) { static_cast<void>(own.push_wait(2)); });
        found["cpu_percent"] = measure_percent(how_much, cpu_of_this_process);
        done = true;
        done.notify_one();
        slow.join();
    }
    return found;
}

figures behind_stopped_producer(unsigned waiters, const scale& how_much) {
    const segment_name name;
    auto q = queue::create(name.get(), 4, {.participants = many_entries});
    child stopped([&] { static_cast<void>(q.push_with([](std::int64_t&) { ::raise(SIGSTOP); })); });
    stopped.wait_until_stopped();
    const team_of_threads waiting(q, waiters, [](queue& own, unsigned) { wait_for_nothing(own); });
    const double percent = measure_percent(how_much, cpu_of_this_process);
    stopped.kill();
    return {{"cpu_percent", percent}};
}

void do_nothing(int /*signal*/) {}

// Processor time of a process that waits and gets a signal every millisecond, in percent.
double measure_signals(const std::function<void()>& wait, const scale& how_much) {
    struct ::sigaction action {};
    action.sa_handler = do_nothing;
    ::sigaction(SIGUSR1, &action, nullptr);  // in the child from its first instruction on
    std::vector<child> waiting;
    waiting.emplace_back(wait);
    std::this_thread::sleep_for(how_much.settling());
    const double before = cpu_of(waiting);
    const auto begin = clock::now();
    for (auto next = begin; next < begin + how_much.duration; next += message_interval) {
        std::this_thread::sleep_until(next);
        ::kill(waiting.front().pid(), SIGUSR1);
    }
    return 100 * (cpu_of(waiting) - before) / seconds_since(begin);
}

figures signals_to_a_waiter(const scale& how_much) {
    const segment_name name;
    auto q = queue::create(name.get(), 64);
    const auto sleep_alone = [] {
        for (std::atomic<std::uint32_t> word = 0;;) ::syscall(SYS_futex, &word, FUTEX_WAIT, 0, nullptr, nullptr, 0);
    };
    return {{"cpu_percent", measure_signals([&] { wait_for_nothing(q); }, how_much)},
            {"cpu_percent_of_a_bare_futex", measure_signals(sleep_alone, how_much)}};
}

double threads_of_this_process() {
    using iterator = std::filesystem::directory_iterator;
    return static_cast<double>(std::distance(iterator("/proc/self/task"), iterator()));
}

figures threads_of_ready_events(unsigned count, const scale& /*how_much*/) {
    std::vector<std::unique_ptr<segment_name>> names;
    std::vector<queue> queues;
    for (unsigned i = 0; i < count; ++i) {
        names.push_back(std::make_unique<segment_name>());
        queues.push_back(queue::create(names.back()->get(), 16));
    }
    const double before = threads_of_this_process();
    std::vector<std::unique_ptr<promisqs::ready_event<std::int64_t>>> events;
    for (auto& one : queues) events.push_back(std::make_unique<promisqs::ready_event<std::int64_t>>(one));
    const double threads = threads_of_this_process() - before;
    for (unsigned i = 0; i < count; ++i) {
        expect(queues[i].push(1), "the queue is full");
        ::pollfd readable{events[i]->descriptor(), POLLIN, 0};
        expect(::poll(&readable, 1, 5000) == 1, "a descriptor did not become readable");
    }
    return {{"threads", threads}};
}

}  // namespace

void add_waiting(std::vector<measurement>& all) {
    const auto add = [&](const char* name, const char* figure, auto measure) {
        all.push_back({name, figure, measure});
    };
    const char* const cpu = "cpu_percent";
    add("idle/processes=1", cpu, [](const scale& s) { return idle_processes(1, s); });
    add("idle/processes=100", cpu, [](const scale& s) { return idle_processes(s.of(100, 10), s); });
    add("idle/threads=100", cpu, [](const scale& s) { return idle_threads(s.of(100, 10), s); });
    add("wake_up/sleepers=64", "ratio", [](const scale& s) { return wake_one_of(s.of(64, 8), s); });
    add("behind_slow_pop_with/waiters=100", cpu, [](const scale& s) { return behind_slow_pop_with(s.of(100, 10), s); });
    add("behind_stopped_producer/waiters=100", cpu,
        [](const scale& s) { return behind_stopped_producer(s.of(100, 10), s); });
    add("signals/per_second=1000", cpu, signals_to_a_waiter);
    add("ready_event/queues=16", "threads", [](const scale& s) { return threads_of_ready_events(16, s); });
}

}  // namespace bench
