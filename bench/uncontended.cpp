// SPDX-License-Identifier: Apache-2.0

// One thread pushes a message and pops it again: what the calls cost when nobody is in the way.

#include "benchmarks.hpp"
#include "segment_name.hpp"

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
    using element_type = typename Queue::value_type;
    try {
        const segment_name segment;
        auto queue = Queue::create(segment.get(), capacity);
        outgoing<element_type> messages(0);
        element_type room{};
        bool worked = true;
        for (auto _ : state) {
            worked &= queue.push(messages.next());
            worked &= take(queue, room, look_at<element_type>);
        }
        state.SetItemsProcessed(state.iterations());
        if (!worked) state.SkipWithError("a push or a pop failed");
    } catch (const std::exception& error) {
        state.SkipWithError(error.what());
    }
}

template <class Queue>
void add() {
    benchmark::RegisterBenchmark(benchmark_name<Queue>("uncontended", "one_thread").c_str(), push_and_pop<Queue>);
}

}  // namespace

void register_uncontended() {
    for_each_size([]<class T>() {
        add<promisqs_queue<T>>();
        add<promisqs_queue_pop<T>>();
        add<vyukov<T>>();
        add<mutex_deque<T>>();
        add<boost_message_queue<T>>();
    });
}

}  // namespace bench
