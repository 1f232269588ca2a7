// SPDX-License-Identifier: Apache-2.0

// What death costs: how long after it the survivors move again, and what a recovery takes with many participants, alive
// or dead, and with many slots. A program of its own, because nothing here is compared with other queues: they don't
// recover.

#include "segment_name.hpp"
#include "team.hpp"

#include <promisqs/queue.hpp>

#include <benchmark/benchmark.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;
using queue = promisqs::shmem_queue<std::uint64_t>;

/// A process that does something, `threads` times at once, and stays in the middle of it until it is killed.
class victim {
public:
    using action = std::function<void(std::function<void()> in_the_middle)>;

    victim(unsigned threads, const action& act) : inside_(1) {
        const ::pid_t parent = ::getpid();
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("fork failed");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() == parent) live(threads, act);
            ::_exit(1);
        }
        while (inside_[0].load() != threads) {
            if (::waitpid(pid_, nullptr, WNOHANG) != 0) throw std::runtime_error("the victim failed");
            std::this_thread::yield();
        }
    }
    victim(const victim&) = delete;
    victim& operator=(const victim&) = delete;
    ~victim() {
        kill();
        ::waitpid(pid_, nullptr, 0);
    }

    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
    void kill() const noexcept { ::kill(pid_, SIGKILL); }

private:
    void live(unsigned threads, const action& act) const {
        const auto in_the_middle = [this] {
            ++inside_[0];
            for (;;) ::pause();
        };
        std::vector<std::thread> others;
        for (unsigned i = 1; i < threads; ++i) others.emplace_back([&] { act(in_the_middle); });
        act(in_the_middle);
    }

    shared_array<std::atomic<unsigned>> inside_;
    ::pid_t pid_ = 0;
};

double seconds_since(clock::time_point begin) { return std::chrono::duration<double>(clock::now() - begin).count(); }

/// Times, of which percentiles are shown.
class distribution {
public:
    void add(double seconds) { seconds_.push_back(seconds); }
    void show(benchmark::State& state) {
        std::sort(seconds_.begin(), seconds_.end());
        const auto at = [&](double part) {
            return seconds_[static_cast<std::size_t>(part * static_cast<double>(seconds_.size() - 1))] * 1e6;
        };
        if (seconds_.empty()) return;
        state.counters["p50_us"] = at(0.5);
        state.counters["p99_us"] = at(0.99);
        state.counters["max_us"] = at(1);
    }

private:
    std::vector<double> seconds_;
};

/// A benchmark whose iterations are single deaths: `one()` returns the seconds that passed.
template <class One>
void measure_deaths(benchmark::State& state, One one) {
    distribution times;
    try {
        for (auto _ : state) {
            const double seconds = one();
            times.add(seconds);
            state.SetIterationTime(seconds);
        }
    } catch (const std::exception& error) {
        state.SkipWithError(error.what());
    }
    times.show(state);
}

void expect(bool as_it_should_be, const char* what) {
    if (!as_it_should_be) throw std::runtime_error(what);
}

// The system's part of it: from the order to kill until the lock of the dead process can be had.
void until_the_lock_is_free(benchmark::State& state) {
    const segment_name name;
    auto q = queue::create(name.get(), 1024);
    const int file = ::open(("/dev/shm/" + name.get()).c_str(), O_RDONLY | O_CLOEXEC);
    measure_deaths(state, [&] {
        const victim dead(1, [&](auto wait) { static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); })); });
        const auto begin = clock::now();
        dead.kill();
        while (promisqs::detail::os::byte_is_locked(file, promisqs::detail::layout::participants_byte)) {
        }  // its is the first entry
        const double seconds = seconds_since(begin);
        expect(q.recover().tombstones == 1, "nothing was recovered");
        return seconds;
    });
    ::close(file);
}

// A producer dies, and a consumer is stuck behind it: until it has the message that comes after.
void pop_behind_a_dead_producer(benchmark::State& state) {
    const segment_name name;
    auto q = queue::create(name.get(), 1024);
    measure_deaths(state, [&] {
        const victim dead(1, [&](auto wait) { static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); })); });
        expect(q.push(2), "there is no room");
        const auto begin = clock::now();
        dead.kill();
        const auto message = q.pop();
        const double seconds = seconds_since(begin);
        expect(message == 2U, "the message did not come");
        return seconds;
    });
}

