// SPDX-License-Identifier: Apache-2.0

// Hostile bytes: whatever a queue's shared memory object holds when it is opened, and whatever it is overwritten with
// while it is in use, `open` refuses it, or every call stays inside the mapping and returns. For libFuzzer; a sanitizer
// watches.
//
// The input is a list of instructions: first some that change the object before it is opened, then calls, with changes
// in between, or made by another thread at the same time.

#include "hostile.hpp"

#include <promisqs/queue.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/untyped_queue.hpp>
#include <promisqs/wait_any.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using queue = promisqs::shmem_queue<std::uint64_t>;
using promisqs_fuzz::bytes;
using promisqs_fuzz::intruder;
using namespace std::chrono_literals;

void use(queue& q, bytes& input, intruder& other) {
    std::uint64_t out = 0;
    std::array<std::uint64_t, 3> some{};
    for (int calls = 0; input.any() && calls < 200; ++calls) {
        const auto what = input.take<std::uint8_t>();
        switch (what % 24) {
            case 0: static_cast<void>(q.push(1)); break;
            case 1: static_cast<void>(q.pop()); break;
            case 2: static_cast<void>(q.try_push(2)); break;
            case 3: static_cast<void>(q.try_pop(out)); break;
            case 4: static_cast<void>(q.peek()); break;
            case 5: static_cast<void>(q.try_peek(out)); break;
            case 6:
                static_cast<void>(q.push_with([&](std::uint64_t& slot) {
                    slot = 3;
                    other.change(input);
                }));
                break;
            case 7:
                static_cast<void>(q.pop_with([&](const std::uint64_t& slot) {
                    out = slot;
                    other.change(input);
                }));
                break;
            case 8:
                static_cast<void>(q.try_pop_with([](const std::uint64_t&) { throw std::runtime_error("not today"); }));
                break;
            case 9: static_cast<void>(q.recover()); break;
            case 10: static_cast<void>(q.stats()); break;
            case 11: static_cast<void>(q.size() + static_cast<std::uint64_t>(q.full()) + q.capacity()); break;
            case 12: q.close(); break;
            case 13: static_cast<void>(q.push_some(some)); break;
            case 14: static_cast<void>(q.pop_some(some)); break;
            case 15: static_cast<void>(q.push_all_wait_for(std::span(some).first(2), 10us)); break;
            case 16: static_cast<void>(q.push_wait_for(4, 10us)); break;
            case 17: static_cast<void>(q.pop_wait_for(out, 10us)); break;
            case 18: static_cast<void>(promisqs::wait_any(q, 10us)); break;
            default: other.change(input); break;
        }
    }
}

/// The same without the type: also where the size of the elements was changed, or their schema.
void use_bytes(const std::string& name, bytes& input, intruder& other) {
    auto q = promisqs::untyped_queue::open(name);
    std::vector<std::byte> message(q.element_size());
    for (int calls = 0; input.any() && calls < 50; ++calls) {
        const auto what = input.take<std::uint8_t>();
        switch (what % 8) {
            case 0: static_cast<void>(q.push(message)); break;
            case 1: static_cast<void>(q.pop(message)); break;
            case 2: static_cast<void>(q.try_peek(message)); break;
            case 3: static_cast<void>(q.pop_some(message)); break;
            case 4: static_cast<void>(q.type()); break;
            case 5:
                for (const promisqs::field& one : q.fields().list()) static_cast<void>(promisqs::get(message, one));
                break;
            default: other.change(input); break;
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    bytes input({data, size});
    const std::string name = "promisqs_fuzz_" + std::to_string(::getpid());
    queue::remove(name);
    const auto shape = input.take<std::uint8_t>();
    {
        auto first = queue::create(name, 1 + shape % 4U, {.life = promisqs::lifetime::keep, .participants = 2});
        for (int i = 0; i < shape / 4 % 8; ++i) static_cast<void>(first.push(7));
        for (int i = 0; i < shape / 32; ++i) static_cast<void>(first.pop());
    }
    intruder other(name);
    const auto before = input.take<std::uint8_t>();
    for (int changes = before % 8; changes > 0; --changes) other.change(input);
    switch (before % 32) {
        case 28: other.randomise(input.take<std::uint32_t>(), false); break;
        case 29: other.randomise(input.take<std::uint32_t>(), true); break;
        case 30: other.zero(); break;
        case 31: other.truncate(input.take<std::uint16_t>()); break;
        default: break;
    }
    const bool at_once = before / 32 % 4 == 3;
    try {
        auto q = queue::open(name);
        std::optional<std::jthread> changing;
        if (at_once)
            changing.emplace(
                [&other, seed = input.take<std::uint32_t>()] { promisqs_fuzz::change_meanwhile(other, seed); });
        for (;;) {
            try {
                use(q, input, other);
                break;
            } catch (const std::exception&) {
                if (!input.any()) break;
            }
        }
    } catch (const promisqs::queue_error&) {}
    try {
        use_bytes(name, input, other);
    } catch (const promisqs::queue_error&) {
    } catch (const promisqs::schema_error&) {}
    try {
        queue::remove(name);
    } catch (const promisqs::queue_error&) {
        ::shm_unlink(("/" + name).c_str());
    }
    return 0;
}
