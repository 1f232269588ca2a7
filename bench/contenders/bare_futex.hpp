// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace bench {

/// A word that is slept on, and nothing else: whoever pushes always makes the system call that wakes, whoever pops
/// always the one that sleeps. Room for one message.
///
/// \tparam Looks  how long it looks before it sleeps, in microseconds. Who has used the processor so is woken later, by
/// Linux' scheduler
template <class T, unsigned Looks = 0>
class bare_futex {
public:
    using value_type = T;
    static constexpr const char* name = Looks == 0 ? "bare_futex" : "bare_futex_after_looking";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;

    static bare_futex create(const std::string& segment, std::uint64_t /*capacity*/) {
        return bare_futex(shared_object::create(segment, sizeof(contents)));
    }
    static bare_futex open(const std::string& segment, side /*either*/) {
        return bare_futex(shared_object::open(segment));
    }

    void push_wait(const T& message) {
        shared().message = message;
        shared().count.fetch_add(1, std::memory_order_release);
        ::syscall(SYS_futex, &shared().count, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    }
    void pop_wait(T& out) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(Looks);
        while (std::chrono::steady_clock::now() < end && shared().count.load(std::memory_order_acquire) == seen_) {
            promisqs::detail::os::pause();
        }
        while (shared().count.load(std::memory_order_acquire) == seen_) {
            ::syscall(SYS_futex, &shared().count, FUTEX_WAIT, seen_, nullptr, nullptr, 0);
        }
        ++seen_;
        out = shared().message;
    }

private:
    struct contents {
        std::atomic<std::uint32_t> count;
        T message;
    };

    explicit bare_futex(shared_object memory) : memory_(std::move(memory)) {}

    [[nodiscard]] contents& shared() const { return *reinterpret_cast<contents*>(memory_.data()); }

    shared_object memory_;
    std::uint32_t seen_ = 0;
};

}  // namespace bench
