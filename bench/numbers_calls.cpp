// SPDX-License-Identifier: Apache-2.0

// What a push and a pop cost in a thread that uses many queues in turn, and how long a fork elsewhere holds them up.

#include "contenders/bare_ring.hpp"
#include "contenders/promisqs.hpp"
#include "contenders/vyukov.hpp"
#include "cpus.hpp"
#include "element.hpp"
#include "numbers.hpp"
#include "segment_name.hpp"

#include <promisqs/queue.hpp>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {
namespace {

using clock = std::chrono::steady_clock;
using message = element<8>;
using queue = promisqs_queue<message>;
using declared_queue = promisqs_queue<message, promisqs::wait_policy::balanced, declared::single_sides>;
using figures = std::map<std::string, double>;

/// Both ends of a bare ring: a handle on it is one of them.
class both_ends {
public:
    static both_ends create(const std::string& segment, std::uint64_t capacity) {
        auto producer = bare_ring<message>::create(segment, capacity);
        return {std::move(producer), bare_ring<message>::open(segment, side::consumers)};
    }
    bool push(const message& sent) { return producer_.push(sent); }
    bool pop(message& out) { return consumer_.pop(out); }

private:
    both_ends(bare_ring<message> producer, bare_ring<message> consumer)
        : producer_(std::move(producer)), consumer_(std::move(consumer)) {}

    bare_ring<message> producer_;
    bare_ring<message> consumer_;
};

/// Queues that nobody else uses.
template <class Queue>
class queues {
public:
    explicit queues(unsigned count) {
        for (unsigned i = 0; i < count; ++i) {
            names_.push_back(std::make_unique<segment_name>());
            all_.push_back(Queue::create(names_.back()->get(), 64));
        }
    }

    std::vector<Queue*> each() {
        std::vector<Queue*> result;
        for (auto& one : all_) result.push_back(&one);
        return result;
    }

private:
    std::vector<std::unique_ptr<segment_name>> names_;
    std::vector<Queue> all_;
};

template <class Queue>
bool use_each(const std::vector<Queue*>& which) {
    bool well = true;
    message room{};
    for (Queue* one : which) {
        well &= one->push(room);
        well &= one->pop(room);
    }
    return well;
}

/// Nanoseconds for a push and a pop.
template <class Queue>
double measure_pairs(const std::vector<Queue*>& which, unsigned rounds) {
    bool well = use_each(which);
    const auto begin = clock::now();
    for (unsigned i = 0; i < rounds; ++i) well &= use_each(which);
    const double passed = seconds_since(begin);
    expect(well, "a push or a pop failed");
    return 1e9 * passed / (rounds * static_cast<double>(which.size()));
}

struct pairs {
    double of_one;  // nanoseconds
    double in_turn;
    double ratio;
};

template <class Queue>
pairs measure_in_turn(unsigned count, const scale& how_much) {
    queues<Queue> all(count);
    const auto each = all.each();
    const std::vector<Queue*> first(each.size(), each.front());
    std::vector<double> one;
    std::vector<double> many;
    std::vector<double> ratios;
    for (int turn = 0; turn < 15; ++turn) {
        one.push_back(measure_pairs(first, how_much.of(500, 10)));
        many.push_back(measure_pairs(each, how_much.of(500, 10)));
        ratios.push_back(many.back() / one.back());
    }
    return {median(one), median(many), median(ratios)};
}

// What a ring without anything else loses goes to the caches: 64 queues have more lines than one.
template <class Queue, class Bare>
figures queues_in_turn(unsigned count, const scale& how_much) {
    pin_worker(placement::one_processor, side::producers, 0);
    // Locks cost next to nothing in a process that has a single thread.
    const std::jthread other([](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    });
    const pairs ours = measure_in_turn<Queue>(count, how_much);
    const pairs bare = measure_in_turn<Bare>(count, how_much);
    return {{"ratio", ours.ratio},      {"ns_of_1", ours.of_one},      {"ns", ours.in_turn},
            {"ratio_bare", bare.ratio}, {"ns_bare_of_1", bare.of_one}, {"ns_bare", bare.in_turn}};
}

/// Memory that a forked child does not have: so a fork neither copies it nor makes its pages read-only.
class memory_of_parent {
public:
    explicit memory_of_parent(std::size_t size)
        : size_(size),
          begin_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
        if (begin_ == MAP_FAILED || ::madvise(begin_, size_, MADV_DONTFORK) != 0) throw std::bad_alloc();
    }
    memory_of_parent(const memory_of_parent&) = delete;
    memory_of_parent& operator=(const memory_of_parent&) = delete;
    ~memory_of_parent() { ::munmap(begin_, size_); }

