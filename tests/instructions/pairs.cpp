// SPDX-License-Identifier: Apache-2.0

// Pushes and pops so many messages, one after the other, in one thread; check.sh counts the instructions.
//
//     pairs 8|large|single COUNT
//
// With -D POP_BY_OPTIONAL it pops by the call that returns the message, and large is 1 KiB in place of 64 bytes. In a
// program of its own: what g++ puts in line depends on how often a program has it.

#include <promisqs/queue.hpp>

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

template <std::size_t Size>
struct element {
    std::array<std::uint64_t, Size / 8> words;
};

template <std::size_t Size>
int run(bool single, std::uint64_t count) {
    using queue = promisqs::shmem_queue<element<Size>>;
    auto q = queue::create("promisqs-instructions-" + std::to_string(::getpid()), 1024,
                           {.single_producer = single, .single_consumer = single});
    element<Size> in{};
    element<Size> out{};
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        in.words[0] = i;
        if (!q.push(in)) return 1;
#ifdef POP_BY_OPTIONAL
        const auto message = q.pop();
        if (!message) return 1;
        out.words[0] = message->words[0];
#else
        if (q.try_pop(out) != promisqs::status::ok) return 1;
#endif
        sum += out.words[0];
    }
    return sum == count * (count - 1) / 2 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const std::string what = argv[1];
    const std::uint64_t count = std::strtoull(argv[2], nullptr, 10);
#ifdef POP_BY_OPTIONAL
    constexpr std::size_t large = 1024;
#else
    constexpr std::size_t large = 64;
#endif
    return what == "large" ? run<large>(false, count) : run<8>(what == "single", count);
}
