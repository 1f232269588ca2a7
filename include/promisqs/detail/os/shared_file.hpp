// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/object_name.hpp>
#include <promisqs/detail/os/process.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <utility>

// Default visibility: one instance for each process, even across libraries that are built with -fvisibility=hidden.
#pragma GCC visibility push(default)

namespace promisqs::detail {

/// The descriptor of a queue's file, its locks, and what a `fork` does to them.
///
/// A forked child would share its parent's open file descriptions, and so the locks: it would keep a killed parent
/// looking alive. So this process has a list of all its files. At a fork, each file in use gets a description of its
/// own for the child, and the child closes its copies of the parent's. (`_Fork` and a bare `clone` run no fork
/// handlers: their children must not touch a queue. Nor must other fork handlers.)
class shared_file {
public:
    [[gnu::__cold__]] explicit shared_file(object_name name) : name_(std::move(name)) {
        static_cast<void>(handlers());  // other static objects may be made before `at_start`
        const os::process_lock no_fork;
        next_ = first();
        if (next_ != nullptr) next_->previous_ = this;
        first() = this;
    }

    shared_file(const shared_file&) = delete;
    shared_file& operator=(const shared_file&) = delete;

    [[gnu::__cold__, gnu::__noinline__]] ~shared_file() {
        const os::process_lock no_fork;
        (previous_ != nullptr ? previous_->next_ : first()) = next_;
        if (next_ != nullptr) next_->previous_ = previous_;
        if (descriptor_ >= 0) os::close(descriptor_);
        if (observer_ >= 0) os::close(observer_);
    }

    /// Takes over a descriptor. The caller holds the process lock, and has held it since before it opened the file, so
    /// that no fork comes in between.
    void adopt(int descriptor) noexcept { descriptor_ = descriptor; }

    [[nodiscard]] const object_name& name() const noexcept { return name_; }

    /// -1 before `adopt`, and in a forked child that could not get a description of its own.
    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    /// Why there is no descriptor, as an `errno`.
    [[nodiscard]] int lost_because() const noexcept { return lost_because_; }

    /// A number for this file in this process, once it has been joined. No two files get the same.
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

    /// How many forks lie between this process and the first that used the library. The caller holds the process lock.
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

    /// A descriptor of the file with a description of its own; -1 on failure. The caller holds the process lock.
    [[nodiscard, gnu::__cold__]] int reopen() const noexcept {
        const int opened = os::reopen(descriptor_);
        if (opened >= 0 || descriptor_ < 0) return opened;
        const int error = errno;
        // Where there is no /proc, as after a `chroot`, the name may still lead there.
        const int named = name_.open();
        if (named >= 0 && os::is_same_file(named, descriptor_)) return named;
        if (named >= 0) os::close(named);
        errno = error;
        return -1;
    }

    /// Counts this file among the queue's users: the shared `users` lock of docs/layout.md.
    ///
    /// \return  0, or an `errno`; EAGAIN while the last user removes the queue
    [[nodiscard, gnu::__cold__]] int join() noexcept {
        const os::process_lock no_fork;
        if (const int error = open_observer()) return error;
        const int error = lock(layout::users_byte, os::lock_kind::shared);
        in_use_ = error == 0;
        if (id_ == 0) id_ = next_id()++;
        return error;
    }
    /// Ends what `join` began.
    [[gnu::__cold__]] void part() noexcept {
        const os::process_lock no_fork;
        in_use_ = false;
        unlock(layout::users_byte);
    }

    /// A second descriptor of the file, with a description of its own, on which a recovery takes its locks. So the
    /// locks of this process's participants are in its way, as those of other processes are.
    ///
    /// `join` opens it, and a forked child opens its own at once: later the process may have no descriptors left, or
    /// have given up its privileges.
    ///
    /// \return  -1 if it can't be opened; see `lost_because`
    [[nodiscard]] int observer() noexcept {
        const os::process_lock no_fork;
        static_cast<void>(open_observer());
        return observer_;
    }

