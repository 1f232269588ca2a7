// SPDX-License-Identifier: Apache-2.0

// Hostile bytes before an inspector: whatever a file in /dev/shm holds, and whatever happens to it meanwhile, cutting
// it short included, every call returns, or throws `queue_error`. For libFuzzer; a sanitizer watches.
//
// The input is a list of instructions: first some that change the object, then calls, with changes in between, or made
// by another thread at the same time.

#include "hostile.hpp"

#include <promisqs/inspector.hpp>
#include <promisqs/queue.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;
using promisqs::inspector;
using promisqs_fuzz::bytes;
using promisqs_fuzz::intruder;

struct element {
    std::array<std::uint64_t, 40> words;
};

/// A queue whose users were killed, or which one still has open, with messages in it.
template <class T>
void make_queue(const std::string& name, std::uint8_t shape) {
    using queue = promisqs::shmem_queue<T>;
    auto first = queue::create(name, 1 + shape % 4U, {.life = promisqs::lifetime::keep, .participants = 2});
    for (int i = 0; i < shape / 4 % 8; ++i) static_cast<void>(first.push(T{}));
    for (int i = 0; i < shape / 32; ++i) static_cast<void>(first.pop());
}

// Reads all of it, so that a sanitizer sees what is not there.
void read(std::span<const std::byte> message) {
    std::uint64_t sum = 0;
    for (const std::byte one : message) sum += static_cast<std::uint64_t>(one);
    static volatile std::uint64_t sink;
    sink = sum;
}

void use(const std::string& name, inspector& looks, std::optional<promisqs::tap>& follows, bytes& input,
         intruder& other, bool may_cut) {
    switch (const auto what = input.take<std::uint8_t>(); what % 16) {
        case 0: static_cast<void>(looks.look()); break;
        case 1: {
            const std::string schema = looks.facts().schema;
            read(std::as_bytes(std::span(schema)));
            break;
        }
        case 2: static_cast<void>(looks.stats()); break;
        case 3: static_cast<void>(looks.participants()); break;
        case 4:
            if (const auto found = looks.peek(what / 16)) read(found->bytes);
            break;
        case 5:
            for (const auto& one : looks.returned(3)) read(one.bytes);
            break;
        case 6: follows = looks.open_tap(static_cast<promisqs::tap_start>(what / 16 % 3)); break;
        case 7:
        case 8:
            if (follows) read(follows->next().bytes);
            break;
        case 9:
            if (follows) read(follows->next_for(1us).bytes);
            break;
        case 10: {
            const auto all = promisqs::list_queues();
            const bool found = std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
            if (found && looks.look().state == promisqs::queue_state::not_a_queue) other.change(input);
            break;
        }
        case 11:
            if (may_cut && what / 16 % 4 == 0) other.truncate(input.take<std::uint16_t>());
            break;
        default: other.change(input); break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    bytes input({data, size});
    const std::string name = "promisqs_fuzz_" + std::to_string(::getpid());
    ::shm_unlink(("/" + name).c_str());
    const auto shape = input.take<std::uint8_t>();
    const auto before = input.take<std::uint8_t>();
    if (before % 2 == 0) {
        make_queue<std::uint64_t>(name, shape);
    } else {
        make_queue<element>(name, shape);
    }
    intruder other(name);
    for (int changes = before / 2 % 8; changes > 0; --changes) other.change(input);
    switch (before / 2 % 32) {
        case 28: other.randomise(input.take<std::uint32_t>(), false); break;
        case 29: other.randomise(input.take<std::uint32_t>(), true); break;
        case 30: other.zero(); break;
        case 31: other.truncate(input.take<std::uint16_t>()); break;
        default: break;
    }
    inspector looks(name);
    std::optional<promisqs::tap> follows;
    std::optional<std::jthread> changing;
    // Then it is not cut short: that would hit the other thread itself.
    if (before / 64 == 3) {
        changing.emplace(
            [&other, seed = input.take<std::uint32_t>()] { promisqs_fuzz::change_meanwhile(other, seed); });
    }
    for (int calls = 0; input.any() && calls < 200; ++calls) {
        try {
            use(name, looks, follows, input, other, !changing);
        } catch (const promisqs::queue_error&) {}
    }
    changing.reset();
    ::shm_unlink(("/" + name).c_str());
    return 0;
}
