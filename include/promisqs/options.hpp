// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/platform.hpp>  // first

#include <chrono>
#include <cstdint>

namespace promisqs {

/// When the shared memory object goes away.
enum class lifetime : std::uint32_t {
    /// The last handle to be closed removes it, messages and all. If all users are killed, the queue stays until the
    /// next user closes it, or calls `remove`.
    remove_on_last_close = 0,
    /// It stays, messages and all, until `remove`, or until the machine restarts.
    keep = 1
};

/// What `open_or_create` does with a queue that no living process uses: its users were killed, or it was to be kept.
enum class abandoned_queue : std::uint8_t {
    reuse,      ///< opens it, messages and all
    start_over  ///< gives an empty queue of that name. What was there is lost, whatever its type and capacity
};

/// Whether the memory should lie on huge pages (2 MiB on x86-64), which saves address translations in large queues.
enum class huge_pages : std::uint8_t {
    never,   ///< ordinary pages
    prefer,  ///< huge pages where the kernel grants them at once, else ordinary pages, silently
    require  ///< huge pages, or `queue_error` with `errc::no_memory`
};

/// How this handle maps the queue. It concerns the calling process alone, so `open` takes it too.
struct memory_options {
    /// Set up the page tables now, so that no message pays for a page fault later.
    bool prefault = false;
    /// Keep the queue in physical memory (`mlock`). RLIMIT_MEMLOCK (`ulimit -l`) is the limit.
    bool lock = false;
    huge_pages huge = huge_pages::never;
};

/// How a queue is created. A process that opens it later gets what its creator chose: see `strict`, and
/// `shmem_queue::actual_options`.
struct options {
    /// File permissions of the shared memory object, as in `chmod`: 0600 to 0777 (octal), reading and writing for the
    /// owner included. Exactly these: the umask is not applied. Users need both reading and writing.
    std::uint32_t permissions = 0600;
    lifetime life = lifetime::remove_on_last_close;
    /// The most participants at once, 1 to 65536. A thread counts once for each handle through which it pushes or pops;
    /// copies of a handle count as one. Each costs 128 bytes.
    std::uint32_t participants = 256;
    /// Drop a message once this many consumers have died holding it (a poison message). 1 to 7; 0: never.
    std::uint32_t max_deaths = 3;
    /// Only one thread at a time pushes, or pops. Its claims are then plain stores. The first thread that does so
    /// through a handle has the role until it ends, closes the handle, or dies. A second one gets `errc::role_taken`.
    bool single_producer = false;
    bool single_consumer = false;
    memory_options memory = {};
    /// For `open_or_create`.
    abandoned_queue abandoned = abandoned_queue::reuse;
    /// For `open_or_create`: it is an error, `errc::options_differ`, if the queue that it finds was created with other
    /// permissions, another lifetime, number of participants or max_deaths, or other declarations of a single role.
    bool strict = false;
};

/// How a handle waits for a message, or for room. It looks again and again: first alone on its processor, then letting
/// other threads run in between. At last it sleeps in the kernel until another participant wakes it.
///
/// bench/README.md has the figures behind the four policies.
struct wait_policy {
    /// How many pause instructions lie between two looks, some 5 to 50 ns each; more than `most_pauses` count as that
    /// many. With few, a message is seen at once. With many, the cache line that the other role writes is left alone,
    /// so messages stream.
    std::uint32_t pauses;
    /// How long to spin at the beginning of each wait; 0, or less: not at all.
    std::chrono::nanoseconds spin;
    /// How long, after that, to yield the processor between two looks; 0, or less: not at all.
    std::chrono::nanoseconds yield;
    /// How many pause instructions to make before the first look of a wait, if the thread has moved several messages
    /// since its last wait. Then there is a stream, which flows better if one stays behind. 0: none. Calls that do not
    /// wait do the same, with 64 at most, before they say that there is nothing, or no room.
    std::uint32_t in_a_stream = 0;
    /// Whether a thread that finds its messages as soon as it has yielded leaves the spinning out, and yields at once:
    /// the other role then shares its processor. It spins once in 64 waits, until that pays off again. In waits for one
    /// queue, not in `wait_any`.
    bool adaptive = false;

    /// They take a few milliseconds. A wait may overlook for so long that its time is over, or a stop is requested.
    static constexpr std::uint32_t most_pauses = 65536;

    /// For a thread with a processor to spare: reacts within the time of one cache miss for a millisecond, then sleeps.
    static constexpr wait_policy lowest_latency() noexcept {
        using namespace std::chrono_literals;
        return {1, 50us, 1ms};
    }
    /// For steady streams: leaves the other role alone for a microsecond or two at a time, and then catches up.
    static constexpr wait_policy stream() noexcept {
        using namespace std::chrono_literals;
        return {64, 50us, 50us};
    }
    /// For more threads than processors, or where power counts: lets other threads run at once, and sleeps soon.
    static constexpr wait_policy friendly() noexcept {
        using namespace std::chrono_literals;
        return {1, 0us, 1us};
    }
    /// The default: low latency for single messages, throughput in a stream.
    static constexpr wait_policy balanced() noexcept {
        using namespace std::chrono_literals;
        return {1, 5us, 65us, 64, true};
    }
};

}  // namespace promisqs
