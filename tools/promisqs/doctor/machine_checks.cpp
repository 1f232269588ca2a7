// SPDX-License-Identifier: Apache-2.0

// What `doctor` finds out about the machine and about this user. docs/deployment.md says what matters, and why.

#include "doctor/findings.hpp"
#include "system/processes.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr const char* shm = "/dev/shm";

finding problem(std::string kind, std::string what, std::string advice) {
    return {true, {}, std::move(kind), std::move(what), std::move(advice)};
}
finding note(std::string kind, std::string what, std::string advice) {
    return {false, {}, std::move(kind), std::move(what), std::move(advice)};
}

void check_room(std::vector<finding>& found) {
    struct ::statvfs room {};
    if (::statvfs(shm, &room) != 0 || room.f_blocks == 0) return;
    const std::uint64_t total = room.f_blocks * room.f_frsize;
    const std::uint64_t left = room.f_bavail * room.f_frsize;
    constexpr std::uint64_t small = std::uint64_t{128} << 20;
    if (left < total / 20) {
        found.push_back(problem("shm_full",
                                fmt::format("{} is nearly full: {} of {} are left. Creating a larger queue fails.", shm,
                                            short_bytes(left), short_bytes(total)),
                                "Remove what nobody needs (promisqs ls, ls -lS /dev/shm), or make it larger: "
                                "mount -o remount,size=SIZE /dev/shm"));
    } else if (total < small) {
        found.push_back(note("shm_small", fmt::format("{} is small: {} in all.", shm, short_bytes(total)),
                             "If queues do not fit: docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm"));
    }
    if (room.f_files != 0 && room.f_favail < room.f_files / 100)
        found.push_back(problem(
            "shm_inodes", fmt::format("{} has room for {} more files only, of {}.", shm, room.f_favail, room.f_files),
            "Remove files that nobody needs, or mount -o remount,nr_inodes=NUMBER /dev/shm"));
}

void check_folder(std::vector<finding>& found) {
    struct ::stat folder {};
    if (::stat(shm, &folder) != 0 || !S_ISDIR(folder.st_mode)) {
        found.push_back(problem("shm_missing", fmt::format("There is no {}: no queue can be created or opened.", shm),
                                "mount -t tmpfs -o mode=1777 tmpfs /dev/shm"));
        return;
    }
    struct ::statfs system {};
    constexpr long tmpfs = 0x01021994;
    if (::statfs(shm, &system) == 0 && static_cast<long>(system.f_type) != tmpfs)
        found.push_back(problem("shm_not_tmpfs",
                                fmt::format("{} is no tmpfs: queues lie on another kind of file system, perhaps a "
                                            "disk, and survive a restart.",
                                            shm),
                                "mount -t tmpfs -o mode=1777 tmpfs /dev/shm"));
    if (::faccessat(AT_FDCWD, shm, W_OK | X_OK, AT_EACCESS) != 0)
        found.push_back(problem("shm_permissions", fmt::format("This user may not create queues: {} denies it.", shm),
                                "chmod 1777 /dev/shm, as root"));
    check_room(found);
}

void check_proc(std::vector<finding>& found) {
    if (::access("/proc/self/stat", R_OK) != 0) {
        found.push_back(note("proc_missing",
                             "/proc is not mounted: queues work, but processes have no names here, and stopped ones "
                             "are not told from running ones.",
                             "mount -t proc proc /proc"));
    } else if (::geteuid() != 0 && ::access("/proc/1/stat", R_OK) != 0) {
        found.push_back(note("proc_hidden",
                             "/proc hides the processes of other users (hidepid): they are shown without names.",
                             "Look as root, or as the user of these processes"));
    }
}

