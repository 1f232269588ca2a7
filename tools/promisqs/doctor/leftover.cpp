// SPDX-License-Identifier: Apache-2.0

#include "doctor/leftover.hpp"

#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/os/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

namespace promisqs_tool {

namespace {

namespace layout = promisqs::detail::layout;
namespace os = promisqs::detail::os;

bool is_named(int file, const std::string& path) {
    struct ::stat named {};
    return ::lstat(path.c_str(), &named) == 0 && os::is_file(file, named);
}

}  // namespace

// By the rules of lifecycle/open.hpp: whoever has locked the `initialising` byte of the object that the name leads to
// may remove the name. A process that builds the queue holds that lock, so what is seen then stays so.
bool remove_leftover(const std::string& name) {
    const std::string path = "/dev/shm/" + name;
    const int file = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return false;
    std::uint64_t magic = 0;
    const bool is_left = os::is_regular(file) &&
                         os::lock_byte(file, layout::initialising_byte, os::lock_kind::exclusive) == 0 &&
                         is_named(file, path) && os::read_word(file, magic) && magic == layout::unfinished_magic;
    const bool removed = is_left && ::unlink(path.c_str()) == 0;
    ::close(file);
    return removed;
}

}  // namespace promisqs_tool
