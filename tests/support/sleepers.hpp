// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a test finds out that another thread or process waits, so that nothing has to sleep for it.

#include "catch.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/segment.hpp>
#include <promisqs/detail/protocol/role.hpp>
#include <promisqs/options.hpp>
#include <promisqs/queue.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace promisqs_test {

/// Goes to sleep after the first look.
inline constexpr promisqs::wait_policy at_once_asleep{0, std::chrono::nanoseconds(0), std::chrono::nanoseconds(0)};
/// Never goes to sleep, for all that a test lives to see.
inline constexpr promisqs::wait_policy always_spins{1, std::chrono::hours(24), std::chrono::nanoseconds(0)};
inline constexpr promisqs::wait_policy always_yields{0, std::chrono::nanoseconds(0), std::chrono::hours(24)};

/// The word on which the consumers, or the producers, of a queue sleep, as it is at the moment.
template <class T>
std::uint32_t wait_word_of(const promisqs::shmem_queue<T>& q, promisqs::detail::role whose) {
    auto object = promisqs::detail::segment::find(q.name());
    REQUIRE(object);
    object->map(promisqs::detail::layout::participants_offset, promisqs::huge_pages::never);
    const auto& counters = object->counters();
    return (whose == promisqs::detail::role::consumer ? counters.consumers : counters.producers).word.load();
}

/// Whether a participant has announced that it is about to sleep. The mark stays until somebody wakes the sleepers.
template <class T>
bool somebody_sleeps(const promisqs::shmem_queue<T>& q, promisqs::detail::role whose) {
    return (wait_word_of(q, whose) & promisqs::detail::layout::asleep) != 0;
}
template <class T>
void await_sleeper(const promisqs::shmem_queue<T>& q, promisqs::detail::role whose = promisqs::detail::role::consumer) {
    while (!somebody_sleeps(q, whose)) std::this_thread::yield();
}

/// Waits until so many threads have an entry. A waiting call of a new thread gets one only after its first looks; so it
/// waits by then, however it does.
template <class T>
void await_participants(const promisqs::shmem_queue<T>& q, std::size_t count) {
    while (q.stats().participants.size() < count) std::this_thread::yield();
}

}  // namespace promisqs_test
