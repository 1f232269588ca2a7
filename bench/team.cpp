// SPDX-License-Identifier: Apache-2.0

#include "team.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds time_limit{60};
constexpr std::chrono::seconds grace{5};  // for those who were told to give up

std::int64_t now() { return std::chrono::nanoseconds(clock::now().time_since_epoch()).count(); }

void sleep_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

class team {
public:
    explicit team(std::size_t size) : signal_(1), reports_(size), size_(size) {}

    void work(const assignment& assigned, std::size_t i) noexcept {
        worker_report& report = reports_[i];
        try {
            pin_worker(assigned.where, assigned.index);
            worker me(signal_[0], report);
            assigned.work(me);
        } catch (const std::exception& error) {
            std::snprintf(report.error.data(), report.error.size(), "%s", error.what());
            signal_[0].given_up = true;
        }
        report.done = true;
    }

    /// Gives the start signal when all are ready, and waits until all are done.
    ///
    /// \param alive  whether the worker of this number still runs
    template <class Alive>
    void conduct(Alive alive) {
        const auto end = clock::now() + time_limit;
        bool started = false;
        while (!all_of(&worker_report::done)) {
            if (!started && all_of(&worker_report::ready)) started = signal_[0].go = true;
            for (std::size_t i = 0; i < size_; ++i) {
                if (!alive(i) && !reports_[i].done) fail("a worker has died");
            }
            if (clock::now() > end) fail("a worker is stuck");
            if (signal_[0].given_up && !deadline_) deadline_ = clock::now() + grace;
            if (deadline_ && clock::now() > *deadline_) return;
            sleep_a_little();
        }
    }

    [[nodiscard]] double result() const {
        std::int64_t begin = reports_[0].begin;
        std::int64_t end = 0;
        std::uint64_t sum = 0;
        std::string error = error_;
        for (std::size_t i = 0; i < size_; ++i) {
            begin = std::min(begin, reports_[i].begin);
            end = std::max(end, reports_[i].end);
            sum += reports_[i].sum;
            if (reports_[i].error[0] != '\0') error = reports_[i].error.data();
        }
        if (error.empty() && sum != 0) error = "what came out differs from what went in";
        if (!error.empty()) throw std::runtime_error(error);
        return static_cast<double>(end - begin) / 1e9;
    }

private:
    void fail(const char* error) {
        error_ = error;
        signal_[0].given_up = true;
    }

    bool all_of(std::atomic<bool> worker_report::*flag) const {
        return std::all_of(reports_.data(), reports_.data() + size_,
                           [&](auto& report) { return (report.*flag).load(); });
    }

    shared_array<start_signal> signal_;
    shared_array<worker_report> reports_;
    std::size_t size_;
    std::string error_;
    std::optional<clock::time_point> deadline_;
};

void run_threads(team& all, const std::vector<assignment>& assignments) {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < assignments.size(); ++i) {
        threads.emplace_back([&all, &assignments, i] { all.work(assignments[i], i); });
    }
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
            ::_exit(0);
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

void run_processes(team& all, const std::vector<assignment>& assignments) {
    children started;
    for (std::size_t i = 0; i < assignments.size(); ++i) started.add([&] { all.work(assignments[i], i); });
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
    report_.begin = now();
}

void worker::finish(std::uint64_t sum) {
    report_.end = now();
    report_.sum = sum;
}

double run_team(place where, const std::vector<assignment>& assignments) {
    team all(assignments.size());
    if (where == place::threads) {
        run_threads(all, assignments);
    } else {
        run_processes(all, assignments);
    }
    return all.result();
}

}  // namespace bench