// A consumer dies with the oldest message of a full queue, and a producer is stuck behind it: until that is told that
// the queue is full, because the message is to be delivered again.
void push_behind_a_dead_consumer(benchmark::State& state) {
    const segment_name name;
    auto q = queue::create(name.get(), 1024, {.max_deaths = 0});
    measure_deaths(state, [&] {
        while (q.push(1)) {}
        const victim dead(1, [&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
        const auto begin = clock::now();
        dead.kill();
        const bool pushed = q.push(2);
        const double seconds = seconds_since(begin);
        expect(!pushed && q.size() == q.capacity(), "a message is missing");
        while (q.pop()) {}
        return seconds;
    });
}

// A consumer dies with the last message, and another one polls, as one does: until it has it.
void poll_for_a_dead_consumers_message(benchmark::State& state) {
    const segment_name name;
    auto q = queue::create(name.get(), 1024, {.max_deaths = 0});
    measure_deaths(state, [&] {
        expect(q.push(1), "there is no room");
        const victim dead(1, [&](auto wait) { q.pop_with([&](const std::uint64_t&) { wait(); }); });
        const auto begin = clock::now();
        dead.kill();
        while (!q.pop()) std::this_thread::yield();
        return seconds_since(begin);
    });
}

// A recovery that finds nobody dead: entries in the table, of which some are taken by the living.
void recover_among_the_living(benchmark::State& state) {
    const segment_name name;
    const auto entries = static_cast<std::uint32_t>(state.range(0));
    const auto alive = static_cast<unsigned>(state.range(1));
    auto q = queue::create(name.get(), static_cast<std::uint64_t>(state.range(2)), {.participants = entries});
    const victim others(alive, [&](auto wait) {
        static_cast<void>(q.pop());
        wait();
    });
    for (auto _ : state) {
        const auto report = q.recover();
        if (report.participants_removed != 0) state.SkipWithError("somebody alive was taken for dead");
    }
}

// A recovery of many who died at once, each in the middle of a push.
void recover_from_many_deaths(benchmark::State& state) {
    const segment_name name;
    const auto dead = static_cast<unsigned>(state.range(0));
    auto q = queue::create(name.get(), static_cast<std::uint64_t>(state.range(1)), {.participants = 1024});
    for (auto _ : state) {
        {
            const victim all(dead, [&](auto wait) { static_cast<void>(q.push_with([&](std::uint64_t&) { wait(); })); });
        }
        const auto begin = clock::now();
        const auto report = q.recover();
        state.SetIterationTime(seconds_since(begin));
        if (report.tombstones != dead) state.SkipWithError("not all were recovered");
        if (q.pop()) state.SkipWithError("a message has come from nowhere");
    }
}

void add_deaths(const char* name, void (*measure)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, measure)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

void add_all() {
    add_deaths("after_death/lock_is_free", until_the_lock_is_free);
    add_deaths("after_death/pop_behind_producer", pop_behind_a_dead_producer);
    add_deaths("after_death/push_behind_consumer", push_behind_a_dead_consumer);
    add_deaths("after_death/poll_for_consumers_message", poll_for_a_dead_consumers_message);
    auto* living = benchmark::RegisterBenchmark("recover/nobody_dead", recover_among_the_living);
    living->ArgNames({"entries", "alive", "capacity"})->Unit(benchmark::kMicrosecond);
    for (const int capacity : {1, 1024, 1 << 20}) living->Args({256, 1, capacity});
    for (const int entries : {16, 1024, 65536}) living->Args({entries, 1, 1024});
    for (const int alive : {16, 64, 256}) living->Args({1024, alive, 1024});
    auto* dead = benchmark::RegisterBenchmark("recover/died_in_a_push", recover_from_many_deaths);
    // Most of the time is spent on those who are to die.
    dead->ArgNames({"dead", "capacity"})->UseManualTime()->MinTime(0.01)->Unit(benchmark::kMicrosecond);
    for (const int number : {1, 16, 64, 256}) dead->Args({number, 1024});
    dead->Args({1, 1 << 20});
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
    bench::remove_segments_on_signals();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    bench::add_all();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
