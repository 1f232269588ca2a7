// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpus.hpp"

#include <promisqs/platform.hpp>

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

namespace bench {

/// Where workers live.
enum class place { threads, processes };

/// Memory that forked processes share, zero at first.
template <class T>
class shared_array {
public:
    explicit shared_array(std::size_t count)
        : size_(count * sizeof(T)),
          memory_(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
        std::uninitialized_value_construct_n(data(), count);
    }
    ~shared_array() { ::munmap(memory_, size_); }
    shared_array(const shared_array&) = delete;
    shared_array& operator=(const shared_array&) = delete;

    [[nodiscard]] T* data() const noexcept { return static_cast<T*>(memory_); }
    [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data()[i]; }

private:
    std::size_t size_;
    void* memory_;
};

/// What the workers of one run, and the program that started them, tell each other.
struct start_signal {
    std::atomic<bool> go;
    std::atomic<bool> given_up;  // a worker failed, or the run takes too long: everybody is to return
};

/// What one worker reports.
struct alignas(128) worker_report {
    std::atomic<bool> ready;
    std::atomic<bool> done;
    std::int64_t begin;  // steady-clock nanoseconds
    std::int64_t end;
    std::uint64_t sum;  // of the numbers that it pushed, minus those that it popped
    std::array<char, 256> error;
};

/// A worker's own view of the run.
class worker {
public:
    worker(start_signal& signal, worker_report& report) : signal_(signal), report_(report) {}

    /// Says that this worker has opened what it needs, and waits for all others.
    void start();
    /// Ends the measured time.
    void finish(std::uint64_t sum);

    /// Repeats an attempt until it succeeds: at once, then after pauses, then letting others run. The same for all
    /// contenders.
    ///
    /// \return  false: the run was given up
    template <class Attempt>
    [[nodiscard]] bool keep_trying(Attempt attempt) {
        for (unsigned tries = 0; !attempt(); ++tries) {
            if (tries < pauses) {
                promisqs::platform::pause();
            } else {
                if (signal_.given_up.load(std::memory_order_relaxed)) return false;
                std::this_thread::yield();
            }
        }
        return true;
    }

private:
    static constexpr unsigned pauses = 200;

    start_signal& signal_;
    worker_report& report_;
};

struct assignment {
    side where;
    unsigned index;  // among the workers of that side
    std::function<void(worker&)> work;
};

/// Runs all at once, as threads or as forked processes, each pinned to a processor of its side, until all are done.
///
/// \return      seconds, from the first worker's start to the last one's finish
/// \par Throws  `std::runtime_error`: a worker failed, the run took too long, or not all came out that went in
double run_team(place where, const std::vector<assignment>& assignments);

}  // namespace bench
