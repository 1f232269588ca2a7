// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// What `doctor` can do about a finding.
enum class cure { none, recover, end_if_empty, remove_leftover, remove_record };

/// Something that is wrong, or that is good to know.
struct finding {
    bool is_problem;     ///< false: a note
    std::string queue;   ///< empty: it concerns the machine, or this user
    std::string kind;    ///< a word for programs
    std::string what;    ///< what is wrong, in a sentence. Printable, as is the next one
    std::string advice;  ///< what to do
    cure by = cure::none;
    std::string fixed{};   ///< what was done; empty: nothing
    std::string record{};  ///< of a bridge: the file's name
};

/// Of the machine and of this user: /dev/shm, /proc, limits, system calls.
[[nodiscard]] std::vector<finding> check_machine();

/// Whether systemd removes what users own when they log out.
///
/// \param folders  with logind.conf and logind.conf.d, such as /etc/systemd; the first one has precedence
[[nodiscard]] bool removes_ipc(const std::vector<std::string>& folders);

/// Of the users that own queues: whether the system will remove them.
[[nodiscard]] std::vector<finding> check_owners(const std::vector<std::uint32_t>& owners);

/// Of what bridges have left that do not run.
///
/// \param queue  of this one; empty: of all
[[nodiscard]] std::vector<finding> check_bridges(const std::string& queue);

/// Of these queues. Takes a tenth of a second where something has to be looked at twice.
[[nodiscard]] std::vector<finding> check_queues(const std::vector<std::string>& names);

}  // namespace promisqs_tool
