// SPDX-License-Identifier: Apache-2.0
#pragma once

// System calls that the kernel refuses, as a sandbox (seccomp) has it: for what a system lacks, or will not do.

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace promisqs_test {

/// System calls of this number are answered by this error, if the bits `mask` of an argument are `value`.
struct refusal {
    long call;
    int error;
    std::size_t argument = 0;
    std::uint32_t mask = 0;  // 0: whatever the arguments are
    std::uint32_t value = 0;
};

inline refusal refuse_nameless_files(int error) { return {SYS_openat, error, 2, O_TMPFILE, O_TMPFILE}; }
inline refusal refuse_names_for_nameless(int error) {
    return {SYS_linkat, error, 4, AT_SYMLINK_FOLLOW, AT_SYMLINK_FOLLOW};
}
inline refusal refuse_locks(int error) { return {SYS_fcntl, error, 1, ~0U, F_OFD_SETLK}; }

/// Has the kernel refuse these calls to the calling thread, for good. False: there is no seccomp here.
inline bool refuse(std::initializer_list<refusal> all) {
    std::vector<::sock_filter> code;
    for (const refusal& one : all) {
        const auto argument = static_cast<std::uint32_t>(offsetof(::seccomp_data, args) + 8 * one.argument);
        code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(::seccomp_data, nr)));
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(one.call), 0, 4));
        code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument));
        code.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, one.mask));
        code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, one.value, 0, 1));
        code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(one.error)));
    }
    code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const ::sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Whether this system can refuse calls.
inline bool can_refuse() {
    static const bool result = ::prctl(PR_GET_SECCOMP) >= 0;
    return result;
}

}  // namespace promisqs_test