    [[nodiscard]] void* begin() const noexcept { return begin_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::size_t size_;
    void* begin_;
};

/// A thread whose stack, with what belongs to it alone, a fork does not touch: a thread with an ordinary one is held up
/// by the page faults that follow, whatever it does.
template <class Work>
class thread_beside_forks {
public:
    explicit thread_beside_forks(const Work& work) : work_(work), stack_(std::size_t{1} << 20) {
        ::pthread_attr_t attributes;
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setstack(&attributes, stack_.begin(), stack_.size());
        const auto start = [](void* argument) -> void* {
            static_cast<const thread_beside_forks*>(argument)->work_();
            return nullptr;
        };
        const int error = ::pthread_create(&thread_, &attributes, start, this);
        ::pthread_attr_destroy(&attributes);
        expect(error == 0, "no thread to be had");
    }
    thread_beside_forks(const thread_beside_forks&) = delete;
    thread_beside_forks& operator=(const thread_beside_forks&) = delete;
    ~thread_beside_forks() { ::pthread_join(thread_, nullptr); }

private:
    const Work& work_;
    memory_of_parent stack_;
    ::pthread_t thread_{};
};

long sleeps_of_this_thread() {
    ::rusage used{};
    ::getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
}

// A call counts as held up if the thread went to sleep in it. What other processes do does not count.
figures fork_elsewhere(unsigned count, const scale& how_much) {
    queues<queue> all(count);
    const auto each = all.each();
    const std::size_t size = std::size_t{how_much.of(1024, 16)} << 20;
    std::vector<char> large(size, 1);  // what makes a fork slow
    std::atomic<bool> ready = false;
    std::atomic<bool> over = false;
    double held_up = 0;
    bool well = false;
    const auto push_and_pop = [&] {
        // All that it writes while others fork lies on its own stack.
        bool fine = use_each(each);
        double longest = 0;
        message room{};
        ready = true;
        while (!over) {
            for (queue* one : each) {
                const long sleeps = sleeps_of_this_thread();
                const auto begin = clock::now();
                fine &= one->push(room);
                fine &= one->pop(room);
                const double passed = seconds_since(begin);
                if (sleeps_of_this_thread() != sleeps) longest = std::max(longest, passed);
            }
        }
        held_up = longest;
        well = fine;
    };
    double longest_fork = 0;
    const auto forks = [&] {
        while (!ready) std::this_thread::yield();
        for (unsigned i = 0; i < how_much.of(20, 3); ++i) {
            const auto begin = clock::now();
            const ::pid_t pid = ::fork();
            if (pid == 0) ::_exit(0);
            longest_fork = std::max(longest_fork, seconds_since(begin));
            if (pid > 0) ::waitpid(pid, nullptr, 0);
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        over = true;
    };
    {
        const thread_beside_forks pushing(push_and_pop);
        // Not by the main thread: glibc keeps it in one list with threads that have a stack of their own, and the child
        // would write into that list.
        std::thread(forks).join();
    }
    expect(well, "a push or a pop failed");
    return {{"held_up_ms", 1e3 * held_up}, {"longest_fork_ms", 1e3 * longest_fork}};
}

}  // namespace

void add_calls(std::vector<measurement>& all) {
    all.push_back({"in_turn/queues=64", "ratio",
                   [](const scale& s) { return queues_in_turn<queue, vyukov<message, slots::padded>>(64, s); }});
    all.push_back({"in_turn_declared/queues=64", "ratio",
                   [](const scale& s) { return queues_in_turn<declared_queue, both_ends>(64, s); }});
    all.push_back({"fork_elsewhere/queues=64", "held_up_ms", [](const scale& s) { return fork_elsewhere(64, s); }});
}

}  // namespace bench
