// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/futex.hpp>

namespace promisqs::detail {

/// Waits a little longer each time: first on the processor, then by letting others run, at last asleep. For riding out
/// another thread's operation, which takes nanoseconds unless that thread was interrupted.
class backoff {
public:
    // Not `cold`: a poller runs this, and does so in tight loops.
    [[gnu::__noinline__]] void operator()() noexcept {
        if (rounds_ < spins) {
            for (unsigned i = 0; i < (1U << (rounds_ / 8)); ++i) os::pause();
        } else if (rounds_ < spins + yields) {
            os::yield();
        } else {
            os::nap();
            return;
        }
        ++rounds_;
    }

private:
    static constexpr unsigned spins = 32;
    static constexpr unsigned yields = 256;
    unsigned rounds_ = 0;
};

}  // namespace promisqs::detail
