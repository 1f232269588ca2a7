// SPDX-License-Identifier: Apache-2.0

// Pushes and pops so many messages, one after the other, in one thread; check.sh counts the instructions.
//
//     pairs 8|64|single|optional|large COUNT

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

enum class pop_by { out_parameter, optional };

template <std::size_t Size, pop_by PopBy = pop_by::out_parameter>
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
        if constexpr (PopBy == pop_by::optional) {
            const auto message = q.pop();
            if (!message) return 1;
            out.words[0] = message->words[0];
        } else {
            if (q.try_pop(out) != promisqs::status::ok) return 1;
        }
        sum += out.words[0];
    }
    return sum == count * (count - 1) / 2 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const std::string what = argv[1];
    const std::uint64_t count = std::strtoull(argv[2], nullptr, 10);
    if (what == "64") return run<64>(false, count);
    if (what == "optional") return run<8, pop_by::optional>(false, count);
    if (what == "large") return run<1024, pop_by::optional>(false, count);
    return run<8>(what == "single", count);
}
