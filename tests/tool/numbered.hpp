// SPDX-License-Identifier: Apache-2.0
#pragma once

// Numbered messages, which processes push, and which are recorded.

#include "support/catch.hpp"
#include "support/process.hpp"
#include "tool/recordings.hpp"

#include <promisqs/queue.hpp>

#include <poll.h>
#include <sys/resource.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_test {

struct numbered {
    std::uint64_t number;
    std::uint64_t check;

    static numbered make(std::uint64_t number) { return {number, number * 0x9E37'79B9'7F4A'7C15U ^ number >> 7}; }
    friend bool operator==(const numbered&, const numbered&) = default;
};
using numbered_queue = promisqs::shmem_queue<numbered>;

/// Pushes the numbers from 0 up to the second argument, and then closes the queue. Before the number in the third one it
/// waits for a byte from the descriptor in the fourth.
inline const role recording_producer("recording-producer", [](const arguments& args) {
    auto q = numbered_queue::open(args.at(0));
    for (std::uint64_t i = 0; i != std::stoull(args.at(1)); ++i) {
        if (args.size() > 2 && i == std::stoull(args.at(2))) signal_pipe::wait(std::stoi(args.at(3)));
        if (q.push_wait(numbered::make(i)) != promisqs::status::ok) return 1;
    }
    q.close();
    return 0;
});

/// Waits for something that another process does.
template <class Condition>
bool wait_until(Condition holds) {
    for (int looks = 0; looks < 1000 * 60 && !holds(); ++looks) ::poll(nullptr, 0, 1);
    return holds();
}

inline void push_numbers(numbered_queue& q, std::uint64_t count, std::uint64_t first = 0) {
    for (std::uint64_t i = first; i != first + count; ++i) REQUIRE(q.push(numbered::make(i)));
}

inline std::vector<std::uint64_t> numbers_in(numbered_queue& q) {
    std::vector<std::uint64_t> found;
    while (const auto message = q.pop()) found.push_back(message->number);
    return found;
}

/// Whether they are whole, and numbered from that number on.
inline bool are_numbered(const recording_content& found, std::uint64_t first = 0) {
    for (const auto& one : found.messages) {
        if (value_of<numbered>(one.bytes) != numbered::make(first++)) return false;
    }
    return true;
}

inline std::vector<std::uint64_t> numbers_between(std::uint64_t first, std::uint64_t end) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t i = first; i < end; ++i) numbers.push_back(i);
    return numbers;
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A limit of the size of files, for programs that are started while it is there.
class file_size_limit {
public:
    explicit file_size_limit(std::uint64_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const ::rlimit wanted{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &wanted);
    }
    file_size_limit(const file_size_limit&) = delete;
    file_size_limit& operator=(const file_size_limit&) = delete;
    ~file_size_limit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

private:
    ::rlimit before_{};
};

}  // namespace promisqs_test
