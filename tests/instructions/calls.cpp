// SPDX-License-Identifier: Apache-2.0

// Makes one kind of call, over and over, in one thread, with messages of several sizes. check.py counts instructions.
//
//     CALL WARM_UP COUNTED
//
// Compiled once for each kind, with -D PROMISQS_CALL=... and one of the structs below: what g++ puts in line depends on
// how often a program has it. Types of this file have all their calls inlined. Those for numbers are inlined where g++
// does so in any program. Prints with what it made the calls, twice for each: the first time does not count.

#include <promisqs/queue.hpp>
#include <promisqs/untyped_queue.hpp>

#include <time.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>

// A clock that goes on by a microsecond whenever it is read, so that counts repeat. The coarse one stands still: by it,
// a call that finds nothing decides whether to look for the dead.
extern "C" int clock_gettime(clockid_t which, timespec* now) noexcept {
    static long microseconds = 0;
    *now = {1000, which == CLOCK_MONOTONIC_COARSE ? 0 : ++microseconds * 1000};
    return 0;
}

namespace {

using promisqs::status;
template <class T>
using queue = promisqs::shmem_queue<T>;

template <std::size_t Size>
struct element {
    std::array<std::uint64_t, Size / 8> words;
};
std::uint64_t& first_word(std::uint64_t& number) { return number; }
const std::uint64_t& first_word(const std::uint64_t& number) { return number; }
template <std::size_t Size>
std::uint64_t& first_word(element<Size>& message) {
    return message.words[0];
}
template <std::size_t Size>
const std::uint64_t& first_word(const element<Size>& message) {
    return message.words[0];
}

void expect(bool answer) {
    if (!answer) std::exit(1);
}

// The size of a span is known to few callers.
std::size_t hidden(std::size_t size) {
    asm("" : "+r"(size));
    return size;
}

// What is counted: `make` returns the first word of what it has popped, or of `in`.

struct call {
    static constexpr bool needs_full_queue = false;
    static constexpr bool is_untyped = false;
};

struct push_try_pop : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        T out;
        expect(q.push(in));
        expect(q.try_pop(out) == status::ok);
        return first_word(out);
    }
};

struct push_pop : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        expect(q.push(in));
        const auto message = q.pop();
        expect(message.has_value());
        return first_word(*message);
    }
};

// The same two, not inlined.

template <class T>
[[gnu::__noinline__]] bool push(queue<T>& q, const T& message) {
    return q.push(message);
}
template <class T>
[[gnu::__noinline__]] status try_pop(queue<T>& q, T& out) {
    return q.try_pop(out);
}
template <class T>
[[gnu::__noinline__]] std::optional<T> pop(queue<T>& q) {
    return q.pop();
}

struct called_push_try_pop : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        T out;
        expect(push(q, in));
        expect(try_pop(q, out) == status::ok);
        return first_word(out);
    }
};

struct called_push_pop : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        expect(push(q, in));
        const auto message = pop(q);
        expect(message.has_value());
        return first_word(*message);
    }
};

struct push_wait_pop_wait : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        expect(q.push_wait(in) == status::ok);
        const auto message = q.pop_wait();
        expect(message.has_value());
        return first_word(*message);
    }
};

struct push_wait_pop_wait_out : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        T out;
        expect(q.push_wait(in) == status::ok);
        expect(q.pop_wait(out) == status::ok);
        return first_word(out);
    }
};

struct push_some_pop_some_1 : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        T out;
        expect(q.push_some(std::span(&in, hidden(1))) == 1);
        expect(q.pop_some(std::span(&out, hidden(1))) == 1);
        return first_word(out);
    }
};

struct push_some_pop_some_32 : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        static std::array<T, 32> batch;
        static std::array<T, 32> room;
        first_word(batch[31]) = first_word(in);
        expect(q.push_some(std::span(batch.data(), hidden(32))) == 32);
        expect(q.pop_some(std::span(room.data(), hidden(32))) == 32);
        return first_word(room[31]);
    }
};

struct push_with_pop_with : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        std::uint64_t seen = 0;
        expect(q.push_with([&](T& slot) { first_word(slot) = first_word(in); }));
        expect(q.pop_with([&](const T& slot) { seen = first_word(slot); }));
        return seen;
    }
};

// By a handle without the type, which knows no size before it runs.
struct untyped_push_try_pop : call {
    static constexpr bool is_untyped = true;
    template <class T>
    static std::uint64_t make(promisqs::untyped_queue& q, const T& in) {
        T out;
        expect(q.push(std::as_bytes(std::span(&in, 1))));
        expect(q.try_pop(std::as_writable_bytes(std::span(&out, 1))) == status::ok);
        return first_word(out);
    }
};

// Calls that find nothing, or no room. A thread that has found something just before looks again, now and then.

struct try_pop_nothing : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        T out;
        expect(q.try_pop(out) == status::empty);
        return first_word(in);
    }
};

struct pop_nothing : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        expect(!q.pop().has_value());
        return first_word(in);
    }
};

struct try_push_full : call {
    static constexpr bool needs_full_queue = true;
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        expect(q.try_push(in) == status::full);
        return first_word(in);
    }
};

struct push_try_pop_nothing : call {
    template <class T>
    static std::uint64_t make(queue<T>& q, const T& in) {
        T out;
        expect(q.push(in));
        expect(q.try_pop(out) == status::ok);
        const std::uint64_t seen = first_word(out);
        expect(q.try_pop(out) == status::empty);
        return seen;
    }
};

// In a function of its own, whose name check.py knows. The first message is made by its caller.
template <class Queue, class T>
[[gnu::__noinline__]] std::uint64_t make_calls(Queue& q, T in, std::uint64_t times) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < times; ++i) {
        first_word(in) = i;
        sum += PROMISQS_CALL::make(q, in);
    }
    return sum;
}

template <class Call, class T>
auto handle_for(const queue<T>& typed) {
    if constexpr (Call::is_untyped) {
        return promisqs::untyped_queue(typed);
    } else {
        return typed;
    }
}

template <class T>
void run(const char* with, bool single, std::uint64_t warm_up, std::uint64_t times) {
    auto q = handle_for<PROMISQS_CALL>(queue<T>::create("promisqs-instructions-" + std::to_string(::getpid()), 64,
                                                        {.single_producer = single, .single_consumer = single}));
    if constexpr (PROMISQS_CALL::needs_full_queue) {
        while (q.push(T{})) {}
    }
    expect(make_calls(q, T{}, warm_up) == warm_up * (warm_up - 1) / 2);
    expect(make_calls(q, T{}, times) == times * (times - 1) / 2);
    std::puts(with);
}

}  // namespace

int main(int argc, char** argv) {
    expect(argc == 3);
    const std::uint64_t warm_up = std::strtoull(argv[1], nullptr, 10);
    const std::uint64_t times = std::strtoull(argv[2], nullptr, 10);
    run<std::uint64_t>("number", false, warm_up, times);
    run<element<8>>("8", false, warm_up, times);
    run<element<16>>("16", false, warm_up, times);
    run<element<24>>("24", false, warm_up, times);
    run<element<64>>("64", false, warm_up, times);
    run<element<256>>("256", false, warm_up, times);
    run<element<1024>>("1024", false, warm_up, times);
    run<element<8192>>("8192", false, warm_up, times);
    run<element<8>>("8,one", true, warm_up, times);
    run<element<64>>("64,one", true, warm_up, times);
}
