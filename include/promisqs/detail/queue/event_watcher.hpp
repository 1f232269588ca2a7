// SPDX-License-Identifier: Apache-2.0
#pragma once

// The thread behind ready_event.hpp, which includes this, unless PROMISQS_COMPILED is defined. One thread serves all
// events of a process, up to as many as it can sleep on; then another one is started.
//
// What the thread, and those that make, rearm and destroy events, tell each other is under a mutex. A forked child has
// no such thread, and perhaps a copy of its mutex that is locked for ever: so the child does not touch it.

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/protocol/ring_state.hpp>
#include <promisqs/detail/queue/any_waiter.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/queue/queue_base.hpp>
#include <promisqs/detail/queue/readiness.hpp>
#include <promisqs/detail/queue/thread_cache.hpp>
#include <promisqs/options.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

// Default visibility: one instance per process, even across libraries built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs::detail {

// NOLINTBEGIN(misc-definitions-in-headers): inline, or in one source file (definition.hpp)

/// The queue of one event.
struct watched_queue {
    explicit watched_queue(const queue_base& watched) : queue(watched), descriptor(os::make_event()) {
        if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "promisqs: no event descriptor");
    }
    watched_queue(const watched_queue&) = delete;
    watched_queue& operator=(const watched_queue&) = delete;
    ~watched_queue() { os::close(descriptor); }

    /// Whether a pop would not have to wait. That of a corrupt queue does not: it throws.
    [[nodiscard]] bool is_ready() const {
        const outcome found = queue.look();
        return found == outcome::ok || found == outcome::closed || found == outcome::corrupt;
    }

    queue_base queue;
    int descriptor;
    // Under the thread's mutex:
    bool is_armed = true;    // the descriptor is to become readable when the queue is ready
    bool is_in_use = false;  // by the thread, in this round
};

/// A thread that sleeps on a number of queues, as any consumer does. It makes the descriptor of each that is ready
/// readable, and then leaves that queue out until it is rearmed.
class watching_thread {
public:
    static constexpr std::size_t most_queues = waiter::most_queues;

    /// Has a thread of this process watch a queue.
    ///
    /// \throws  `std::system_error`, if there is no thread to be had
    static watching_thread& watch(watched_queue& added) {
        const os::process_lock no_fork;
        if (first_ != nullptr && first_->is_parents()) first_ = nullptr;
        for (watching_thread* one = first_; one != nullptr; one = one->next_) {
            if (one->add(added)) return *one;
        }
        auto started = std::make_unique<watching_thread>();
        started->queues_.push_back(&added);
        const os::signals_blocked no_signals;  // in the new thread: they are the program's
        started->thread_ = std::thread([self = started.get()] { self->run(); });
        started->next_ = std::exchange(first_, started.get());
        return *started.release();
    }

    /// In a forked child: whether the thread is its parent's.
    [[nodiscard]] bool is_parents() const noexcept { return forks_ != fork_count; }

    void rearm(watched_queue& one) {
        {
            const os::mutex_lock lock(mutex_);
            if (one.is_ready()) {
                one.is_armed = false;
                os::signal_event(one.descriptor);  // again: an edge-triggered poll reports it once more
                return;
            }
            os::clear_event(one.descriptor);
            if (std::exchange(one.is_armed, true)) return;
        }
        interrupt();
    }

    /// Returns when the thread does not use the queue any more. With the last one, the thread ends.
    void forget(std::unique_ptr<watched_queue> gone) noexcept {
        watched_queue* const key = gone.get();
        const bool is_self = leave_rounds(gone);
        {
            const os::process_lock no_fork;
            const os::mutex_lock lock(mutex_);
            --leaving_;
            std::erase(queues_, key);
            if (!queues_.empty()) return;
            watching_thread** link = &first_;
            while (*link != this) link = &(*link)->next_;
            *link = next_;
            if (is_self) thread_.detach();
        }
        interrupt();
        if (is_self) return;
        thread_.join();
        delete this;
    }

private:
    bool add(watched_queue& added) {
        {
            const os::mutex_lock lock(mutex_);
            if (queues_.size() == most_queues) return false;
            queues_.push_back(&added);
        }
        interrupt();
        return true;
    }

