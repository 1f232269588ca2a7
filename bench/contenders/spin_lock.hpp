// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "shared_object.hpp"

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace bench {

/// The algorithm of the Rust crate of the same name: a ring of bytes under one spin lock in the shared memory, for both
/// sides. Who is killed in between leaves it locked for all.
template <class T>
class spin_lock {
public:
    using value_type = T;
    static constexpr const char* name = "spin_lock";
    static constexpr bool crosses_processes = true;

    static spin_lock create(const std::string& segment, std::uint64_t capacity) {
        return spin_lock(shared_object::create(segment, sizeof(header) + capacity * sizeof(T)));
    }
    static spin_lock open(const std::string& segment, side /*either*/) {
        return spin_lock(shared_object::open(segment));
    }

    bool push(const T& message) {
        const guard locked(shared().locked);
        if (shared().count == capacity_) return false;
        std::memcpy(element((shared().first + shared().count) % capacity_), &message, sizeof message);
        ++shared().count;
        return true;
    }
    bool pop(T& out) {
        const guard locked(shared().locked);
        if (shared().count == 0) return false;
        std::memcpy(&out, element(shared().first), sizeof out);
        shared().first = (shared().first + 1) % capacity_;
        --shared().count;
        return true;
    }

private:
    struct alignas(64) header {
        std::atomic<bool> locked;
        std::uint64_t first;
        std::uint64_t count;
    };

    class guard {
    public:
        explicit guard(std::atomic<bool>& locked) : locked_(locked) {
            while (locked_.exchange(true, std::memory_order_acquire)) promisqs::detail::os::pause();
        }
        ~guard() { locked_.store(false, std::memory_order_release); }
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;

    private:
        std::atomic<bool>& locked_;
    };

    explicit spin_lock(shared_object memory)
        : memory_(std::move(memory)), capacity_((memory_.size() - sizeof(header)) / sizeof(T)) {}

    [[nodiscard]] header& shared() const { return *reinterpret_cast<header*>(memory_.data()); }
    [[nodiscard]] std::byte* element(std::uint64_t i) const { return memory_.data() + sizeof(header) + i * sizeof(T); }

    shared_object memory_;
    std::uint64_t capacity_;
};

}  // namespace bench
