// SPDX-License-Identifier: Apache-2.0

// One producer pushes batches, one consumer pops what has come.

#include "contenders/all.hpp"
#include "suite.hpp"
#include "workload.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bench {
namespace {

enum class moving { batches, single_messages };

template <how How, moving Moving, class Queue>
bool send_all(worker& me, Queue& queue, std::span<const typename Queue::value_type> left) {
    if constexpr (Moving == moving::batches) {
        while (!left.empty()) {
            std::size_t size = 0;
            if (!repeat<How>(me, [&] { return (size = queue.push_some(left)) != 0; })) return false;
            left = left.subspan(size);
        }
        return true;
    } else {
        return std::all_of(left.begin(), left.end(),
                           [&](const auto& message) { return send<How>(me, queue, message); });
    }
}

/// \return  how many; 0: the run was given up
template <how How, moving Moving, class Queue>
std::size_t receive_some(worker& me, Queue& queue, std::span<typename Queue::value_type> room) {
    std::size_t size = 0;
    if constexpr (Moving == moving::batches) {
        static_cast<void>(repeat<How>(me, [&] { return (size = queue.pop_some(room)) != 0; }));
    } else {
        if (receive<How>(me, queue, room[0], [](const auto& /*message*/) {})) size = 1;
    }
    return size;
}

template <how How, moving Moving, std::size_t Batch, class Queue>
void produce(worker& me, Queue& queue) {
    using element_type = typename Queue::value_type;
    outgoing<element_type, Batch> messages(0);
    std::uint64_t sum = 0;
    me.start();
    while (!me.over()) {
        const auto batch = messages.next_batch();
        sum += Batch * batch[0].words[0] + Batch * (Batch - 1) / 2;
        if (!send_all<How, Moving>(me, queue, batch)) return;
    }
    me.finish(sum);
    const std::array last{make_last_message<element_type>()};
    static_cast<void>(send_all<How, Moving>(me, queue, last));
}

template <how How, moving Moving, std::size_t Batch, class Queue>
void consume(worker& me, Queue& queue) {
    using element_type = typename Queue::value_type;
    std::array<element_type, Batch> room{};
    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    me.start();
    for (;;) {
        const std::size_t size = receive_some<How, Moving>(me, queue, room);
        if (size == 0) return;
        use_whole(room);
        for (const element_type& message : std::span(room).first(size)) {
            if (message.words[0] == last_message) {
                me.finish(0 - sum);
                return;
            }
            sum += message.words[0];
        }
        me.has_done(count += size);
    }
}

template <how How, moving Moving, std::size_t Batch, class Queue>
sample measure(const effort& how_much) {
    const auto found = run_one_to_one<Queue>(how_much.duration, produce<How, Moving, Batch, Queue>,
                                             consume<How, Moving, Batch, Queue>);
    return {{{"messages_per_s", found.rate}}, {}};
}

template <class T, std::size_t Batch>
void add(std::vector<group>& groups) {
    using promisqs::wait_policy;
    using declared_queue = promisqs_queue<T, wait_policy::balanced, declared::single_sides>;
    using stream_queue = promisqs_queue<T, wait_policy::stream>;
    constexpr auto batches = moving::batches;
    constexpr auto singly = moving::single_messages;
    group result{"batches", {{"size", sizeof(T)}, {"batch", Batch}}, "messages_per_s", true, {}};
    result.contenders = {
        {"promisqs", measure<how::waiting, batches, Batch, promisqs_queue<T>>},
        {"promisqs_stream", measure<how::waiting, batches, Batch, stream_queue>},
        {"promisqs_declared", measure<how::waiting, batches, Batch, declared_queue>},
        {"promisqs_single", measure<how::waiting, singly, Batch, promisqs_queue<T>>},
        {"bare_ring", measure<how::polling, singly, Batch, bare_ring<T>>},
        {"spsc_batched", measure<how::polling, batches, Batch, spsc_batched<T>>},
    };
#if BENCH_HAS_DPDK
    result.contenders.push_back({"rte_ring", measure<how::polling, batches, Batch, rte_ring<T>>});
    using single_ring = rte_ring<T, sync::single>;
    result.contenders.push_back({"rte_ring_single", measure<how::polling, batches, Batch, single_ring>});
#endif
    groups.push_back(std::move(result));
}

template <class T>
void add_all(std::vector<group>& groups) {
    add<T, 1>(groups);
    add<T, 8>(groups);
    add<T, 32>(groups);
    add<T, 256>(groups);
}

}  // namespace

void add_batches(std::vector<group>& groups) {
    add_all<element<8>>(groups);
    add_all<element<64>>(groups);
}

}  // namespace bench
