// SPDX-License-Identifier: Apache-2.0
#pragma once

// Accounts of messages, for tests in which processes die or stand still: what went in, what came out, and what must be
// true of both. Checks throw a `complaint`, so that a test of thousands of trials says of each failed one what it was
// about, and goes on.

#include "catch.hpp"
#include "names.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace promisqs_test {

struct complaint : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void expect(bool holds, const std::string& otherwise) {
    if (!holds) throw complaint(otherwise);
}

/// Handles that victims leave without closing come and go with them; the table of participants is small, so that one
/// that is not taken back is soon missed.
inline constexpr promisqs::options few_participants{.participants = 8};

/// A message that shows whether it is whole.
struct numbered {
    std::uint64_t number;
    std::array<std::uint64_t, 3> check;

    static numbered make(std::uint64_t number) {
        numbered result{number, {}};
        for (std::size_t i = 0; i < result.check.size(); ++i) result.check[i] = (number + i) * 0x9E37'79B9'7F4A'7C15U;
        return result;
    }
    [[nodiscard]] bool whole() const { return check == make(number).check; }
};

using numbered_queue = promisqs::shmem_queue<numbered>;
using numbers = std::vector<std::uint64_t>;

/// A number that no message of this process had yet; later ones are greater.
inline std::uint64_t fresh_number() {
    static std::uint64_t last = 0;
    return ++last;
}

inline std::string text_of(const numbers& list) {
    std::string text = "[";
    for (const std::uint64_t number : list) text += (text.size() > 1 ? " " : "") + std::to_string(number);
    return text + "]";
}

/// The number of a message that came out.
inline std::uint64_t number_of(const numbered& message) {
    expect(message.whole(), "a torn message");
    return message.number;
}

/// How often in a row a `try_` call may answer `would_block` though nobody is in the middle of an operation: once for
/// each position that it clears up.
inline constexpr unsigned patience = 100;

inline promisqs::status push_soon(numbered_queue& q, std::uint64_t number) {
    for (unsigned i = 0; i < patience; ++i) {
        const promisqs::status result = q.try_push(numbered::make(number));
        if (result != promisqs::status::would_block) return result;
    }
    throw complaint("wedged: a push would block, though nobody is in the middle of an operation");
}

inline promisqs::status pop_soon(numbered_queue& q, numbered& out) {
    for (unsigned i = 0; i < patience; ++i) {
        const promisqs::status result = q.try_pop(out);
        if (result != promisqs::status::would_block) return result;
    }
    throw complaint("wedged: a pop would block, though nobody is in the middle of an operation");
}

/// Pushes so many fresh messages, for which there must be room.
inline numbers put_in(numbered_queue& q, std::uint64_t count) {
    numbers result;
    for (std::uint64_t i = 0; i < count; ++i) {
        result.push_back(fresh_number());
        const auto answer = push_soon(q, result.back());
        expect(answer == promisqs::status::ok, "a push said " + std::string(to_string(answer)));
    }
    return result;
}

/// Pops until there is no more.
inline numbers drain(numbered_queue& q) {
    numbers result;
    for (numbered message{};;) {
        const auto answer = pop_soon(q, message);
        if (answer != promisqs::status::ok) {
            const bool honest = answer == promisqs::status::empty || answer == promisqs::status::closed;
            expect(honest, "a pop said " + std::string(to_string(answer)));
            return result;
        }
        result.push_back(number_of(message));
        expect(result.size() < 1000, "there is no end of messages");
    }
}

/// The empty queue takes its capacity and not one more, and hands it out again in order, for a few laps.
inline void expect_full_capacity(numbered_queue& q) {
    const std::uint64_t capacity = q.capacity();
    for (int lap = 0; lap < 3; ++lap) {
        const numbers all = put_in(q, capacity);
        const auto answer = push_soon(q, fresh_number());
        expect(answer == promisqs::status::full, "after its capacity, a push said " + std::string(to_string(answer)));
        expect(q.size() == capacity, "a full queue's size is " + std::to_string(q.size()));
        const numbers back = drain(q);
        expect(back == all, "pushed " + text_of(all) + ", popped " + text_of(back));
        expect(q.empty(), "an empty queue's size is " + std::to_string(q.size()));
    }
}

/// Whether both hold the same numbers; none twice, if one holds none twice.
inline bool same_numbers(numbers a, numbers b) {
    std::ranges::sort(a);
    std::ranges::sort(b);
    return a == b;
}

inline bool holds(const numbers& list, std::uint64_t number) { return std::ranges::count(list, number) > 0; }
inline numbers without(numbers list, std::uint64_t number) {
    if (const auto it = std::ranges::find(list, number); it != list.end()) list.erase(it);
    return list;
}

