// SPDX-License-Identifier: Apache-2.0

#include "bench/bench_turns.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"

#include <promisqs/queue.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <utility>

namespace promisqs_tool {

namespace {

using clock = std::chrono::steady_clock;

struct message {
    std::uint64_t number;
    std::array<std::uint64_t, 7> rest;
};
static_assert(sizeof(message) == bench_message_bytes);

constexpr std::uint64_t last_number = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t queue_capacity = 1024;

/// Memory that the processes share, and that goes with them.
template <class T>
class shared_object {
public:
    shared_object() {
        void* const memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        object_ = ::new (memory) T{};
    }
    shared_object(const shared_object&) = delete;
    shared_object& operator=(const shared_object&) = delete;
    ~shared_object() { ::munmap(object_, sizeof(T)); }

    [[nodiscard]] T& operator*() const noexcept { return *object_; }
    [[nodiscard]] T* operator->() const noexcept { return object_; }

private:
    T* object_;
};

// Each kind of channel goes one way. `send` and `receive` wait.

class queue_channel {
public:
    queue_channel(std::string_view which, bool /*lone_processor*/) : queue_(create(name_of(which))) {
        // The handle keeps the memory. Without its name, the queue goes with the processes, also if they are killed.
        promisqs::shmem_queue<message>::remove(name_of(which));
    }
    void send(const message& one) { static_cast<void>(queue_.push_wait(one)); }
    void receive(message& one) { static_cast<void>(queue_.pop_wait(one)); }

private:
    static constexpr promisqs::options prefaulted{.memory = {.prefault = true}};
    static promisqs::shmem_queue<message> create(const std::string& name) {
        promisqs::shmem_queue<message>::remove(name);  // of a process that had this id, and was killed right here
        return promisqs::shmem_queue<message>::create(name, queue_capacity, prefaulted);
    }
    static std::string name_of(std::string_view which) {
        return fmt::format("promisqs-bench-{}-{}", ::getpid(), which);
    }

    promisqs::shmem_queue<message> queue_;
};

class pipe_channel {
public:
    pipe_channel(std::string_view /*which*/, bool /*lone_processor*/) {
        if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw failure(exit_code::broken, "there is no descriptor left");
        ::fcntl(ends_[1], F_SETPIPE_SZ, static_cast<int>(queue_capacity * sizeof(message)));  // 64 KiB, as it is here
    }
    pipe_channel(const pipe_channel&) = delete;
    pipe_channel& operator=(const pipe_channel&) = delete;
    ~pipe_channel() {
        for (const int end : ends_) ::close(end);
    }
    // Messages of this size are not cut in pieces.
    void send(const message& one) {
        if (::write(ends_[1], &one, sizeof one) != static_cast<::ssize_t>(sizeof one)) ::_exit(1);
    }
    void receive(message& one) {
        if (::read(ends_[0], &one, sizeof one) != static_cast<::ssize_t>(sizeof one)) ::_exit(1);
    }

private:
    std::array<int, 2> ends_{-1, -1};
};

// One message in one line of the cache, which the receiver looks at until it changes: no two processors can tell each
// other anything faster. In a stream the receiver marks the line as read; in a round trip the answer says so.
template <bool IsStream>
class line_channel {
public:
    line_channel(std::string_view /*which*/, bool lone_processor) : looks_(lone_processor ? 1 : 4096) {}

    void send(const message& one) {
        if constexpr (IsStream) await([](std::uint64_t number) { return number == 0; });
        line_->rest = one.rest;
        line_->number.store(one.number, std::memory_order_release);
    }
    void receive(message& one) {
        one.number = await([this](std::uint64_t number) { return number != seen_; });
        one.rest = line_->rest;
        if constexpr (IsStream) {
            line_->number.store(0, std::memory_order_release);
        } else {
            seen_ = one.number;
        }
    }

private:
    struct alignas(64) line {
        std::atomic<std::uint64_t> number{0};  // 0: there has been no message yet, or it has been read
        std::array<std::uint64_t, 7> rest{};
    };
    template <class Condition>
    std::uint64_t await(Condition holds) const {
        for (unsigned looks = 1;; ++looks) {
            const std::uint64_t number = line_->number.load(std::memory_order_acquire);
            if (holds(number)) return number;
            // If the other process shares this processor, it can't write meanwhile.
            if (looks % looks_ == 0) std::this_thread::yield();
        }
    }

