// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "descriptor.hpp"

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace bench {

/// How many bytes a system call has moved, from what it returned: none if it was interrupted, or would have had to
/// wait.
inline std::size_t moved(::ssize_t result, const char* call) {
    if (result > 0) return static_cast<std::size_t>(result);
    if (result == 0) throw std::runtime_error(std::string(call) + ": the other end is closed");
    if (errno == EAGAIN || errno == EINTR) return 0;
    throw_errno(call);
}

/// Moves the rest of a message through a stream of bytes.
///
/// \param done  how much of it has been moved
/// \param wait  moves some of the bytes from an offset on, waiting until it can
template <class Wait>
void finish_message(std::size_t size, std::size_t done, Wait wait) {
    while (done < size) done += wait(done);
}

/// Moves a message through a stream of bytes, as a whole or not at all. When the stream takes or has only a part of it
/// at once, this waits for the rest, since a part can't be taken back.
///
/// \param now  moves some of the bytes without waiting
template <class Now, class Wait>
bool try_message(std::size_t size, Now now, Wait wait) {
    const std::size_t done = now();
    if (done == 0) return false;
    finish_message(size, done, wait);
    return true;
}

template <class T>
std::byte* bytes_of(T& message, std::size_t offset) {
    return reinterpret_cast<std::byte*>(&message) + offset;
}

template <class T>
const std::byte* bytes_of(const T& message, std::size_t offset) {
    return reinterpret_cast<const std::byte*>(&message) + offset;
}

}  // namespace bench