/// The index of the slot that the next push takes, as another program would read it from the shared memory.
class position_reader {
public:
    explicit position_reader(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    position_reader(const position_reader&) = delete;
    position_reader& operator=(const position_reader&) = delete;
    ~position_reader() { ::close(file_); }

    [[nodiscard]] std::uint64_t next_push(std::uint64_t capacity) const {
        namespace layout = promisqs::detail::layout;
        const promisqs::detail::ticket_space tickets(capacity);
        std::uint64_t tail = 0;
        const auto at = static_cast<::off_t>(layout::counters_offset + offsetof(layout::counters, tail));
        if (::pread(file_, &tail, sizeof tail, at) != sizeof tail) throw std::runtime_error("can't read the queue");
        return tickets.index(tickets.ticket_of(tail));
    }

private:
    int file_;
};

/// Pushes and pops until the next push of the empty queue takes the slot `index`.
inline void turn_to(numbered_queue& q, const position_reader& position, std::uint64_t index) {
    while (position.next_push(q.capacity()) != index % q.capacity()) {
        const numbers one = put_in(q, 1);
        expect(drain(q) == one, "a message went astray between two trials");
    }
}

/// What a victim tells of its call; in memory that the process shares with its children.
class shared_answer {
public:
    struct content {
        bool returned;
        bool done;  // what the call returned
        numbered message;
    };
    shared_answer()
        : memory_(::mmap(nullptr, sizeof(content), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
        if (memory_ == MAP_FAILED) throw std::bad_alloc();
    }
    shared_answer(const shared_answer&) = delete;
    shared_answer& operator=(const shared_answer&) = delete;
    ~shared_answer() { ::munmap(memory_, sizeof(content)); }

    [[nodiscard]] content& operator*() const noexcept { return *static_cast<content*>(memory_); }
    [[nodiscard]] content* operator->() const noexcept { return static_cast<content*>(memory_); }

private:
    void* memory_;
};

/// Ends this process, and removes the queue, when a trial hangs: a queue that is wedged is an answer too, and not one
/// to wait for. It says nothing about how long a trial should take.
class hang_guard {
public:
    hang_guard(const std::string& path, const std::string& trial) {
        std::snprintf(path_, sizeof path_, "%s", path.c_str());
        std::snprintf(text_, sizeof text_, "WEDGED for %u s: %s\n", seconds, trial.c_str());
        ::signal(SIGALRM, &give_up);
        ::alarm(seconds);
    }
    hang_guard(const hang_guard&) = delete;
    hang_guard& operator=(const hang_guard&) = delete;
    ~hang_guard() {
        ::alarm(0);
        ::signal(SIGALRM, SIG_DFL);
    }

private:
    static constexpr unsigned seconds = 60;

    static void give_up(int) {
        static_cast<void>(::write(STDERR_FILENO, text_, std::strlen(text_)) > 0);
        ::unlink(path_);
        ::_exit(1);
    }

    static inline char path_[320];
    static inline char text_[512];
};

/// Counts the trials of a test, reports those that failed, and stops after a few of them.
class trials {
public:
    /// Makes one trial. False if it failed.
    template <class Trial>
    bool make(const std::string& path, const std::string& what, Trial trial) {
        ++made_;
        try {
            const hang_guard guard(path, what);
            trial();
            return true;
        } catch (const std::exception& failure) {
            ++failed_;
            UNSCOPED_INFO(what << ": " << failure.what());
            CHECK(failed_ == 0);  // reports the above
            if (failed_ >= most_failures) throw std::runtime_error("too many failures, the rest is left out");
            return false;
        }
    }

    [[nodiscard]] std::size_t made() const noexcept { return made_; }

private:
    static constexpr std::size_t most_failures = 10;
    std::size_t made_ = 0;
    std::size_t failed_ = 0;
};

inline promisqs::untyped_queue untyped(const numbered_queue& q) { return promisqs::untyped_queue(q); }
inline std::span<const std::byte> bytes_of(const numbered& message) { return std::as_bytes(std::span(&message, 1)); }
inline std::span<std::byte> room_in(numbered& message) { return std::as_writable_bytes(std::span(&message, 1)); }

/// The calls that work on the ring.
struct ring_call {
    enum class kind { pushes, pops, looks };

    const char* name;
    kind what;
    bool (*make)(numbered_queue&, const numbered& message, numbered& out);  // true: it did something
};

inline const std::vector<ring_call>& ring_calls() {
    using q_ref = numbered_queue&;
    using in = const numbered&;
    using out = numbered&;
    static const std::vector<ring_call> all{
        {"push", ring_call::kind::pushes, [](q_ref q, in m, out) { return q.push(m); }},
        {"try_push", ring_call::kind::pushes, [](q_ref q, in m, out) { return q.try_push(m) == promisqs::status::ok; }},
        {"push_with", ring_call::kind::pushes,
         [](q_ref q, in m, out) { return q.push_with([&](numbered& slot) { slot = m; }); }},
        {"pop", ring_call::kind::pops,
         [](q_ref q, in, out o) {
             const auto got = q.pop();
             if (got) o = *got;
             return got.has_value();
         }},
        {"try_pop", ring_call::kind::pops, [](q_ref q, in, out o) { return q.try_pop(o) == promisqs::status::ok; }},
        {"pop_with", ring_call::kind::pops,
         [](q_ref q, in, out o) { return q.pop_with([&](const numbered& slot) { o = slot; }); }},
        {"peek", ring_call::kind::looks,
         [](q_ref q, in, out o) {
             const auto seen = q.peek();
             if (seen) o = *seen;
             return seen.has_value();
         }},
        // The same through a handle without the type, on the same entry.
        {"untyped push", ring_call::kind::pushes, [](q_ref q, in m, out) { return untyped(q).push(bytes_of(m)); }},
        {"untyped push_with", ring_call::kind::pushes,
         [](q_ref q, in m, out) {
             return untyped(q).push_with([&](auto slot) { std::ranges::copy(bytes_of(m), slot.begin()); });
         }},
        {"untyped pop", ring_call::kind::pops, [](q_ref q, in, out o) { return untyped(q).pop(room_in(o)); }},
        {"untyped pop_with", ring_call::kind::pops,
         [](q_ref q, in, out o) {
             return untyped(q).pop_with([&](auto slot) { std::ranges::copy(slot, room_in(o).begin()); });
         }},
    };
    return all;
}

inline const ring_call& ring_call_named(const std::string& name) {
    return *std::ranges::find_if(ring_calls(), [&](const ring_call& one) { return one.name == name; });
}

/// Makes the calling thread a participant of a queue that is empty, so that the first call that matters is not the
/// first.
inline void register_at(numbered_queue& q) {
    numbered none{};
    static_cast<void>(q.try_pop(none));
}

}  // namespace promisqs_test
