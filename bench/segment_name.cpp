// SPDX-License-Identifier: Apache-2.0

#include "segment_name.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <stdexcept>

namespace bench {
namespace {

// Paths of the objects in use; an empty one marks a free place. Plain arrays, because a signal handler reads them.
std::array<std::array<char, 64>, 128> paths{};

void remove_all(int signal) {
    for (const auto& path : paths) {
        if (path[0] != '\0') ::unlink(path.data());
    }
    ::_exit(128 + signal);
}

std::size_t free_place() {
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if (paths[i][0] == '\0') return i;
    }
    throw std::logic_error("too many shared memory objects at once");
}

}  // namespace

segment_name::segment_name() : place_(free_place()) {
    static unsigned made = 0;
    name_ = "promisqs-bench-" + std::to_string(::getpid()) + "-" + std::to_string(++made);
    std::snprintf(paths[place_].data(), paths[place_].size(), "/dev/shm/%s", name_.c_str());
}

segment_name::~segment_name() {
    ::unlink(paths[place_].data());
    paths[place_][0] = '\0';
}

void remove_segments_on_signals() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, remove_all);
}

}  // namespace bench
