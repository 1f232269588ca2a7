// SPDX-License-Identifier: Apache-2.0

// Hostile bytes: whatever a queue's shared memory object holds when it is opened, and whatever it is overwritten with
// while it is in use, `open` refuses it, or every call stays inside the mapping and returns. For libFuzzer; a sanitizer
// watches.
//
// The input is a list of instructions: first some that change the object before it is opened, then calls, with changes
// in between, or made by another thread at the same time.

#include <promisqs/queue.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/untyped_queue.hpp>
#include <promisqs/wait_any.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using queue = promisqs::shmem_queue<std::uint64_t>;
using namespace std::chrono_literals;

/// What is left of the input; zeroes behind its end.
class bytes {
public:
    explicit bytes(std::span<const std::uint8_t> input) noexcept : input_(input) {}

    [[nodiscard]] bool any() const noexcept { return !input_.empty(); }

    template <class Number>
    Number take() noexcept {
        Number number{};
        const std::size_t size = std::min(sizeof number, input_.size());
        std::memcpy(&number, input_.data(), size);
        input_ = input_.subspan(size);
        return number;
    }

private:
    std::span<const std::uint8_t> input_;
};

/// The object, as somebody sees it who does not care for the rules.
class intruder {
public:
    explicit intruder(const std::string& name) : descriptor_(::shm_open(("/" + name).c_str(), O_RDWR | O_CLOEXEC, 0)) {
        struct ::stat found {};
        if (descriptor_ < 0 || ::fstat(descriptor_, &found) != 0) std::abort();
        size_ = static_cast<std::size_t>(found.st_size);
        memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
        if (memory_ == MAP_FAILED) std::abort();
    }
    intruder(const intruder&) = delete;
    intruder& operator=(const intruder&) = delete;
    ~intruder() {
        ::munmap(memory_, size_);
        ::close(descriptor_);
    }

    /// Changes something, as the input says. Values near those that are there are the ones that get far.
    void change(bytes& input) noexcept {
        const auto how = input.take<std::uint8_t>();
        // Most of it is schema and reserve: the header, the counters, an entry's words and the slots are what matters.
        constexpr std::size_t interesting[] = {0,    8,    12,   16,   24,   32,   40,   48,   56,   64,   72,  76,
                                               80,   88,   96,   104,  112,  132,  256,  384,  768,  776,  896, 920,
                                               1152, 1184, 1192, 1200, 1208, 1280, 1312, 1320, 1328, 1336, 1408};
        const std::size_t place = how % 4 == 0   ? input.take<std::uint16_t>() / 8 * 8
                                  : how % 4 == 1 ? slots() + input.take<std::uint8_t>() * 8U
                                                 : interesting[input.take<std::uint8_t>() % std::size(interesting)];
        if (place + 8 > size_) return;
        std::uint64_t word = 0;
        std::memcpy(&word, static_cast<std::byte*>(memory_) + place, 8);
        switch (how / 4 % 6) {
            case 0: word = 0; break;
            case 1: word = ~std::uint64_t{0}; break;
            case 2: word += static_cast<std::uint64_t>(input.take<std::int8_t>()); break;
            case 3: word ^= std::uint64_t{1} << (input.take<std::uint8_t>() % 64); break;
            case 4: word += std::uint64_t{256} * static_cast<std::uint64_t>(input.take<std::int8_t>()); break;
            default: word = input.take<std::uint64_t>(); break;
        }
        std::memcpy(static_cast<std::byte*>(memory_) + place, &word, 8);
    }

    /// Cuts the object short; only while nobody else has mapped it, because that can't be survived.
    void truncate(std::size_t size) noexcept {
        if (size < size_ && ::ftruncate(descriptor_, static_cast<::off_t>(size)) == 0) size_ = size;
    }
    void zero() noexcept { std::memset(memory_, 0, size_); }
    /// Nothing is left of it, except perhaps what makes it look like a queue.
    void randomise(std::uint32_t seed, bool keep_header) noexcept {
        std::minstd_rand random(seed);
        auto* const all = static_cast<std::byte*>(memory_);
        std::generate(all + (keep_header ? 256 : 0), all + size_,
                      [&] { return static_cast<std::byte>(random() >> 8); });
    }

private:
    // As in the queue that the tests create: behind the schema of a number.
    [[nodiscard]] std::size_t slots() const noexcept { return size_ > 1664 ? 1152 + 2 * 128 + 128 : 1152; }

    int descriptor_;
    std::size_t size_ = 0;
    void* memory_ = nullptr;
};

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

/// Changes the object while others use it.
void change_meanwhile(intruder& other, std::uint32_t seed) {
    std::minstd_rand random(seed);
    for (int changes = 0; changes < 200; ++changes) {
        std::array<std::uint8_t, 12> instruction{};
        for (auto& byte : instruction) byte = static_cast<std::uint8_t>(random() >> 8);
        bytes input(instruction);
        other.change(input);
        if (changes % 16 == 0) std::this_thread::yield();
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
        if (at_once) changing.emplace([&other, seed = input.take<std::uint32_t>()] { change_meanwhile(other, seed); });
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
