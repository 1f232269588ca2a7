// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace promisqs_tool {

/// The text of a file such as those in /proc; nothing if it can't be read.
///
/// \param most  bytes; what is longer is cut
[[nodiscard]] std::optional<std::string> text_of_file(const std::string& path, std::size_t most = std::size_t{1} << 24);

/// What the system says of a thread.
struct thread_look {
    std::string process_name;
    std::string thread_name;
    char state;  ///< as in /proc/PID/stat: T stopped, t stopped by a debugger
};

/// Looks at other processes, in /proc.
class process_lookup {
public:
    /// Nothing if the system shows no such thread.
    [[nodiscard]] static std::optional<thread_look> look(std::uint32_t process, std::uint32_t thread);

    /// The ids of all processes that are to be seen.
    [[nodiscard]] static std::vector<std::uint32_t> all();

    struct file_count {
        std::uint64_t open;
        std::uint64_t limit;
    };
    /// How many files a process has open, and may have open. Nothing: the system does not tell.
    [[nodiscard]] static std::optional<file_count> open_files(std::uint32_t process);

    /// Whether the process has mapped the file with this inode number. Nothing: the system does not tell.
    [[nodiscard]] std::optional<bool> has_mapped(std::uint32_t process, std::uint64_t inode);

private:
    std::map<std::uint32_t, std::optional<std::set<std::uint64_t>>> mapped_;
};

/// The name of a user, or the number if there is no name.
[[nodiscard]] std::string user_name(std::uint32_t user);

}  // namespace promisqs_tool
