// SPDX-License-Identifier: Apache-2.0
#pragma once

// Double entry for messages whose producers and consumers are killed: what each was about to push, has pushed, and has
// popped, written down in a memory of its own, which the processes share with those that they fork.

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

namespace promisqs_test {

/// A message that shows whether it is whole.
struct sealed_message {
    std::uint64_t number;
    std::array<std::uint64_t, 63> check;  // a copy that takes a while

    static constexpr std::uint64_t seal(std::uint64_t number, std::size_t i) {
        return (number + i + 1) * 0x9E37'79B9'7F4A'7C15U;
    }
    void fill(std::uint64_t with) {
        number = with;
        for (std::size_t i = 0; i < check.size(); ++i) check[i] = seal(with, i);
    }
    static sealed_message make(std::uint64_t number) {
        sealed_message result{};
        result.fill(number);
        return result;
    }
    [[nodiscard]] bool whole() const {
        for (std::size_t i = 0; i < check.size(); ++i) {
            if (check[i] != seal(number, i)) return false;
        }
        return true;
    }
};

/// Zeroes at first; shared with the processes that are forked from now on.
template <class T>
class shared_array {
public:
    explicit shared_array(std::size_t size) : size_(size) {
        void* const memory =
            ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        first_ = static_cast<T*>(memory);
    }
    shared_array(const shared_array&) = delete;
    shared_array& operator=(const shared_array&) = delete;
    ~shared_array() { ::munmap(first_, bytes()); }

    [[nodiscard]] T& operator[](std::size_t i) const noexcept { return first_[i]; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    [[nodiscard]] std::size_t bytes() const noexcept { return size_ * sizeof(T); }

    T* first_ = nullptr;
    std::size_t size_;
};

/// What the ledger comes to.
struct balance {
    std::uint64_t pushed = 0;         ///< messages whose push has returned
    std::uint64_t cut_short = 0;      ///< whose producer was killed in the middle of its push: they may be there or not
    std::uint64_t excused_lost = 0;   ///< a killed consumer was given them, and had not written them down
    std::uint64_t excused_twice = 0;  ///< a killed consumer had written them down, and not yet released
    std::uint64_t lost = 0;
    std::uint64_t twice = 0;
    std::uint64_t torn = 0;
    std::uint64_t unknown = 0;    ///< popped, but never pushed
    std::uint64_t in_excess = 0;  ///< pushes cut short, more than killed producers can have begun
    std::vector<std::string> complaints;

    void complain(const std::string& text) {
        if (complaints.size() < 20) complaints.push_back(text);
    }
    [[nodiscard]] bool holds() const { return lost + twice + torn + unknown + in_excess == 0; }

    balance& operator+=(const balance& other) {
        pushed += other.pushed;
        cut_short += other.cut_short;
        excused_lost += other.excused_lost;
        excused_twice += other.excused_twice;
        lost += other.lost;
        twice += other.twice;
        torn += other.torn;
        unknown += other.unknown;
        in_excess += other.in_excess;
        complaints.insert(complaints.end(), other.complaints.begin(), other.complaints.end());
        return *this;
    }
};

/// One round's double entry. Numbers are given out in blocks, to one incarnation of a producer each.
class ledger {
public:
    static constexpr std::uint64_t block = 256;

    explicit ledger(std::uint64_t messages) : pushes_(messages), pops_(messages), shared_(1) {}

    [[nodiscard]] std::uint64_t size() const noexcept { return pushes_.size(); }

    /// A producer's next number; `last` is the one that it had before, or `no_number`. `no_number`: the ledger is full.
    static constexpr std::uint64_t no_number = ~std::uint64_t{0};
    [[nodiscard]] std::uint64_t number_after(std::uint64_t last) const noexcept {
        if (last != no_number && (last + 1) % block != 0) return last + 1;
        const std::uint64_t first = shared_[0].next.fetch_add(block);
        return first + block <= size() ? first : no_number;
    }
    [[nodiscard]] bool is_full() const noexcept { return shared_[0].next.load() + block > size(); }

    void about_to_push(std::uint64_t number) const noexcept { pushes_[number].store(about); }
    void pushed(std::uint64_t number) const noexcept { pushes_[number].store(done); }
    /// The push has returned, and said that it did nothing.
    void not_pushed(std::uint64_t number) const noexcept { pushes_[number].store(nothing); }

