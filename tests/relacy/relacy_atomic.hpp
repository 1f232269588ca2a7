// SPDX-License-Identifier: Apache-2.0
#pragma once

// A word with the interface of std::atomic<std::uint64_t>, on an atomic of relacy's. Three things that the C++ memory
// model allows and relacy leaves out are added where the scheduler is the random one:
//   a compare-and-swap may fail on an old value, as any load may see one;
//   a store may become visible only after later operations of its thread, up to the next one that is a release;
//   a thread may be killed before any of its operations (`run_until_killed`).
// What stays out of reach is described in README.md.
//
// Include this after everything else: relacy.hpp replaces names by macros.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/protocol/recovery.hpp>
#include <promisqs/detail/protocol/ring.hpp>
#include <promisqs/detail/protocol/ticket.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <ostream>
#include <source_location>
#include <streambuf>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wdeprecated"
#include <relacy/relacy.hpp>
#pragma GCC diagnostic pop

#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef $

namespace promisqs_test {

using where = std::source_location;

inline rl::debug_info debug_info(const where& at) { return {at.function_name(), at.file_name(), at.line()}; }

inline rl::memory_order relacys(std::memory_order order) {
    switch (order) {
        case std::memory_order_relaxed: return rl::mo_relaxed;
        case std::memory_order_consume: return rl::mo_consume;
        case std::memory_order_acquire: return rl::mo_acquire;
        case std::memory_order_release: return rl::mo_release;
        case std::memory_order_acq_rel: return rl::mo_acq_rel;
        case std::memory_order_seq_cst: break;
    }
    return rl::mo_seq_cst;
}

inline bool releases(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

/// One choice of several, that relacy explores.
inline unsigned any_of(unsigned choices) { return rl::rand(choices); }
/// Once in so many times; never where all choices are tried one after the other.
inline bool sometimes(unsigned in) { return rl::ctx().is_random_sched() && rl::rand(in) == 0; }

inline void yield(const where& at = where::current());

class word {
public:
    word() : word(0) {}
    explicit word(std::uint64_t value) { value_.store(value, rl::mo_relaxed, debug_info(where::current())); }

    std::uint64_t load(std::memory_order order, where at = where::current()) const;
    void store(std::uint64_t desired, std::memory_order order, where at = where::current());
    bool compare_exchange_strong(std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
                                 std::memory_order failure, where at = where::current());
    std::uint64_t fetch_add(std::uint64_t change, std::memory_order order, where at = where::current());
    std::uint64_t fetch_or(std::uint64_t bits, std::memory_order order, where at = where::current());

private:
    friend struct simulated_thread;

    mutable rl::atomic<std::uint64_t> value_;
};

/// What one of relacy's threads is in the middle of.
struct simulated_thread {
    static simulated_thread& current();
    static void reset();

    // Before every operation.
    void step() {
        if (steps_left != 0 && --steps_left == 0) std::longjmp(killed, 1);
    }
    // Lets a store that was put off happen, at the latest before what must not overtake it.
    void before(const word& target, bool release) {
        if (delayed != nullptr && (release || delayed == &target || sometimes(8))) flush();
    }
    void flush() {
        if (delayed == nullptr) return;
        word& target = *delayed;
        delayed = nullptr;
        target.value_.store(value, relacys(order), debug_info(at));
    }

    word* delayed = nullptr;
    std::uint64_t value = 0;
    std::memory_order order = std::memory_order_relaxed;
    where at;

    unsigned steps_left = 0;  // 0: it lives for ever
    std::jmp_buf killed;
};
inline std::array<simulated_thread, 8> simulated_threads;

inline simulated_thread& simulated_thread::current() { return simulated_threads[rl::thread_index()]; }
inline void simulated_thread::reset() {
    for (auto& thread : simulated_threads) {
        thread.delayed = nullptr;
        thread.steps_left = 0;
    }
}

inline std::uint64_t word::load(std::memory_order order, where at) const {
    auto& thread = simulated_thread::current();
    thread.step();
    thread.before(*this, false);
    return value_.load(relacys(order), debug_info(at));
}

inline void word::store(std::uint64_t desired, std::memory_order order, where at) {
    auto& thread = simulated_thread::current();
    thread.step();
    thread.before(*this, releases(order));
    if (thread.delayed == nullptr && order != std::memory_order_seq_cst && sometimes(4)) {
        thread.delayed = this;
        thread.value = desired;
        thread.order = order;
        thread.at = at;
        return;
    }
    value_.store(desired, relacys(order), debug_info(at));
}

inline bool word::compare_exchange_strong(std::uint64_t& expected, std::uint64_t desired, std::memory_order success,
                                          std::memory_order failure, where at) {
    auto& thread = simulated_thread::current();
    thread.step();
    thread.before(*this, releases(success));
    if (sometimes(4)) {
        const std::uint64_t old = value_.load(relacys(failure), debug_info(at));
        if (old != expected) {
            expected = old;
            return false;
        }
    }
    // relacy knows no failing order that is stronger than the other one; C++ does.
    const bool acquires = success != std::memory_order_relaxed && success != std::memory_order_release;
    const bool known = failure == std::memory_order_relaxed || acquires;
    const bool done = value_.compare_exchange_strong(expected, desired, relacys(success), debug_info(at),
                                                     known ? relacys(failure) : rl::mo_relaxed, debug_info(at));
    if (!done && !known) rl::atomic_thread_fence(rl::mo_acquire, debug_info(at));
    return done;
}

inline std::uint64_t word::fetch_add(std::uint64_t change, std::memory_order order, where at) {
    auto& thread = simulated_thread::current();
    thread.step();
    thread.before(*this, releases(order));
    return value_.fetch_add(change, relacys(order), debug_info(at));
}

inline std::uint64_t word::fetch_or(std::uint64_t bits, std::memory_order order, where at) {
    auto& thread = simulated_thread::current();
    thread.step();
    thread.before(*this, releases(order));
    return value_.fetch_or(bits, relacys(order), debug_info(at));
}

/// A full barrier.
inline void full_barrier(const where& at = where::current()) {
    auto& thread = simulated_thread::current();
    thread.step();
    thread.flush();
    rl::atomic_thread_fence(rl::mo_seq_cst, debug_info(at));
}

/// Lets others go on; without it, relacy takes a thread that waits for one that loops for ever.
inline void yield(const where& at) {
    simulated_thread::current().flush();
    rl::yield(1, debug_info(at));
}

/// Runs the body, which is killed before its n-th operation on a word, if it gets that far; 0: never.
///
/// \return  whether it came to its end
template <class Body>
[[gnu::noinline]] bool run_until_killed(unsigned n, const Body& body) {
    auto& thread = simulated_thread::current();
    thread.steps_left = n;
    const bool alive = setjmp(thread.killed) == 0;
    if (alive) body();
    thread.steps_left = 0;
    thread.flush();  // what it has stored is stored
    return alive;
}

}  // namespace promisqs_test