std::optional<std::uint64_t> limit_of(int which) {
    ::rlimit limit{};
    if (::getrlimit(static_cast<__rlimit_resource_t>(which), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return std::nullopt;
    return limit.rlim_cur;
}

void check_limits(std::vector<finding>& found) {
    constexpr std::uint64_t few_files = 256;
    if (const auto files = limit_of(RLIMIT_NOFILE); files && *files < few_files)
        found.push_back(note("limit_files",
                             fmt::format("A process may have {} files open only (RLIMIT_NOFILE). Each open queue takes "
                                         "some.",
                                         *files),
                             "ulimit -n 4096, or LimitNOFILE= in the service"));
    if (const auto size = limit_of(RLIMIT_FSIZE))
        found.push_back(note("limit_file_size",
                             fmt::format("A process may make files of {} at most (RLIMIT_FSIZE). Creating a larger "
                                         "queue fails.",
                                         short_bytes(*size)),
                             "ulimit -f unlimited, or LimitFSIZE=infinity in the service"));
    if (const auto room = limit_of(RLIMIT_AS))
        found.push_back(note(
            "limit_address_space",
            fmt::format("A process has {} of address space (RLIMIT_AS). Queues must fit into it.", short_bytes(*room)),
            "ulimit -v unlimited, or LimitAS=infinity in the service"));
}

void check_system_calls(std::vector<finding>& found) {
    constexpr long futex_waitv = 449;
    if (::syscall(futex_waitv, nullptr, 0, 0, nullptr, 0) < 0 && errno != EINVAL)
        found.push_back(note("no_futex_waitv",
                             "The kernel, or a sandbox, does not have futex_waitv: who waits for several queues looks "
                             "at all but the first every millisecond.",
                             "Use Linux 5.16 or later, or let the sandbox allow it"));
    if (::syscall(SYS_membarrier, 0, 0, 0) < 0)
        found.push_back(note("no_membarrier",
                             "The kernel, or a sandbox, does not have membarrier: queues with a single producer or "
                             "consumer are somewhat slower.",
                             "Let the sandbox allow it"));
}

// The value of RemoveIPC in a file: yes, no, or none.
std::optional<bool> remove_ipc_in(const std::string& path) {
    const auto text = text_of_file(path, std::size_t{1} << 20);
    std::optional<bool> value;
    if (!text) return value;
    for (std::string_view left = *text; !left.empty();) {
        const std::size_t end = std::min(left.find('\n'), left.size());
        std::string line(left.substr(0, end));
        left.remove_prefix(std::min(end + 1, left.size()));
        std::erase_if(line, [](char c) { return c == ' ' || c == '\t' || c == '\r'; });
        constexpr std::string_view key = "RemoveIPC=";
        if (!line.starts_with(key)) continue;
        const std::string word = line.substr(key.size());
        value = word == "yes" || word == "true" || word == "1" || word == "on" || word == "y" || word == "t";
        if (word.empty()) value.reset();
    }
    return value;
}

}  // namespace

bool removes_ipc(const std::vector<std::string>& folders) {
    std::optional<bool> value;
    for (const std::string& folder : folders) {
        if (!value) value = remove_ipc_in(folder + "/logind.conf");
    }
    // Of files of the same name, the first folder's counts. All are read in the order of their names.
    std::set<std::string> names;
    for (const std::string& folder : folders) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(folder + "/logind.conf.d", error)) {
            if (entry.path().extension() == ".conf") names.insert(entry.path().filename().string());
        }
    }
    for (const std::string& name : names) {
        for (const std::string& folder : folders) {
            const std::string path = fmt::format("{}/logind.conf.d/{}", folder, name);
            if (::access(path.c_str(), F_OK) != 0) continue;
            if (const auto own = remove_ipc_in(path)) value = own;
            break;
        }
    }
    return value.value_or(true);
}

std::vector<finding> check_machine() {
    std::vector<finding> found;
    check_folder(found);
    check_proc(found);
    check_limits(found);
    check_system_calls(found);
    return found;
}

std::vector<finding> check_owners(const std::vector<std::uint32_t>& owners) {
    constexpr std::uint32_t first_of_people = 1000;
    std::vector<finding> found;
    const bool has_logind = ::access("/run/systemd/seats", F_OK) == 0 || ::access("/run/systemd/users", F_OK) == 0;
    if (!has_logind || !removes_ipc({"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"}))
        return found;
    for (const std::uint32_t owner : std::set<std::uint32_t>(owners.begin(), owners.end())) {
        const std::string name = user_name(owner);
        const bool stays = owner < first_of_people || ::access(("/var/lib/systemd/linger/" + name).c_str(), F_OK) == 0;
        if (stays) continue;
        found.push_back(
            note("remove_ipc",
                 fmt::format("When user {} logs out of the last session, systemd removes this user's queues "
                             "(RemoveIPC=yes, which is its default).",
                             printable(name)),
                 fmt::format("Let a system user own the queues, or set RemoveIPC=no in "
                             "/etc/systemd/logind.conf, or loginctl enable-linger {}",
                             printable(name))));
    }
    return found;
}

}  // namespace promisqs_tool
