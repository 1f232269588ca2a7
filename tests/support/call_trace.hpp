// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a stepped process (single_step.hpp) has gone through once, so that another one gets to the same place quickly.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace promisqs_test {

namespace detail {

#if defined(__x86_64__)
inline constexpr bool has_breakpoints = true;
#else
inline constexpr bool has_breakpoints = false;
#endif

}  // namespace detail

/// The instructions of one run of a call, and how to get to each of them quickly in another one.
class call_trace {
public:
    /// How many instructions the call has. A victim can be stopped before each, and after the last: at 0 to `size()`.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    void add(std::uint64_t counter, bool system_call, bool sleep = false) {
        if (system_call) system_calls_.push_back(size_);
        if (sleep) last_sleep_ = size_;
        ++size_;
        counters_.push_back(counter);
    }

    /// Where to run to on the way to instruction `i`: to the `arrivals`-th arrival at `counter`, which is instruction
    /// `at`.
    struct landmark {
        std::uint64_t counter = 0;
        std::size_t arrivals = 0;  // 0: there is none
        std::size_t at = 0;
    };
    [[nodiscard]] landmark landmark_before(std::size_t i) const { return i < best_.size() ? best_[i] : landmark{}; }

    /// To be called when all instructions are added.
    void find_landmarks() {
        if (!detail::has_breakpoints) return;
        constexpr std::size_t cost_of_arrival = 3;  // in steps
        std::vector<std::pair<std::uint64_t, std::size_t>> order;
        for (std::size_t i = 0; i < size_; ++i) order.emplace_back(counters_[i], i);
        std::ranges::sort(order);
        std::vector<std::size_t> arrivals(size_, 0);
        for (std::size_t k = 0; k < size_; ++k) {
            const std::size_t i = order[k].second;
            // An instruction that repeats itself is stepped once for each time, but arrived at only once.
            const bool repeats = i > 0 && counters_[i - 1] == counters_[i];
            const bool again = k > 0 && order[k - 1].first == order[k].first;
            arrivals[i] = (again ? arrivals[order[k - 1].second] : 0) + (repeats ? 0 : 1);
        }
        landmark best;
        std::size_t best_cost = 0;  // of reaching the instruction in hand
        for (std::size_t i = 0; i < size_; ++i, ++best_cost) {
            const bool repeats = i > 0 && counters_[i - 1] == counters_[i];
            if (!repeats && arrivals[i] * cost_of_arrival <= best_cost) {
                best = {counters_[i], arrivals[i], i};
                best_cost = arrivals[i] * cost_of_arrival;
            }
            best_.push_back(best);
        }
    }

    /// Instructions to stop at: every `stride`-th, from the `phase`-th on, and those before and after each system call.
    [[nodiscard]] std::vector<std::size_t> places(std::size_t stride, std::size_t phase = 0) const {
        std::vector<std::size_t> result{0, size_};
        for (std::size_t i = phase % stride; i <= size_; i += stride) result.push_back(i);
        for (const std::size_t i : system_calls_) result.insert(result.end(), {i, i + 1});
        std::ranges::sort(result);
        const auto rest = std::ranges::unique(result);
        result.erase(rest.begin(), rest.end());
        return result;
    }

    /// The stride with which `places` are about so many, at most.
    [[nodiscard]] std::size_t stride_for(std::size_t most) const noexcept {
        return std::max<std::size_t>(1, size_ / most);
    }

    [[nodiscard]] std::uint64_t counter(std::size_t i) const { return counters_.at(i); }
    [[nodiscard]] std::size_t system_calls() const noexcept { return system_calls_.size(); }
    /// The last system call that waits for a word of memory to change (futex). 0: there is none.
    [[nodiscard]] std::size_t last_sleep() const noexcept { return last_sleep_; }

private:
    std::size_t size_ = 0;
    std::size_t last_sleep_ = 0;
    std::vector<std::uint64_t> counters_;
    std::vector<std::size_t> system_calls_;
    std::vector<landmark> best_;
};

}  // namespace promisqs_test
