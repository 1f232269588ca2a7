// SPDX-License-Identifier: Apache-2.0

// One thread pushes a message and pops it again: what the calls cost when nobody is in the way.

#include "contenders/all.hpp"
#include "segment_name.hpp"
#include "workload.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace bench {
namespace {

// Has a message brought to where a user would find it: a small one in a register, others in memory.
template <class T>
void look_at(const T& message) {
    if constexpr (sizeof message == sizeof message.words[0]) {
        auto word = message.words[0];
        benchmark::DoNotOptimize(word);
    } else {
        benchmark::DoNotOptimize(message.words.data());
        benchmark::ClobberMemory();
    }
}

template <class Queue>
void push_and_pop(benchmark::State& state) {
    try {
        const segment_name segment;
        auto queue = Queue::create(segment.get(), capacity);
        outgoing<typename Queue::value_type> messages(0);
        typename Queue::value_type room{};
        bool worked = true;
        for (auto _ : state) {
            worked &= queue.push(messages.next());
            worked &= queue.pop(room);
            look_at(room);
        }
        state.SetItemsProcessed(state.iterations());
        if (!worked) state.SkipWithError("a push or a pop failed");
    } catch (const std::exception& error) {
        state.SkipWithError(error.what());
    }
}

/// The same queue, popping by the call that returns the message.
template <class T>
class by_optional {
public:
    using value_type = T;

    static by_optional create(const std::string& segment, std::uint64_t size) {
        return by_optional(promisqs::shmem_queue<T>::create(segment, size));
    }
    bool push(const T& message) { return queue_.push(message); }
    bool pop(T& out) {
        const auto message = queue_.pop();
        if (message) out = *message;
        return message.has_value();
    }

private:
    explicit by_optional(promisqs::shmem_queue<T> created) : queue_(std::move(created)) {}

    promisqs::shmem_queue<T> queue_;
};

template <class Queue>
void add(const char* name) {
    const std::string size = std::to_string(sizeof(typename Queue::value_type));
    benchmark::RegisterBenchmark(("uncontended/" + size + "B/" + name).c_str(), push_and_pop<Queue>);
}

void add_all() {
    using promisqs::wait_policy;
    for_each_size([]<class T>() {
        add<promisqs_queue<T>>("promisqs");
        add<by_optional<T>>("promisqs_optional");
        add<promisqs_queue<T, wait_policy::balanced, declared::single_sides>>("promisqs_declared");
        add<ring_variant<T, intents::announced, sleepers::looked_for>>("ring");
        add<ring_variant<T, intents::left_out, sleepers::looked_for>>("ring_without_intents");
        add<ring_variant<T, intents::announced, sleepers::left_out>>("ring_without_sleepers");
        add<vyukov<T>>("vyukov_packed");
        add<vyukov<T, slots::padded>>("vyukov_padded");
        add<spin_lock<T>>("spin_lock");
        add<mutex_deque<T>>("mutex_deque");
        add<boost_message_queue<T>>("boost_message_queue");
#if BENCH_HAS_ATOMIC_QUEUE
        add<atomic_queue<T>>("atomic_queue");
#endif
#if BENCH_HAS_BOOST_LOCKFREE
        add<boost_lockfree<T>>("boost_lockfree");
#endif
#if BENCH_HAS_MOODYCAMEL
        add<moodycamel<T>>("moodycamel");
#endif
    });
}

/// How contenders are compared unless the user says otherwise: they alternate, because the machine changes meanwhile.
constexpr std::array defaults{"--benchmark_enable_random_interleaving=true", "--benchmark_repetitions=9",
                              "--benchmark_min_time=0.05", "--benchmark_report_aggregates_only=true"};

bool is_given(const std::vector<std::string>& arguments, std::string_view flag) {
    const auto name = flag.substr(0, flag.find('='));
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](std::string_view argument) { return argument.substr(0, argument.find('=')) == name; });
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv, argv + argc);
    for (const char* flag : bench::defaults) {
        if (!bench::is_given(arguments, flag)) arguments.emplace_back(flag);
    }
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    int count = static_cast<int>(pointers.size());
    pointers.push_back(nullptr);

    bench::remove_segments_on_signals();
    benchmark::Initialize(&count, pointers.data());
    if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 2;
    bench::pin_worker(bench::placement::one_processor, bench::side::producers, 0);
    bench::add_all();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
