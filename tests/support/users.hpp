// SPDX-License-Identifier: Apache-2.0
#pragma once

// Two users who share a group, for tests that run as root.

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <signal.h>

namespace promisqs_test {

inline constexpr ::uid_t one_member = 65001;
inline constexpr ::uid_t another_member = 65002;

inline bool may_become_others() { return ::geteuid() == 0; }

/// Makes this process one of that user, in the group. False: that is not allowed.
[[nodiscard]] inline bool become(::uid_t user) {
    constexpr ::gid_t group = 65003;
    if (::setgroups(1, &group) != 0 || ::setgid(group) != 0 || ::setuid(user) != 0) return false;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a change of user has taken it back
    return true;
}

}  // namespace promisqs_test
