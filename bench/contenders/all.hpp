// SPDX-License-Identifier: Apache-2.0
#pragma once

// All contenders, as far as they were installed when this was built: peers.cmake defines the BENCH_HAS_ macros.

#include "bare_line.hpp"
#include "bare_ring.hpp"
#include "boost_message_queue.hpp"
#include "mutex_deque.hpp"
#include "pipe.hpp"
#include "posix_mq.hpp"
#include "promisqs.hpp"
#include "ring_variant.hpp"
#include "spin_lock.hpp"
#include "spsc_batched.hpp"
#include "tapped.hpp"
#include "tcp_socket.hpp"
#include "unix_socket.hpp"
#include "vyukov.hpp"

#if BENCH_HAS_ATOMIC_QUEUE
#include "atomic_queue.hpp"
#endif
#if BENCH_HAS_BOOST_LOCKFREE
#include "boost_lockfree.hpp"
#endif
#if BENCH_HAS_DBUS
#include "dbus.hpp"
#endif
#if BENCH_HAS_DPDK
#include "rte_ring.hpp"
#endif
#if BENCH_HAS_ICEORYX
#include "iceoryx.hpp"
#endif
#if BENCH_HAS_MOODYCAMEL
#include "moodycamel.hpp"
#endif
#if BENCH_HAS_ZEROMQ
#include "zeromq.hpp"
#endif

#include "../calls.hpp"

#include <string>

namespace bench {

/// Calls `visit.operator()<Queue, How>(label)` for everything that two processes can send messages with, each used in
/// the way that suits it best when each side has a processor of its own; promisqs in several ways.
template <class T, class Visit>
void for_each_on_two_processors(Visit visit) {
    using promisqs::wait_policy;
    visit.template operator()<promisqs_queue<T, wait_policy::balanced>, how::waiting>("promisqs");
    visit.template operator()<promisqs_queue<T, wait_policy::lowest_latency>, how::waiting>("promisqs_latency");
    visit.template operator()<promisqs_queue<T, wait_policy::stream>, how::waiting>("promisqs_stream");
    visit.template operator()<promisqs_queue<T, wait_policy::friendly>, how::waiting>("promisqs_friendly");
    visit.template operator()<promisqs_queue<T>, how::polling>("promisqs_polled");
    visit.template operator()<promisqs_by_value<T>, how::polling>("promisqs_pop");
    visit.template operator()<promisqs_tapped<T>, how::waiting>("promisqs_tapped");
    visit.template operator()<promisqs_queue<T, wait_policy::balanced, declared::single_sides>, how::waiting>(
        "promisqs_declared");
    visit.template operator()<promisqs_queue<T, wait_policy::stream, declared::single_sides>, how::waiting>(
        "promisqs_declared_stream");
    visit.template operator()<ring_variant<T, intents::announced, sleepers::looked_for>, how::polling>("ring");
    visit.template operator()<ring_variant<T, intents::left_out, sleepers::looked_for>, how::polling>(
        "ring_without_intents");
    visit.template operator()<ring_variant<T, intents::announced, sleepers::left_out>, how::polling>(
        "ring_without_sleepers");
    if constexpr (sizeof(T) == 8) visit.template operator()<bare_line<T>, how::polling>("bare_line");
    visit.template operator()<bare_ring<T>, how::polling>("bare_ring");
    visit.template operator()<bare_ring<T, 8>, how::polling>("memcpy");
    visit.template operator()<spsc_batched<T>, how::polling>("spsc_batched");
    visit.template operator()<vyukov<T>, how::polling>("vyukov_packed");
    visit.template operator()<vyukov<T, slots::padded>, how::polling>("vyukov_padded");
    visit.template operator()<spin_lock<T>, how::polling>("spin_lock");
#if BENCH_HAS_ATOMIC_QUEUE
    visit.template operator()<atomic_queue<T>, how::polling>("atomic_queue");
#endif
#if BENCH_HAS_BOOST_LOCKFREE
    visit.template operator()<boost_lockfree<T>, how::polling>("boost_lockfree");
#endif
#if BENCH_HAS_DPDK
    visit.template operator()<rte_ring<T>, how::polling>("rte_ring");
    visit.template operator()<rte_ring<T, sync::single>, how::polling>("rte_ring_single");
#endif
    visit.template operator()<boost_message_queue<T>, how::waiting>("boost_message_queue");
    visit.template operator()<boost_message_queue<T>, how::polling>("boost_message_queue_polled");
#if BENCH_HAS_ICEORYX
    visit.template operator()<iceoryx<T>, how::polling>("iceoryx");
#endif
#if BENCH_HAS_ZEROMQ
    visit.template operator()<zeromq<T>, how::waiting>("zeromq_ipc");
#endif
    visit.template operator()<pipe<T>, how::waiting>("pipe");
    visit.template operator()<unix_socket<T>, how::waiting>("unix_socket");
    visit.template operator()<tcp_socket<T>, how::waiting>("tcp_socket");
    visit.template operator()<posix_mq<T>, how::waiting>("posix_mq");
#if BENCH_HAS_DBUS
    visit.template operator()<dbus<T>, how::waiting>("dbus");
#endif
}

/// Likewise for everything that any number of processes, or threads, can share, by attempts after which others are let
/// run.
template <class T, class Visit>
void for_each_yielding(Visit visit) {
    visit.template operator()<promisqs_queue<T>, how::yielding>("promisqs");
    visit.template operator()<vyukov<T>, how::yielding>("vyukov_packed");
    visit.template operator()<vyukov<T, slots::padded>, how::yielding>("vyukov_padded");
    visit.template operator()<spin_lock<T>, how::yielding>("spin_lock");
#if BENCH_HAS_ATOMIC_QUEUE
    visit.template operator()<atomic_queue<T>, how::yielding>("atomic_queue");
#endif
#if BENCH_HAS_BOOST_LOCKFREE
    visit.template operator()<boost_lockfree<T>, how::yielding>("boost_lockfree");
#endif
#if BENCH_HAS_DPDK
    visit.template operator()<rte_ring<T>, how::yielding>("rte_ring");
#endif
    visit.template operator()<boost_message_queue<T>, how::yielding>("boost_message_queue");
    visit.template operator()<mutex_deque<T>, how::yielding>("mutex_deque");
#if BENCH_HAS_MOODYCAMEL
    visit.template operator()<moodycamel<T>, how::yielding>("moodycamel");
#endif
#if BENCH_HAS_ZEROMQ
    visit.template operator()<zeromq<T>, how::yielding>("zeromq_ipc");
#endif
}

/// Likewise for everything that has a way of its own to wait.
template <class T, class Visit>
void for_each_waiting(Visit visit) {
    using promisqs::wait_policy;
    visit.template operator()<promisqs_queue<T>, how::waiting>("promisqs");
    visit.template operator()<promisqs_queue<T, wait_policy::friendly>, how::waiting>("promisqs_friendly");
    visit.template operator()<boost_message_queue<T>, how::waiting>("boost_message_queue");
#if BENCH_HAS_ZEROMQ
    visit.template operator()<zeromq<T>, how::waiting>("zeromq_ipc");
#endif
    visit.template operator()<pipe<T>, how::waiting>("pipe");
    visit.template operator()<unix_socket<T>, how::waiting>("unix_socket");
    visit.template operator()<tcp_socket<T>, how::waiting>("tcp_socket");
    visit.template operator()<posix_mq<T>, how::waiting>("posix_mq");
}

}  // namespace bench
