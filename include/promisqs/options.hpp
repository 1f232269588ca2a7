// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace promisqs {

/// When the shared memory object goes away.
enum class lifetime : std::uint32_t {
    /// The last handle to be closed removes it, messages and all. A queue whose users were all killed stays until somebody
    /// opens and closes it, or calls `remove`.
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
    /// File permissions of the shared memory object, as in `chmod`: 0600 to 0777 (octal), reading and writing for the owner
    /// included. Exactly these; the umask is not applied. Users need both reading and writing.
    std::uint32_t permissions = 0600;
    lifetime life = lifetime::remove_on_last_close;
    /// How many participants may use the queue at once: threads of all processes together, counted once for each handle
    /// (not each copy of one) through which they push or pop. 1 to 65536; each costs 128 bytes.
    std::uint32_t participants = 256;
    /// The how manieth death of a consumer with a message in its hands has it taken for the cause, and dropped: 1 to 7; 0: none.
    std::uint32_t max_deaths = 3;
    /// Whether one thread at a time pushes, or pops: its claims are then plain stores. The first that does so through a handle has that
    /// side until it ends, closes the handle, or dies; a second one gets `errc::side_taken`.
    bool single_producer = false;
    bool single_consumer = false;
    memory_options memory = {};
};

}  // namespace promisqs