    shared_object<line> line_;
    unsigned looks_;  // before it yields
    std::uint64_t seen_ = 0;
};

/// What the processes tell the one that has started them.
struct turn_results {
    double p50 = 0;
    double p99 = 0;
    double per_second = 0;
};

// The first tenth does not count: pages, caches and waiting habits settle.
struct time_span {
    clock::time_point from;
    clock::time_point to;

    explicit time_span(std::chrono::nanoseconds duration)
        : from(clock::now() + duration / 10), to(clock::now() + duration) {}
};

double part_of(std::vector<std::uint32_t>& sorted, std::size_t percent) {
    return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

template <class Channel>
void ask(Channel& there, Channel& back, std::chrono::nanoseconds duration, turn_results& into) {
    constexpr std::size_t most = 4'000'000;
    std::vector<std::uint32_t> taken;
    message one{1, {}};
    const time_span counts(duration);
    for (auto start = clock::now(); start < counts.to && taken.size() < most; ++one.number) {
        there.send(one);
        back.receive(one);
        const auto end = clock::now();
        if (start >= counts.from)
            taken.push_back(static_cast<std::uint32_t>(std::chrono::nanoseconds(end - start).count()));
        start = end;
    }
    there.send({last_number, {}});
    std::sort(taken.begin(), taken.end());
    into.p50 = part_of(taken, 50);
    into.p99 = part_of(taken, 99);
}

template <class Channel>
void answer(Channel& there, Channel& back) {
    for (message one{};;) {
        there.receive(one);
        if (one.number == last_number) return;
        back.send(one);
    }
}

template <class Channel>
void produce(Channel& there, std::chrono::nanoseconds duration) {
    const auto end = clock::now() + duration;
    message one{1, {}};
    while (clock::now() < end) {
        for (const std::uint64_t stop = one.number + 64; one.number < stop; ++one.number) there.send(one);
    }
    there.send({last_number, {}});
}

template <class Channel>
void consume(Channel& there, std::chrono::nanoseconds duration, turn_results& into) {
    message one{};
    const time_span counts(duration);
    auto first = clock::time_point{};
    std::uint64_t before = 0;
    for (std::uint64_t received = 0;; ++received) {
        there.receive(one);
        const bool is_last = one.number == last_number;
        if (!is_last && received % 64 != 0) continue;
        const auto now = clock::now();
        if (first == clock::time_point{} && now >= counts.from) {
            first = now;
            before = received;
        }
        if (!is_last) continue;
        const double passed = std::chrono::duration<double>(now - first).count();
        if (passed > 0) into.per_second = static_cast<double>(received - before) / passed;
        return;
    }
}

void pin_to(int processor) {
    ::cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(processor), &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

/// The two processes of a turn. What is still running when it goes is killed.
class pair_of_processes {
public:
    pair_of_processes() {
        if (::pipe2(alive_.data(), O_CLOEXEC) != 0) throw failure(exit_code::broken, "there is no descriptor left");
    }
    pair_of_processes(const pair_of_processes&) = delete;
    pair_of_processes& operator=(const pair_of_processes&) = delete;
    ~pair_of_processes() {
        for (const ::pid_t pid : pids_) {
            if (pid <= 0) continue;
            ::kill(pid, SIGKILL);
            wait_for(pid);
        }
        for (const int end : alive_) {
            if (end >= 0) ::close(end);
        }
    }

    template <class Body>
    void start(std::size_t which, const std::vector<int>& processors, Body body) {
        const ::pid_t parent = ::getpid();
        const ::pid_t pid = ::fork();
        if (pid < 0)
            throw failure(exit_code::broken, fmt::format("no process can be started: {}", std::strerror(errno)));
        if (pid > 0) {
            pids_[which] = pid;
            return;
        }
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        // Ctrl-C reaches all processes of a terminal. The first one ends the others.
        std::signal(SIGINT, SIG_IGN);  // NOLINT(cert-err33-c)
        forget_interruptions();
        if (!processors.empty()) pin_to(processors[which % processors.size()]);
        try {
            body();
        } catch (...) {
            ::_exit(1);
        }
        ::_exit(0);
    }

    // False: interrupted.
    bool finish() {
        ::close(std::exchange(alive_[1], -1));
        // The reading end tells when both processes have closed theirs, that is, ended.
        std::array<::pollfd, 2> ends{{{alive_[0], POLLIN, 0}, {interruption_descriptor(), POLLIN, 0}}};
        constexpr int pause = 100;  // milliseconds
        while (::poll(ends.data(), ends.size(), pause) <= 0) check();
        if (ends[1].revents != 0) return false;
        check();
        for (::pid_t& pid : pids_) wait_for(std::exchange(pid, 0));
        return true;
    }

private:
    // If one of them dies, the other waits for ever.
    void check() const {
        for (const ::pid_t pid : pids_) {
            ::siginfo_t end{};
            if (::waitid(P_PID, static_cast<::id_t>(pid), &end, WEXITED | WNOHANG | WNOWAIT) != 0) continue;
            if (end.si_pid != 0 && (end.si_code != CLD_EXITED || end.si_status != 0)) {
                throw failure(exit_code::broken, "a process of the measurement has died");
            }
        }
    }
    static void wait_for(::pid_t pid) {
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
    }

    std::array<int, 2> alive_{-1, -1};
    std::array<::pid_t, 2> pids_{0, 0};
};

template <class Trip, class Stream = Trip>
std::optional<bench_turn> measure(const std::vector<int>& processors, std::chrono::nanoseconds duration) {
    const shared_object<turn_results> results;
    {
        Trip there("there", processors.size() == 1);
        Trip back("back", processors.size() == 1);
        pair_of_processes both;
        both.start(0, processors, [&] { ask(there, back, duration / 2, *results); });
        both.start(1, processors, [&] { answer(there, back); });
        if (!both.finish()) return std::nullopt;
    }
    Stream there("there", processors.size() == 1);
    pair_of_processes both;
    both.start(0, processors, [&] { produce(there, duration / 2); });
    both.start(1, processors, [&] { consume(there, duration / 2, *results); });
    if (!both.finish()) return std::nullopt;
    return bench_turn{results->p50, results->p99, results->per_second};
}

}  // namespace

std::string_view to_string(contender one) noexcept {
    switch (one) {
        case contender::promisqs: return "promisqs";
        case contender::pipe: return "pipe";
        case contender::bare_line: return "bare cache line";
    }
    return "";
}

std::vector<int> bench_processors() {
    ::cpu_set_t allowed;
    CPU_ZERO(&allowed);
    std::vector<int> found;
    if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return found;
    for (int one = 0; one < CPU_SETSIZE; ++one) {
        if (CPU_ISSET(static_cast<std::size_t>(one), &allowed)) found.push_back(one);
    }
    // From the two halves: neighbours are often one core that does two things at once.
    if (found.size() > 2) found = {found.front(), found[found.size() / 2]};
    return found;
}

std::optional<bench_turn> take_turn(contender who, const std::vector<int>& processors,
                                    std::chrono::nanoseconds duration) {
    switch (who) {
        case contender::promisqs: return measure<queue_channel>(processors, duration);
        case contender::pipe: return measure<pipe_channel>(processors, duration);
        case contender::bare_line: return measure<line_channel<false>, line_channel<true>>(processors, duration);
    }
    return std::nullopt;
}

}  // namespace promisqs_tool
