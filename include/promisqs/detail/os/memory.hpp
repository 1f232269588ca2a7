// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the system does for mapped memory: barriers across processes, page tables, pages that stay, huge pages.

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace promisqs::detail::os {

/// Has this process take part in the heavy barriers of others. False: the kernel refuses.
inline bool join_heavy_barriers() noexcept {
    return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}
/// Makes each running thread of all processes that have joined pass a full memory barrier, so that these threads need
/// none of their own. False: the kernel refuses.
inline bool heavy_barrier() noexcept { return ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0; }

/// Keeps the compiler and the processor from moving accesses to memory across it.
inline void full_barrier() noexcept { __sync_synchronize(); }

/// Sets up the page tables of a shared mapping.
///
/// \return  0, or an `errno`
inline int prefault(void* address, std::size_t size) noexcept {
    constexpr int populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14
    if (::madvise(address, size, populate_write) == 0) return 0;
    if (errno != EINVAL) return errno;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    for (std::size_t at = 0; at < size; at += page)
        static_cast<void>(static_cast<volatile unsigned char*>(address)[at]);
    return 0;
}

/// Keeps a mapping in physical memory.
///
/// \return  0, or an `errno`
inline int lock_in_memory(void* address, std::size_t size) noexcept { return ::mlock(address, size) == 0 ? 0 : errno; }

inline constexpr std::size_t huge_page = std::size_t{2} << 20;  // bytes

/// An address at which `size` bytes could be mapped on huge pages; null when there is none.
inline void* huge_address(std::size_t size) noexcept {
    void* probe = ::mmap(nullptr, size + huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) return nullptr;
    ::munmap(probe, size + huge_page);
    return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(probe) + huge_page - 1) & ~(huge_page - 1));
}

/// Puts the whole huge pages of a mapping of a reserved shared object onto huge pages, now.
///
/// \return  0, or an `errno`
inline int use_huge_pages(void* address, std::size_t size) noexcept {
    constexpr int collapse = 25;  // MADV_COLLAPSE, Linux 6.1
    if (size < huge_page || reinterpret_cast<std::uintptr_t>(address) % huge_page != 0) return EINVAL;
    if (::madvise(address, size, MADV_HUGEPAGE) != 0) return errno;
    return ::madvise(address, size, collapse) == 0 ? 0 : errno;
}

}  // namespace promisqs::detail::os