    /// Threads of one process share the observer and its locks, so only one at a time may take locks on it. False:
    /// another thread does.
    [[nodiscard]] bool begin_observing() noexcept {
        // [F1] acquire, pairs with [F2]: the locks of the thread before are dropped when ours are taken.
        // Relaxed would let it drop a byte that we lock: both lock with the same description.
        return observing_.exchange(1, std::memory_order_acquire) == 0;
    }
    void end_observing() noexcept {
        // [F2] release, pairs with [F1]: our locks are dropped before the next thread takes its own.
        // Relaxed would let the next thread believe that it holds a byte, which we then unlock.
        observing_.store(0, std::memory_order_release);
    }

    /// The mutex of `os::process_lock`.
    static os::process_mutex& process_mutex() noexcept { return os::process_mutex::instance(); }

private:
    // The list of all files of this process; under the process lock.
    static shared_file*& first() noexcept {
        static shared_file* head = nullptr;
        return head;
    }
    static std::uint64_t& next_id() noexcept {
        // Libraries that are loaded apart from each other may have one each after all: then each gives other ids.
        static std::uint64_t next = (reinterpret_cast<std::uintptr_t>(&next) << 16) + 1;
        return next;
    }
    [[gnu::__cold__]] static int handlers() {
        static const int once = os::at_fork(&before_fork, &after_fork_in_parent, &after_fork_in_child);
        return once;
    }
    // Before there are threads: one may fork while another one first uses the library.
    static inline const int at_start = handlers();

    [[nodiscard, gnu::__cold__]] int open_observer() noexcept {
        if (observer_ >= 0) return 0;
        if (descriptor_ < 0) return EBADF;
        observer_ = reopen();
        return lost_because_ = observer_ < 0 ? errno : 0;
    }

    // Opens the child's descriptions, and takes their users locks, before the fork: at no instant does the child depend
    // on its parent's lock alone.
    [[gnu::__cold__]] static void before_fork() {
        process_mutex().lock();
        for (shared_file* file = first(); file != nullptr; file = file->next_) {
            if (!file->in_use_) continue;
            file->for_child_ = file->reopen();
            file->lost_because_ = file->for_child_ < 0 ? errno : 0;
            if (file->for_child_ < 0) continue;
            static_cast<void>(os::lock_byte(file->for_child_, layout::users_byte, os::lock_kind::shared));
        }
    }

    [[gnu::__cold__]] static void after_fork_in_parent() {
        for (shared_file* file = first(); file != nullptr; file = file->next_) {
            if (file->for_child_ >= 0) os::close(file->for_child_);
            file->for_child_ = -1;
        }
        process_mutex().unlock();
    }

    [[gnu::__cold__]] static void after_fork_in_child() {
        for (shared_file* file = first(); file != nullptr; file = file->next_) {
            if (file->descriptor_ >= 0) os::close(file->descriptor_);
            file->descriptor_ = file->for_child_;
            file->for_child_ = -1;
            if (file->observer_ >= 0) os::close(file->observer_);
            file->observer_ = -1;
            // The thread that was observing is not in this process, which has one thread yet.
            file->observing_.store(0, std::memory_order_relaxed);
            if (file->in_use_) static_cast<void>(file->open_observer());
        }
        ++forks();
        process_mutex().unlock();
    }

    object_name name_;
    int descriptor_ = -1;
    int for_child_ = -1;
    int observer_ = -1;
    // 0 or 1. Not a bool: exchanging one byte takes a library of its own on some machines (libatomic on RISC-V).
    std::atomic<std::uint32_t> observing_ = 0;
    int lost_because_ = 0;
    bool in_use_ = false;
    std::uint64_t id_ = 0;
    shared_file* next_ = nullptr;
    shared_file* previous_ = nullptr;
};

}  // namespace promisqs::detail

#pragma GCC visibility pop
