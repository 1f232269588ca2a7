// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/futex.hpp>
#include <promisqs/detail/queue/stopping.hpp>

#include <atomic>
#include <cstdint>
#include <optional>

namespace promisqs::detail {

/// A word that ends a wait when a stop is requested. The waiter sleeps on it, too, so no other sleeper is disturbed.
class stop_signal {
public:
#if defined(__cpp_lib_jthread)
    explicit stop_signal(const stop_token& token)
        : possible_(token.stop_possible()), callback_(token, request{word_}) {}
#else
    explicit stop_signal(const stop_token& /*token*/) noexcept {}
#endif
    stop_signal(const stop_signal&) = delete;
    stop_signal& operator=(const stop_signal&) = delete;
    ~stop_signal() = default;

    /// Null: a stop can't be requested.
    [[nodiscard]] std::atomic<std::uint32_t>* word() noexcept { return possible_ ? &word_ : nullptr; }

private:
    std::atomic<std::uint32_t> word_ = 0;
    bool possible_ = false;
#if defined(__cpp_lib_jthread)
    struct request {
        std::atomic<std::uint32_t>& word;
        void operator()() const noexcept {
            // [T1] release, pairs with [T2]: what was done before the request is visible to the thread that stops.
            // Relaxed would let that thread miss it.
            word.store(1, std::memory_order_release);
            os::wake(word, os::everybody);
        }
    };
    std::stop_callback<request> callback_;  // the last member: it may run at once
#endif
};

}  // namespace promisqs::detail
