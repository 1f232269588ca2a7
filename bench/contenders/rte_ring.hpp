// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <rte_config.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace bench {

enum class sync {
    many,   // any number of producers and consumers: the default
    single  // one of each
};

/// rte_ring of DPDK, with elements of any size, in shared memory, and without DPDK's environment. It holds one message
/// less than its capacity.
///
/// A producer that has claimed places waits, spinning, until all before it have published theirs; so do consumers. DPDK
/// means it for threads that are not preempted: when one is, the others wait for it, and when it dies, without end.
template <class T, sync Sync = sync::many>
class rte_ring {
public:
    using value_type = T;
    static constexpr const char* name = Sync == sync::many ? "rte_ring" : "rte_ring_single";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = Sync == sync::single;

    static rte_ring create(const std::string& segment, std::uint64_t capacity) {
        const auto count = static_cast<unsigned>(capacity);
        const auto size = ::rte_ring_get_memsize_elem(sizeof(T), count);
        if (size < 0) throw std::invalid_argument("the capacity must be a power of two");
        rte_ring result(shared_object::create(segment, static_cast<std::size_t>(size)));
        const unsigned flags = Sync == sync::single ? RING_F_SP_ENQ | RING_F_SC_DEQ : 0;
        if (::rte_ring_init(result.ring_, "bench", count, flags) != 0) throw std::runtime_error("rte_ring_init failed");
        return result;
    }
    static rte_ring open(const std::string& segment, side /*either*/) { return rte_ring(shared_object::open(segment)); }

    bool push(const T& message) { return push_some({&message, 1}) != 0; }
    bool pop(T& out) { return pop_some({&out, 1}) != 0; }

    std::size_t push_some(std::span<const T> messages) {
        const auto size = static_cast<unsigned>(messages.size());
        if constexpr (Sync == sync::single) {
            return ::rte_ring_sp_enqueue_burst_elem(ring_, messages.data(), sizeof(T), size, nullptr);
        } else {
            return ::rte_ring_mp_enqueue_burst_elem(ring_, messages.data(), sizeof(T), size, nullptr);
        }
    }
    std::size_t pop_some(std::span<T> out) {
        const auto size = static_cast<unsigned>(out.size());
        if constexpr (Sync == sync::single) {
            return ::rte_ring_sc_dequeue_burst_elem(ring_, out.data(), sizeof(T), size, nullptr);
        } else {
            return ::rte_ring_mc_dequeue_burst_elem(ring_, out.data(), sizeof(T), size, nullptr);
        }
    }

private:
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);

    explicit rte_ring(shared_object memory)
        : memory_(std::move(memory)), ring_(reinterpret_cast<::rte_ring*>(memory_.data())) {}

    shared_object memory_;
    ::rte_ring* ring_;
};

}  // namespace bench
