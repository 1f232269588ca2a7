// SPDX-License-Identifier: Apache-2.0

#include "team.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds time_limit{30};
constexpr std::chrono::seconds grace{5};  // for those who were told to give up

void sleep_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

double cpu_seconds() {
    ::timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

class team {
public:
    explicit team(const team_plan& plan) : plan_(plan), signal_(1), reports_(size()) {}

    [[nodiscard]] std::size_t size() const noexcept { return plan_.assignments.size(); }

    void work(std::size_t i) noexcept {
        const assignment& assigned = plan_.assignments[i];
        worker_report& report = reports_[i];
        try {
            pin_worker(plan_.on, assigned.of, assigned.index);
            worker me(signal_[0], {reports_.data(), size()}, i);
            assigned.work(me);
        } catch (const std::exception& error) {
            std::snprintf(report.error.data(), report.error.size(), "%s", error.what());
            signal_[0].given_up = true;
        }
        report.done = true;
    }

    /// Gives the start signal when all are ready, counts what they do, says when it is over, and waits until all are
    /// done.
    ///
    /// \param alive  whether the worker of this number still runs
    template <class Alive>
    void conduct(Alive alive) {
        limit_ = clock::now() + time_limit;
        const auto goes_on = [&] { return check(alive); };
        while (!all_of(&worker_report::ready)) {
            if (!goes_on()) return;
            sleep_a_little();
        }
        signal_[0].go = true;
        const auto end = clock::now() + plan_.duration;
        for (counts_.push_back(count()); counts_.back().at < end && goes_on(); counts_.push_back(count())) {
            std::this_thread::sleep_until(std::min(counts_.back().at + window, end));
        }
        signal_[0].over = true;
        while (!all_of(&worker_report::done)) {
            if (!goes_on()) return;
            sleep_a_little();
        }
    }

    [[nodiscard]] team_result result() const {
        std::uint64_t sum = 0;
        std::string error = error_;
        team_result found;
        for (std::size_t i = 0; i < size(); ++i) {
            const worker_report& report = reports_[i];
            sum += report.sum;
            if (report.error[0] != '\0') error = report.error.data();
            if (plan_.assignments[i].of == side::consumers && report.passed_seconds > 0) {
                found.consumers_cpu = std::max(found.consumers_cpu, report.cpu_seconds / report.passed_seconds);
            }
        }
        if (error.empty() && sum != 0) error = "what came out differs from what went in";
        if (!error.empty()) throw std::runtime_error(error);
        if (counts_.size() < 2) return found;
        for (std::size_t i = 1; i < counts_.size(); ++i) found.rates.push_back(rate(counts_[i - 1], counts_[i]));
        found.rate = rate(counts_.front(), counts_.back());
        return found;
    }

private:
    struct count_at {
        std::uint64_t done;
        clock::time_point at;
    };

    [[nodiscard]] count_at count() const {
        count_at result{0, clock::now()};
        for (std::size_t i = 0; i < size(); ++i) result.done += reports_[i].done_so_far.load(std::memory_order_relaxed);
        return result;
    }
    static double rate(const count_at& from, const count_at& to) {
        return static_cast<double>(to.done - from.done) / std::chrono::duration<double>(to.at - from.at).count();
    }

    template <class Alive>
    bool check(Alive alive) {
        for (std::size_t i = 0; i < size(); ++i) {
            if (!alive(i) && !reports_[i].done) fail("a worker has died");
        }
        if (clock::now() > limit_) fail("a worker is stuck");
        if (signal_[0].given_up && !grace_over_) grace_over_ = clock::now() + grace;
        return !grace_over_ || clock::now() < *grace_over_;
    }

    void fail(const char* error) {
        if (error_.empty()) error_ = error;
        signal_[0].given_up = true;
    }

    bool all_of(std::atomic<bool> worker_report::*flag) const {
        return std::all_of(reports_.data(), reports_.data() + size(),
                           [&](auto& report) { return (report.*flag).load(); });
    }

    const team_plan& plan_;
    shared_array<start_signal> signal_;
    shared_array<worker_report> reports_;
    std::string error_;
    clock::time_point limit_;
    std::optional<clock::time_point> grace_over_;
    std::vector<count_at> counts_;
};

void run_threads(team& all) {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < all.size(); ++i) threads.emplace_back([&all, i] { all.work(i); });
    all.conduct([](std::size_t) { return true; });
}

/// Child processes, ended by their ids if they are still there at the end.
class children {
public:
    children() = default;
    children(const children&) = delete;
    children& operator=(const children&) = delete;
    ~children() {
        for (std::size_t i = 0; i < pids_.size(); ++i) {
            if (!alive(i)) continue;
            ::kill(pids_[i], SIGKILL);
            ::waitpid(pids_[i], nullptr, 0);
        }
    }

    /// The program has a single thread when it comes here, so that the child may do anything.
    template <class Work>
    void add(Work work) {
        pids_.reserve(pids_.size() + 1);
        const ::pid_t parent = ::getpid();
        const ::pid_t pid = ::fork();
        if (pid < 0) throw std::runtime_error("fork failed");
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (::getppid() == parent) work();
            std::exit(0);  // what libraries have set up for their process is torn down
        }
        pids_.push_back(pid);
    }

    [[nodiscard]] bool alive(std::size_t i) {
        if (pids_[i] > 0 && ::waitpid(pids_[i], nullptr, WNOHANG) != 0) pids_[i] = 0;
        return pids_[i] > 0;
    }

    /// Waits for those that are done to be gone.
    void wait() {
        const auto end = clock::now() + grace;
        for (std::size_t i = 0; i < pids_.size(); ++i) {
            while (alive(i) && clock::now() < end) std::this_thread::yield();
        }
    }

private:
    std::vector<::pid_t> pids_;
};

void run_processes(team& all) {
    children started;
    for (std::size_t i = 0; i < all.size(); ++i) started.add([&] { all.work(i); });
    all.conduct([&](std::size_t i) { return started.alive(i); });
    started.wait();
}

}  // namespace

void worker::start() {
    report_.ready = true;
    while (!signal_.go.load(std::memory_order_acquire)) {
        if (signal_.given_up) throw std::runtime_error("");  // whoever gave up has said why
        std::this_thread::yield();
    }
    started_ = clock::now();
    cpu_at_start_ = cpu_seconds();
}

void worker::finish(std::uint64_t sum) {
    report_.cpu_seconds = cpu_seconds() - cpu_at_start_;
    report_.passed_seconds = std::chrono::duration<double>(clock::now() - started_).count();
    report_.sum = sum;
}

bool worker::wait_until_drained(unsigned producers) {
    const auto popped = [&] {
        return std::accumulate(reports_.begin(), reports_.end(), std::uint64_t{0},
                               [](auto sum, const auto& report) { return sum + report.done_so_far.load(); });
    };
    while (signal_.stopped_producers < producers || popped() != signal_.pushed) {
        if (signal_.given_up) return false;
        std::this_thread::yield();
    }
    return true;
}

team_result run_team(const team_plan& plan) {
    team all(plan);
    if (plan.where == place::threads) {
        run_threads(all);
    } else {
        run_processes(all);
    }
    return all.result();
}

}  // namespace bench
