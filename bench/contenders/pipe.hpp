// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "descriptor.hpp"
#include "temporary_path.hpp"
#include "whole_message.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace bench {

/// A named pipe. Whether calls wait is a property of an opened file, so that each side opens the pipe twice.
///
/// It holds as many bytes as the messages of the capacity have, as far as the system allows; it counts in pages,
/// though.
template <class T>
class pipe {
public:
    using value_type = T;
    static constexpr const char* name = "pipe";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;

    static pipe create(const std::string& segment, std::uint64_t capacity) {
        const std::string path = path_of(segment);
        if (::mkfifo(path.c_str(), 0600) != 0) throw_errno("mkfifo " + path);
        return pipe(temporary_path(path), capacity);
    }
    static pipe open(const std::string& segment, side where) {
        pipe result;
        if (where == side::producers) {
            result.open_writing(path_of(segment));
        } else {
            result.open_reading(path_of(segment));
        }
        return result;
    }

    // In practice a message is never cut: up to PIPE_BUF bytes that is promised, and 8192 of them fill two pages.
    bool push(const T& message) {
        return try_message(
            sizeof message, [&] { return write_some(write_now_, message, 0); },
            [&](std::size_t done) { return write_some(write_, message, done); });
    }
    void push_wait(const T& message) {
        finish_message(sizeof message, 0, [&](std::size_t done) { return write_some(write_, message, done); });
    }

    bool pop(T& out) {
        return try_message(
            sizeof out, [&] { return read_some(read_now_, out, 0); },
            [&](std::size_t done) { return read_some(read_, out, done); });
    }
    void pop_wait(T& out) {
        finish_message(sizeof out, 0, [&](std::size_t done) { return read_some(read_, out, done); });
    }

private:
    pipe() = default;
    pipe(temporary_path file, std::uint64_t capacity) : file_(std::move(file)) {
        // In this order none of them waits: to open one end waits for the other, but for a reader who never waits.
        read_now_ = opened(file_->get(), O_RDONLY | O_NONBLOCK);
        open_writing(file_->get());
        read_ = opened(file_->get(), O_RDONLY);
        // If that is refused, the pipe is as small or as large as any other.
        ::fcntl(write_.get(), F_SETPIPE_SZ, static_cast<int>(capacity * sizeof(T)));
    }

    static descriptor opened(const std::string& path, int flags) {
        return {::open(path.c_str(), flags | O_CLOEXEC), "open " + path};
    }
    void open_writing(const std::string& path) {
        write_now_ = opened(path, O_WRONLY | O_NONBLOCK);
        write_ = opened(path, O_WRONLY);
    }
    void open_reading(const std::string& path) {
        read_now_ = opened(path, O_RDONLY | O_NONBLOCK);
        read_ = opened(path, O_RDONLY);
    }

    static std::size_t write_some(const descriptor& end, const T& message, std::size_t offset) {
        return moved(::write(end.get(), bytes_of(message, offset), sizeof message - offset), "write to a pipe");
    }
    static std::size_t read_some(const descriptor& end, T& out, std::size_t offset) {
        return moved(::read(end.get(), bytes_of(out, offset), sizeof out - offset), "read from a pipe");
    }

    std::optional<temporary_path> file_;  // of the one who created it
    descriptor write_now_;
    descriptor write_;
    descriptor read_now_;
    descriptor read_;
};

}  // namespace bench
