// SPDX-License-Identifier: Apache-2.0
#pragma once

// In the copies of the headers that `weaken` makes, every memory order is wrapped in `order_at`, so that one program
// can be told, each time that it runs, which of them to weaken.

#include <array>
#include <atomic>

namespace promisqs_test {

struct weakened_order {
    int place = -1;  // of the order in the headers, counted by `weaken`; -1: none
    std::memory_order order = std::memory_order_relaxed;
};
inline weakened_order weakened;
inline std::array<bool, 256> reached{};  // which of the places

template <int Place>
inline std::memory_order order_at(std::memory_order written) noexcept {
    reached[Place] = true;
    return weakened.place == Place ? weakened.order : written;
}

}  // namespace promisqs_test
