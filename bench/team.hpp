// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cpus.hpp"

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <span>
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
        : count_(count),
          size_(count * sizeof(T)),
          memory_(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
        std::uninitialized_value_construct_n(data(), count);
    }
    ~shared_array() { ::munmap(memory_, size_); }
    shared_array(const shared_array&) = delete;
    shared_array& operator=(const shared_array&) = delete;

    [[nodiscard]] T* data() const noexcept { return static_cast<T*>(memory_); }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    [[nodiscard]] T& operator[](std::size_t i) const noexcept { return data()[i]; }

private:
    std::size_t count_;
    std::size_t size_;
    void* memory_;
};

/// What the workers of one run, and the program that started them, tell each other.
struct start_signal {
    std::atomic<bool> go;
    std::atomic<bool> over;      // the measured time is: producers stop
    std::atomic<bool> given_up;  // a worker failed, or the run takes too long: everybody is to return
    std::atomic<unsigned> stopped_producers;
    std::atomic<std::uint64_t> pushed;  // by those who have stopped
};

/// What one worker reports.
struct alignas(128) worker_report {
    std::atomic<std::uint64_t> done_so_far;  // messages, or whatever it counts
    alignas(128) std::atomic<bool> ready;
    std::atomic<bool> done;
    double cpu_seconds;     // that it used from `start` to `finish`
    double passed_seconds;  // that were between them
    std::uint64_t sum;      // of the numbers that it pushed, minus those that it popped
    std::array<char, 256> error;
};

/// A worker's own view of the run.
class worker {
public:
    worker(start_signal& signal, std::span<worker_report> reports, std::size_t i)
        : signal_(signal), reports_(reports), report_(reports[i]) {}

    /// Says that this worker has opened what it needs, and waits for all others.
    void start();
    /// Ends what was begun by `start`.
    void finish(std::uint64_t sum);

    [[nodiscard]] bool over() const noexcept { return signal_.over.load(std::memory_order_relaxed); }
    void has_done(std::uint64_t count) noexcept { report_.done_so_far.store(count, std::memory_order_relaxed); }

    /// Says that this producer has pushed so many, and pushes no more.
    void stop(std::uint64_t pushed) noexcept {
        signal_.pushed += pushed;
        ++signal_.stopped_producers;
    }
    /// Waits until so many producers have said that, and all that they pushed has been popped.
    ///
    /// \return  false: the run was given up
    [[nodiscard]] bool wait_until_drained(unsigned producers);

    /// Repeats an attempt until it succeeds, after a pause each time.
    ///
    /// \param pauses  after so many, it lets others run each time, in place of the pause
    /// \return        false: the run was given up
    template <class Attempt>
    [[nodiscard]] bool keep_trying(std::uint64_t pauses, Attempt attempt) {
        for (std::uint64_t tries = 0; !attempt(); ++tries) {
            if (tries < pauses) {
                promisqs::detail::os::pause();
                if (tries % 1024 != 1023) continue;
            } else {
                std::this_thread::yield();
            }
            if (signal_.given_up.load(std::memory_order_relaxed)) return false;
        }
        return true;
    }

private:
    start_signal& signal_;
    std::span<worker_report> reports_;
    worker_report& report_;
    double cpu_at_start_ = 0;
    std::chrono::steady_clock::time_point started_;
};

struct assignment {
    side of;
    unsigned index;  // among the workers of that side
    std::function<void(worker&)> work;
};

struct team_plan {
    place where;
    placement on;
    std::chrono::milliseconds duration;
    std::vector<assignment> assignments;
};

struct team_result {
    double rate = 0;            // what all together did in a second
    std::vector<double> rates;  // the same, of each window
    double consumers_cpu = 0;   // processor time of a consumer by time passed, the highest
};

/// How long a window is, in which what the workers do is counted.
inline constexpr std::chrono::milliseconds window{25};

/// Runs all at once, as threads or as forked processes, each pinned to a processor, for so long, and until all are
/// done.
///
/// \par Throws  `std::runtime_error`: a worker failed, the run took too long, or not all came out that went in
team_result run_team(const team_plan& plan);

}  // namespace bench