    void popped(const sealed_message& message) const noexcept {
        if (!message.whole()) {
            shared_[0].torn.fetch_add(1);
        } else if (message.number >= size()) {
            shared_[0].unknown.fetch_add(1);
        } else {
            pops_[message.number].fetch_add(1);
        }
    }

    /// A consumer was killed while this message was in its hands and perhaps written down.
    void excuse_second(std::uint64_t number) { ++excused_seconds_[number]; }
    /// A consumer was killed while so many messages may have been given to it that it had not written down.
    void excuse_losses(std::uint64_t count) noexcept { excused_losses_ += count; }
    /// A producer was killed, which pushes so many at once.
    void excuse_cut_short(std::uint64_t count) noexcept { excused_cuts_ += count; }

    /// To be called when nobody writes any more, and the queue has been drained.
    [[nodiscard]] balance judge() const {
        balance result;
        result.torn = shared_[0].torn.load();
        result.unknown = shared_[0].unknown.load();
        if (result.torn != 0) result.complain(std::to_string(result.torn) + " torn messages");
        if (result.unknown != 0) {
            result.complain(std::to_string(result.unknown) + " whole messages with numbers of nobody");
        }
        std::uint64_t missing = 0;
        std::vector<std::string> missing_numbers;
        const std::uint64_t given_out = std::min(size(), shared_[0].next.load());
        for (std::uint64_t n = 0; n < given_out; ++n) {
            const auto push = pushes_[n].load(std::memory_order_relaxed);
            const unsigned pops = pops_[n].load(std::memory_order_relaxed);
            if (push == done) ++result.pushed;
            if (push == about) ++result.cut_short;
            if (push == done && pops == 0) {
                ++missing;
                if (missing_numbers.size() < most) missing_numbers.push_back(std::to_string(n));
            }
            if (push == nothing && pops > 0) {
                ++result.unknown;
                result.complain("message " + std::to_string(n) + " was popped, but not pushed");
            }
            if (pops > 1) judge_second(n, pops, result);
        }
        result.excused_lost = std::min(missing, excused_losses_);
        result.lost = missing - result.excused_lost;
        if (result.lost != 0) {
            std::string text = std::to_string(missing) + " messages lost, where at most " +
                               std::to_string(excused_losses_) + " can have died with their consumers:";
            for (const auto& number : missing_numbers) text += " " + number;
            result.complain(text);
        }
        if (result.cut_short > excused_cuts_) {
            result.in_excess = result.cut_short - excused_cuts_;
            result.complain(
                "the ledger itself is at fault: more pushes were cut short than killed producers had begun");
        }
        return result;
    }

    /// For the next round.
    void clear() {
        const std::uint64_t given_out = std::min(size(), shared_[0].next.load());
        for (std::uint64_t n = 0; n < given_out; ++n) {
            pushes_[n].store(nothing, std::memory_order_relaxed);
            pops_[n].store(0, std::memory_order_relaxed);
        }
        shared_[0].next.store(0);
        excused_seconds_.clear();
        excused_losses_ = 0;
        excused_cuts_ = 0;
    }

private:
    static constexpr std::uint8_t nothing = 0;
    static constexpr std::uint8_t about = 1;
    static constexpr std::uint8_t done = 2;
    static constexpr std::size_t most = 10;

    struct shared_part {
        std::atomic<std::uint64_t> next;
        std::atomic<std::uint64_t> torn;
        std::atomic<std::uint64_t> unknown;
    };

    void judge_second(std::uint64_t number, unsigned pops, balance& result) const {
        const auto excused = excused_seconds_.find(number);
        const unsigned allowed = excused == excused_seconds_.end() ? 0 : excused->second;
        const unsigned more = pops - 1;
        result.excused_twice += std::min(more, allowed);
        if (more <= allowed) return;
        result.twice += more - allowed;
        result.complain("message " + std::to_string(number) + " was written down " + std::to_string(pops) +
                        " times, and " + std::to_string(allowed) + " consumers were killed with it in their hands");
    }

    shared_array<std::atomic<std::uint8_t>> pushes_;
    shared_array<std::atomic<std::uint8_t>> pops_;
    shared_array<shared_part> shared_;
    std::unordered_map<std::uint64_t, unsigned> excused_seconds_;
    std::uint64_t excused_losses_ = 0;
    std::uint64_t excused_cuts_ = 0;
};

}  // namespace promisqs_test
