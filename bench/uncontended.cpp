// SPDX-License-Identifier: Apache-2.0

// One thread pushes a message and pops it again: what the calls cost when nobody is in the way.

#include "contenders/all.hpp"
#include "segment_name.hpp"
#include "workload.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace bench {
namespace {

// Has a message brought to where a user would find it: a small one in a register, others in memory.
template <class T>
void look_at(T& message) {
    if constexpr (sizeof message == sizeof(std::uint64_t)) {
        auto word = number_in(message);
        benchmark::DoNotOptimize(word);
    } else {
        benchmark::DoNotOptimize(&message);
        benchmark::ClobberMemory();
    }
}

template <class Queue>
bool push_once(Queue& queue, const typename Queue::value_type& message) {
    return queue.push(message);
}
template <class Queue>
bool pop_once(Queue& queue, typename Queue::value_type& room) {
    return queue.pop(room);
}
template <class Queue>
auto pop_value_once(Queue& queue) {
    return queue.pop_value();
}

/// How the functions are called in which a user pushes and pops.
enum class calls {
    inlined,
    pointed_to  // the compiler does not know which ones they are, as if they were in another file
};

template <calls Calls, class Function>
auto callable(Function* function) {
    if constexpr (Calls == calls::inlined) {
        return [function](auto&&... arguments) { return function(arguments...); };
    } else {
        benchmark::DoNotOptimize(function);
        return function;
    }
}

template <calls Calls, class Queue>
auto make_pop(typename Queue::value_type& room) {
    if constexpr (requires(Queue & queue) { queue.pop_value(); }) {
        return [pop = callable<Calls>(pop_value_once<Queue>)](Queue& queue) {
            auto message = pop(queue);
            if (message) look_at(*message);
            return message.has_value();
        };
    } else {
        return [pop = callable<Calls>(pop_once<Queue>), &room](Queue& queue) {
            const bool found = pop(queue, room);
            look_at(room);
            return found;
        };
    }
}

template <class Queue, calls Calls>
void push_and_pop(benchmark::State& state) {
    try {
        const segment_name segment;
        auto queue = Queue::create(segment.get(), capacity);
        outgoing<typename Queue::value_type> messages(0);
        typename Queue::value_type room{};
        const auto push = callable<Calls>(push_once<Queue>);
        const auto pop = make_pop<Calls, Queue>(room);
        bool worked = true;
        for (auto _ : state) {
            worked &= push(queue, messages.next());
            worked &= pop(queue);
        }
        state.SetItemsProcessed(state.iterations());
        if (!worked) state.SkipWithError("a push or a pop failed");
    } catch (const std::exception& error) {
        state.SkipWithError(error.what());
    }
}

/// What it costs to be told "empty", after so many messages, again and again. In nanoseconds: `mean`; `most`, and how
/// much the first time took, when the thread had not learnt yet.
void be_told_empty(benchmark::State& state, unsigned messages) {
    using message = element<8>;
    const segment_name segment;
    auto queue = promisqs::shmem_queue<message>::create(segment.get(), capacity);
    message room{};
    double first = 0;
    double most = 0;
    for (auto _ : state) {
        for (unsigned i = 0; i < messages; ++i) {
            static_cast<void>(queue.push(room));
            static_cast<void>(queue.try_pop(room));
        }
        const auto begun = std::chrono::steady_clock::now();
        const auto found = queue.try_pop(room);
        const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
        state.SetIterationTime(taken.count());
        if (found != promisqs::status::empty) state.SkipWithError("not empty");
        if (first == 0) first = taken.count();
        most = std::max(most, taken.count());
    }
    state.counters["first_ns"] = first * 1e9;
    state.counters["most_ns"] = most * 1e9;
}

template <class Queue, calls Calls = calls::inlined>
void add(const char* name) {
    using message = typename Queue::value_type;
    const std::string type = std::is_integral_v<message> ? "number" : std::to_string(sizeof(message)) + "B";
    benchmark::RegisterBenchmark(("uncontended/" + type + "/" + name).c_str(), push_and_pop<Queue, Calls>);
}

template <class T>
void add_ways_to_pop() {
    add<promisqs_queue<T>>("promisqs");
    add<promisqs_by_value<T>>("promisqs_pop");
    add<promisqs_untyped<T>>("promisqs_untyped");
    add<promisqs_queue<T>, calls::pointed_to>("promisqs_called");
    add<promisqs_by_value<T>, calls::pointed_to>("promisqs_pop_called");
}

template <class T>
void add_rings() {
    using promisqs::wait_policy;
    add_ways_to_pop<T>();
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
#if BENCH_HAS_DPDK
    add<rte_ring<T>>("rte_ring");
    add<rte_ring<T, sync::single>>("rte_ring_single");
#endif
#if BENCH_HAS_MOODYCAMEL
    add<moodycamel<T>>("moodycamel");
#endif
}

void add_all() {
    add_ways_to_pop<std::uint64_t>();
    add_ways_to_pop<element<16>>();
    add_ways_to_pop<element<24>>();
    for_each_size([]<class T>() { add_rings<T>(); });
    for (const unsigned messages : {0U, 1U, 10U}) {
        benchmark::RegisterBenchmark(("told_empty/after_messages=" + std::to_string(messages)).c_str(), be_told_empty,
                                     messages)
            ->UseManualTime();
    }
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