    // Waits for the end of the round in which the thread uses the queue. It is still on the list then, so that the
    // thread does not end.
    //
    // Returns whether it is called by that very thread: it may be calling the callable of `on_dropped`, which may
    // destroy events. The thread can't wait for itself. So it takes over the queue, for the rest of the round.
    bool leave_rounds(std::unique_ptr<watched_queue>& gone) noexcept {
        std::uint32_t round = 0;
        {
            const os::mutex_lock lock(mutex_);
            ++leaving_;
            gone->is_armed = false;
            const bool is_self = thread_.get_id() == std::this_thread::get_id();
            if (!gone->is_in_use) return is_self;
            if (is_self) {
                left_.push_back(std::move(gone));
                return true;
            }
            round = round_.load(std::memory_order_relaxed);
        }
        interrupt();
        while (round_.load(std::memory_order_relaxed) == round) os::sleep_on(round_, round, never);
        return false;
    }

    // Has the thread begin a new round.
    void interrupt() noexcept {
        if (interrupt_.exchange(1, std::memory_order_relaxed) == 0) os::wake(interrupt_, os::everybody);
    }

    /// What the thread looks at until it is interrupted.
    struct queues_of_round {
        std::size_t count = 0;
        std::array<watched_queue*, most_queues> watched{};
        std::array<const queue_base*, most_queues> bases{};
    };

    void run() noexcept {
        os::name_thread("promisqs-events");
        queues_of_round used;
        while (begin_round(used)) {
            if (used.count == 0) {
                os::sleep_on(interrupt_, 0, never);
                continue;
            }
            bool failed = false;
            try {
                // Friendly: a message goes through the user's poll anyway, and each look is at all queues.
                const std::span<const queue_base* const> queues(used.bases.data(), used.count);
                if (!wait_for_message(queues, never, &interrupt_, wait_policy::friendly())) continue;
            } catch (...) {
                failed = true;  // a pop will say what it is
            }
            signal(used, failed);
        }
        if (!thread_.joinable()) delete this;
    }

    // False: the last event is gone.
    bool begin_round(queues_of_round& used) noexcept {
        std::vector<std::unique_ptr<watched_queue>> left;  // destroyed, with their queues, when the mutex is free
        const os::mutex_lock lock(mutex_);
        left.swap(left_);
        interrupt_.store(0, std::memory_order_relaxed);
        round_.fetch_add(1, std::memory_order_relaxed);
        if (leaving_ != 0) os::wake(round_, os::everybody);
        used.count = 0;
        for (watched_queue* one : queues_) {
            one->is_in_use = one->is_armed;
            if (!one->is_armed) continue;
            used.watched[used.count] = one;
            used.bases[used.count++] = &one->queue;
        }
        return !queues_.empty();
    }

    // All that are ready: each round costs a look at all of them.
    void signal(const queues_of_round& used, bool failed) noexcept {
        const os::mutex_lock lock(mutex_);
        for (std::size_t i = 0; i < used.count; ++i) {
            watched_queue& one = *used.watched[i];
            if (!one.is_armed || (!failed && !one.is_ready())) continue;
            one.is_armed = false;
            os::signal_event(one.descriptor);
        }
    }

    // Of this process; under the process lock.
    static constinit inline watching_thread* first_ = nullptr;
    watching_thread* next_ = nullptr;

    const std::uint64_t forks_ = fork_count;
    os::mutex mutex_;
    std::vector<watched_queue*> queues_;
    std::size_t leaving_ = 0;                           // how many threads are forgetting one
    std::vector<std::unique_ptr<watched_queue>> left_;  // destroyed by the thread itself, in the midst of a round
    // All that these two say is said under the mutex: they are there to sleep on.
    std::atomic<std::uint32_t> interrupt_ = 0;
    std::atomic<std::uint32_t> round_ = 0;
    std::thread thread_;
};

/// One event.
class event_watcher {
public:
    /// \throws  `std::system_error`, if there is no descriptor or no thread to be had
    explicit event_watcher(const queue_base& queue)
        : queue_(std::make_unique<watched_queue>(queue)), thread_(watching_thread::watch(*queue_)) {}
    event_watcher(const event_watcher&) = delete;
    event_watcher& operator=(const event_watcher&) = delete;
    ~event_watcher() {
        if (!thread_.is_parents()) thread_.forget(std::move(queue_));
    }

    [[nodiscard]] int descriptor() const noexcept { return queue_->descriptor; }

    void rearm() noexcept {
        if (!thread_.is_parents()) thread_.rearm(*queue_);
    }

private:
    std::unique_ptr<watched_queue> queue_;
    watching_thread& thread_;
};

PROMISQS_DEFINITION std::shared_ptr<event_watcher> start_watching(const queue_base& queue) {
    return std::make_shared<event_watcher>(queue);
}
PROMISQS_DEFINITION int descriptor_of(const event_watcher& watcher) noexcept { return watcher.descriptor(); }
PROMISQS_DEFINITION void rearm(event_watcher& watcher) noexcept { watcher.rearm(); }

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail

#pragma GCC visibility pop
