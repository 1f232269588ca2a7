// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/os/memory.hpp>
#include <promisqs/detail/os/process.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>

// Of these a process must have only one, though its shared libraries hide what they can.
#pragma GCC visibility push(default)

namespace promisqs::detail {

/// The descriptor of a queue's file, its locks, and what becomes of them in a `fork`.
///
/// A forked child would share the open file description, and so the locks, of its parent: it would keep a killed parent
/// looking alive. So every descriptor is in a list of the process; around a fork, each that is in use gets a description of
/// its own for the child, and the child closes its copies of the parent's. (`_Fork` and a bare `clone` run no fork handlers:
/// their children must not touch a queue. Nor must other fork handlers.)
class shared_file {
public:
    shared_file() {
        static_cast<void>(handlers());  // also when some other static object is made before `at_start`
        const std::lock_guard guard(process_mutex());
        next_ = first();
        if (next_ != nullptr) next_->previous_ = this;
        first() = this;
    }

    shared_file(const shared_file&) = delete;
    shared_file& operator=(const shared_file&) = delete;

    ~shared_file() {
        const std::lock_guard guard(process_mutex());
        (previous_ != nullptr ? previous_->next_ : first()) = next_;
        if (next_ != nullptr) next_->previous_ = previous_;
        if (descriptor_ >= 0) os::close(descriptor_);
        if (observer_ >= 0) os::close(observer_);
    }

    /// Takes over a descriptor, in the same critical section (`process_mutex`) as the call that opened it, so that no fork
    /// comes in between.
    void adopt(int descriptor) noexcept { descriptor_ = descriptor; }

    /// -1 before `adopt`, and in a forked child that could not get a description of its own.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    /// Why there is no descriptor, as an `errno`.
    [[nodiscard]] int lost_because() const noexcept { return lost_because_; }

    /// Names this file, once it has been joined, in this process; never given twice.
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

    /// How many forks lie between this process and the first that used the library; under `process_mutex`.
    static std::uint64_t& forks() noexcept {
        static std::uint64_t count = 0;
        return count;
    }

    [[nodiscard]] int lock(std::int64_t byte, os::lock_kind kind) noexcept {
        return os::lock_byte(descriptor_, byte, kind);
    }
    void unlock(std::int64_t byte) noexcept {
        static_cast<void>(os::lock_byte(descriptor_, byte, os::lock_kind::none));
    }

    /// Counts this file among the queue's users, or no longer: the shared `users` lock of docs/layout.md.
    [[nodiscard]] int join() noexcept {
        const std::lock_guard guard(process_mutex());
        if (const int error = open_observer()) return error;
        const int error = lock(layout::users_byte, os::lock_kind::shared);
        in_use_ = error == 0;
        if (id_ == 0) id_ = next_id()++;
        return error;
    }
    void part() noexcept {
        const std::lock_guard guard(process_mutex());
        in_use_ = false;
        unlock(layout::users_byte);
    }

    /// A second descriptor of the file, with a description of its own, on which a recovery takes its locks: so the locks of this
    /// process's own participants are in its way, as everybody else's are. Opened by `join`, and in a forked child at once, so that it
    /// is there when there are no more descriptors to be had, or privileges have been given up.
    ///
    /// \return  -1 if it could not be opened, then and now; see `lost_because`
    [[nodiscard]] int observer() noexcept {
        const std::lock_guard guard(process_mutex());
        static_cast<void>(open_observer());
        return observer_;
    }

    /// Threads of one process share the observer, and its locks: only one at a time may take some. False: another one is at it.
    [[nodiscard]] bool begin_observing() noexcept { return !observing_.exchange(true, std::memory_order_acquire); }
    void end_observing() noexcept { observing_.store(false, std::memory_order_release); }

    /// Held by whatever must not be torn apart by a fork; only for short sections that don't wait.
    static std::mutex& process_mutex() {
        static auto* const mutex = new std::mutex;  // never destroyed: handles may live as long as the process
        return *mutex;
    }

private:
    static shared_file*& first() noexcept {
        static shared_file* head = nullptr;
        return head;
    }
    static std::uint64_t& next_id() noexcept {
        // Where there are several of these after all (libraries loaded apart from each other), each gives ids of its own.
        static std::uint64_t next = (reinterpret_cast<std::uintptr_t>(&next) << 16) + 1;
        return next;
    }
    static int handlers() {
        static const int once = os::at_fork(&before_fork, &after_fork_in_parent, &after_fork_in_child);
        return once;
    }
    // Before there are threads: one that forks while another one first uses the library must find the handlers in place.
    static inline const int at_start = handlers();

    [[nodiscard]] int open_observer() noexcept {
        if (observer_ >= 0) return 0;
        if (descriptor_ < 0) return EBADF;
        observer_ = os::reopen(descriptor_);
        return lost_because_ = observer_ < 0 ? errno : 0;
    }

    // The description for the child is opened, and its users lock taken, before the fork: there is no instant at which the
    // child counts on nothing but its parent's lock.
    static void before_fork() {
        process_mutex().lock();
        for (shared_file* file = first(); file != nullptr; file = file->next_) {
            if (!file->in_use_) continue;
            file->for_child_ = os::reopen(file->descriptor_);
            file->lost_because_ = file->for_child_ < 0 ? errno : 0;
            if (file->for_child_ < 0) continue;
            static_cast<void>(os::lock_byte(file->for_child_, layout::users_byte, os::lock_kind::shared));
        }
    }

    static void after_fork_in_parent() {
        for (shared_file* file = first(); file != nullptr; file = file->next_) {
            if (file->for_child_ >= 0) os::close(file->for_child_);
            file->for_child_ = -1;
        }
        process_mutex().unlock();
    }

    static void after_fork_in_child() {
        for (shared_file* file = first(); file != nullptr; file = file->next_) {
            if (file->descriptor_ >= 0) os::close(file->descriptor_);
            file->descriptor_ = file->for_child_;
            file->for_child_ = -1;
            if (file->observer_ >= 0) os::close(file->observer_);
            file->observer_ = -1;
            file->observing_.store(false, std::memory_order_relaxed);  // whoever did is not here
            if (file->in_use_) static_cast<void>(file->open_observer());
        }
        ++forks();
        process_mutex().unlock();
    }

    int descriptor_ = -1;
    int for_child_ = -1;
    int observer_ = -1;
    std::atomic<bool> observing_ = false;
    int lost_because_ = 0;
    bool in_use_ = false;
    std::uint64_t id_ = 0;
    shared_file* next_ = nullptr;
    shared_file* previous_ = nullptr;
};

}  // namespace promisqs::detail

#pragma GCC visibility pop
