// SPDX-License-Identifier: Apache-2.0

#include "system/processes.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>
#include <vector>

namespace promisqs_tool {

namespace {

std::string without_newline(std::string text) {
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

// Of a line of /proc/PID/maps: "ADDRESSES PERMISSIONS OFFSET DEVICE INODE PATH".
std::uint64_t inode_of(std::string_view line) {
    for (int column = 0; column < 4; ++column) {
        const std::size_t space = line.find(' ');
        if (space == line.npos) return 0;
        line.remove_prefix(space + 1);
    }
    std::uint64_t inode = 0;
    std::from_chars(line.data(), line.data() + line.size(), inode);
    return inode;
}

std::optional<std::set<std::uint64_t>> mapped_files(std::uint32_t process) {
    const auto maps = text_of_file(fmt::format("/proc/{}/maps", process));
    if (!maps) return std::nullopt;
    std::set<std::uint64_t> found;
    for (std::string_view left = *maps; !left.empty();) {
        const std::size_t end = left.find('\n');
        const std::string_view line = left.substr(0, end);
        left.remove_prefix(end == left.npos ? left.size() : end + 1);
        found.insert(inode_of(line));
    }
    return found;
}

// Without "." and ".."; nothing if the folder can't be read.
std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> found;
    const std::unique_ptr<::DIR, int (*)(::DIR*)> entries(::opendir(folder.c_str()), &::closedir);
    while (entries) {
        const ::dirent* const entry = ::readdir(entries.get());
        if (entry == nullptr) break;
        if (entry->d_name[0] != '.') found.emplace_back(entry->d_name);
    }
    return found;
}

}  // namespace

std::optional<std::string> text_of_file(const std::string& path, std::size_t most) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return std::nullopt;
    std::string text;
    std::array<char, 16384> some{};
    for (;;) {
        const auto size = ::read(file, some.data(), some.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0 || text.size() >= most) {
            ::close(file);
            return size < 0 ? std::nullopt : std::optional(std::move(text));
        }
        text.append(some.data(), static_cast<std::size_t>(size));
    }
}

std::optional<thread_look> process_lookup::look(std::uint32_t process, std::uint32_t thread) {
    const auto stat = text_of_file(fmt::format("/proc/{}/task/{}/stat", process, thread));
    if (!stat) return std::nullopt;
    // "TID (NAME) STATE …", where the name may hold anything.
    const std::size_t end = stat->rfind(')');
    if (end == stat->npos || end + 2 >= stat->size()) return std::nullopt;
    const auto process_name = text_of_file(fmt::format("/proc/{}/comm", process));
    const auto thread_name = text_of_file(fmt::format("/proc/{}/task/{}/comm", process, thread));
    return thread_look{without_newline(process_name.value_or("")), without_newline(thread_name.value_or("")),
                       (*stat)[end + 2]};
}

std::vector<std::uint32_t> process_lookup::all() {
    std::vector<std::uint32_t> found;
    for (const std::string& name : names_in("/proc")) {
        std::uint32_t process = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), process);
        if (error == std::errc() && end == name.data() + name.size()) found.push_back(process);
    }
    return found;
}

std::optional<process_lookup::file_count> process_lookup::open_files(std::uint32_t process) {
    const auto count = names_in(fmt::format("/proc/{}/fd", process)).size();
    const auto limits = text_of_file(fmt::format("/proc/{}/limits", process));
    if (count == 0 || !limits) return std::nullopt;
    constexpr std::string_view key = "Max open files";
    std::size_t at = limits->find(key);
    if (at == limits->npos) return std::nullopt;
    at = limits->find_first_not_of(' ', at + key.size());
    file_count result{count, 0};
    if (at == limits->npos) return std::nullopt;
    const auto [end, error] = std::from_chars(limits->data() + at, limits->data() + limits->size(), result.limit);
    return error == std::errc() ? std::optional(result) : std::nullopt;  // it may be "unlimited"
}

std::optional<bool> process_lookup::has_mapped(std::uint32_t process, std::uint64_t inode) {
    const auto [known, is_new] = mapped_.try_emplace(process);
    if (is_new) known->second = mapped_files(process);
    if (!known->second) return std::nullopt;
    return known->second->contains(inode);
}

std::string user_name(std::uint32_t user) {
    static std::map<std::uint32_t, std::string> known;
    const auto [it, is_new] = known.try_emplace(user);
    if (is_new) {
        ::passwd entry{};
        ::passwd* found = nullptr;
        std::vector<char> room(16384);
        const bool is_there = ::getpwuid_r(user, &entry, room.data(), room.size(), &found) == 0 && found != nullptr;
        it->second = is_there ? std::string(entry.pw_name) : std::to_string(user);
    }
    return it->second;
}

}  // namespace promisqs_tool
