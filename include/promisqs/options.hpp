// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace promisqs {

/// When the shared memory object goes away.
enum class lifetime : std::uint32_t {
    /// The last handle to be closed removes it, messages and all. A queue whose users were all killed stays until
    /// somebody opens and closes it, or calls `remove`.
    remove_on_last_close = 0,
    /// It stays, messages and all, until `remove`, or until the machine restarts.
    keep = 1
};

/// Whether the memory should lie on huge pages (2 MiB on x86-64), which saves address translations in large queues.
enum class huge_pages : std::uint8_t {
    never,   ///< ordinary pages
    prefer,  ///< huge pages where the kernel grants them at once, ordinary pages where it does not, without a word
    require  ///< huge pages, or `queue_error` with `errc::no_memory`
};

/// How this handle maps the queue. It concerns the calling process alone, so `open` takes it too.
struct memory_options {
    /// Set up the page tables now, so that no message pays for a page fault later.
    bool prefault = false;
    /// Keep the queue in physical memory (`mlock`); bounded by RLIMIT_MEMLOCK (`ulimit -l`).
    bool lock = false;
    huge_pages huge = huge_pages::never;
};

/// How a queue is created. Whoever opens it later gets what its creator chose.
struct options {
    /// File permissions of the shared memory object, as in `chmod`: 0600 to 0777 (octal), reading and writing for the
    /// owner included. Exactly these; the umask is not applied. Users need both reading and writing.
    std::uint32_t permissions = 0600;
    lifetime life = lifetime::remove_on_last_close;
    /// How many participants may use the queue at once: threads of all processes together, counted once for each handle
    /// (not each copy of one) through which they push or pop. 1 to 65536; each costs 128 bytes.
    std::uint32_t participants = 256;
    /// The how manieth death of a consumer with a message in its hands has it taken for the cause, and dropped: 1 to 7;
    /// 0: none.
    std::uint32_t max_deaths = 3;
    /// Whether one thread at a time pushes, or pops: its claims are then plain stores. The first that does so through a
    /// handle has that side until it ends, closes the handle, or dies; a second one gets `errc::role_taken`.
    bool single_producer = false;
    bool single_consumer = false;
    memory_options memory = {};
};

/// How a handle waits for a message, or for room: it looks again and again, for a while by itself, then letting others
/// run in between; at last it sleeps in the kernel until it is woken.
///
/// The figures behind the ready-made ones are in bench/README.md.
struct wait_policy {
    /// How often the processor is told to pause between two looks; 0 and more, some 5 to 50 ns each. Few: a message is
    /// seen at once. Many: the line that the other side writes is left alone meanwhile, so that messages stream.
    std::uint32_t pauses;
    /// How long to look so, at the beginning of each wait; 0: not at all.
    std::chrono::nanoseconds spin;
    /// How long, after that, to let other threads of the same processor run between two looks.
    std::chrono::nanoseconds yield;
    /// How often to pause before the first look of a wait, if several messages have been moved since the last wait:
    /// then there is a stream, which flows better if one stays behind; 0: not at all.
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
    /// What a handle does that was told nothing: reacts as soon to single messages, and leaves the other side alone in
    /// a stream.
    static constexpr wait_policy balanced() noexcept {
        using namespace std::chrono_literals;
        return {1, 5us, 65us, 64};
    }
};

}  // namespace promisqs
