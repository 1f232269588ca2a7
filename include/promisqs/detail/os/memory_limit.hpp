// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much memory the control groups of this process grant it.

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>
#include <promisqs/error.hpp>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace promisqs::detail::os {

inline constexpr std::uint64_t no_limit = ~std::uint64_t{0};

/// The beginning of a file of text; empty if it can't be read.
[[gnu::__cold__]] inline std::string read_text(const std::string& path) {
    std::string text(4096, '\0');
    const int file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC));
    const long size = file < 0 ? 0 : ::syscall(SYS_read, file, text.data(), text.size());
    if (file >= 0) close(file);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
}

/// The number that a file holds; `no_limit` if it can't be read, or holds none ("max").
[[gnu::__cold__]] inline std::uint64_t read_limit(const std::string& path) {
    std::uint64_t number = 0;
    bool any = false;
    for (const char c : read_text(path)) {
        if (c < '0' || c > '9') break;
        any = true;
        number = number * 10 + static_cast<std::uint64_t>(c - '0');
    }
    return any ? number : no_limit;
}

/// The least limit of a group and of those that it is in.
///
/// \param root   where the tree of groups is mounted
/// \param group  the path of the group in it. In a container it may be that of the host: then its last folders are
///               missing, and the root is the container's group
[[gnu::__cold__]] inline std::uint64_t limit_of_group(const std::string& root, std::string group, const char* file) {
    std::uint64_t least = no_limit;
    for (;;) {
        while (!group.empty() && group.back() == '/') group.pop_back();
        least = layout::lesser(least, read_limit(root + group + file));
        if (group.empty()) return least;
        group.resize(group.rfind('/') == group.npos ? 0 : group.rfind('/'));
    }
}

/// As `memory_limit`, without swap space.
///
/// \param groups  what /proc/self/cgroup holds
/// \param root    where the trees of groups are mounted
[[gnu::__cold__]] inline std::uint64_t limit_of_groups(std::string_view groups, const std::string& root) {
    std::uint64_t least = no_limit;
    // Each line is "number:controllers:path". The tree of version 2 has the number 0, and names no controllers.
    while (!groups.empty()) {
        const std::string_view line = groups.substr(0, groups.find('\n'));
        groups.remove_prefix(layout::lesser(groups.size(), line.size() + 1));
        const std::size_t first = line.find(':');
        const std::size_t second = first == line.npos ? first : line.find(':', first + 1);
        if (second == line.npos) continue;
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        const std::string path(line.substr(second + 1));
        if (controllers.empty()) least = layout::lesser(least, limit_of_group(root, path, "/memory.max"));
        if (concat({",", controllers, ","}).find(",memory,") != std::string::npos)
            least = layout::lesser(least, limit_of_group(root + "/memory", path, "/memory.limit_in_bytes"));
    }
    return least;
}

/// The most bytes that this process can have before the kernel ends a process of its control group: the least limit of
/// its groups, as far as it can be read, and all swap space, in which shared memory may end.
[[gnu::__cold__]] inline std::uint64_t memory_limit() {
    const std::uint64_t limit = limit_of_groups(read_text("/proc/self/cgroup"), "/sys/fs/cgroup");
    struct ::sysinfo system {};
    const std::uint64_t swap = ::sysinfo(&system) == 0 ? std::uint64_t{system.totalswap} * system.mem_unit : 0;
    return limit > no_limit - swap ? no_limit : limit + swap;
}

}  // namespace promisqs::detail::os
