// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the fuzzers share: the input, and the process that writes into a queue what it pleases.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <thread>

namespace promisqs_fuzz {

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
        constexpr std::size_t interesting[] = {0,    8,    12,   16,   24,   32,   40,   48,   56,   64,  72,  76,
                                               80,   88,   96,   104,  112,  132,  256,  384,  768,  776, 896, 920,
                                               1152, 1184, 1192, 1200, 1208, 1280, 1312, 1320, 1328, 1336};
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

/// Changes the object while others use it.
inline void change_meanwhile(intruder& other, std::uint32_t seed) {
    std::minstd_rand random(seed);
    for (int changes = 0; changes < 200; ++changes) {
        std::array<std::uint8_t, 12> instruction{};
        for (auto& byte : instruction) byte = static_cast<std::uint8_t>(random() >> 8);
        bytes input(instruction);
        other.change(input);
        if (changes % 16 == 0) std::this_thread::yield();
    }
}

}  // namespace promisqs_fuzz
