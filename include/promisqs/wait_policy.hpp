// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace promisqs {

/// How a handle waits for a message, or for room: it looks again and again, for a while by itself, then letting others run in between; at
/// last it sleeps in the kernel until it is woken.
///
/// The figures behind the ready-made ones are in bench/README.md.
struct wait_policy {
    /// How often the processor is told to pause between two looks; 0 and more, some 5 to 50 ns each. Few: a message is seen at once.
    /// Many: the line that the other side writes is left alone meanwhile, so that messages stream.
    std::uint32_t pauses;
    /// How long to look so, at the beginning of each wait; 0: not at all.
    std::chrono::nanoseconds spin;
    /// How long, after that, to let other threads of the same processor run between two looks.
    std::chrono::nanoseconds yield;
    /// How often to pause before the first look of a wait, if several messages have been moved since the last wait: then there is a
    /// stream, which flows better if one stays behind; 0: not at all.
    std::uint32_t in_a_stream = 0;

    /// For whoever has a processor to spare: reacts within a cache line's way for a millisecond, and then sleeps.
    static constexpr wait_policy lowest_latency() noexcept {
        using namespace std::chrono_literals;
        return {1, 50us, 1ms};
    }
    /// For steady streams: leaves the other side alone for a microsecond or two at a time, and catches up then.
    static constexpr wait_policy stream() noexcept {
        using namespace std::chrono_literals;
        return {64, 50us, 50us};
    }
    /// For more threads than processors, or where power counts: lets others run at once, and sleeps soon.
    static constexpr wait_policy friendly() noexcept {
        using namespace std::chrono_literals;
        return {1, 0us, 1us};
    }
    /// What a handle does that was told nothing: reacts as soon to single messages, and leaves the other side alone in a stream.
    static constexpr wait_policy balanced() noexcept {
        using namespace std::chrono_literals;
        return {1, 5us, 65us, 64};
    }
};

}  // namespace promisqs
