// SPDX-License-Identifier: Apache-2.0
#pragma once

// A shared memory object as bytes, for planting what other programs, other versions and dead creators leave.

#include <promisqs/detail/os/file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace promisqs_test {

class raw_object {
public:
    explicit raw_object(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
        if (file_ < 0) throw std::runtime_error("can't open " + path);
    }
    raw_object(const raw_object&) = delete;
    raw_object& operator=(const raw_object&) = delete;
    ~raw_object() { ::close(file_); }

    [[nodiscard]] int descriptor() const noexcept { return file_; }

    [[nodiscard]] std::vector<std::byte> read() const {
        std::vector<std::byte> bytes(static_cast<std::size_t>(promisqs::detail::os::size_of(file_)));
        if (::pread(file_, bytes.data(), bytes.size(), 0) != static_cast<::ssize_t>(bytes.size())) {
            throw std::runtime_error("short read");
        }
        return bytes;
    }

    template <class T>
    void write(std::uint64_t offset, const T& value) const {
        if (::pwrite(file_, &value, sizeof value, static_cast<::off_t>(offset)) !=
            static_cast<::ssize_t>(sizeof value)) {
            throw std::runtime_error("short write");
        }
    }

    void resize(std::uint64_t size) const {
        if (::ftruncate(file_, static_cast<::off_t>(size)) != 0) throw std::runtime_error("can't resize");
    }

    /// Takes a lock as another process would.
    [[nodiscard]] bool lock(std::int64_t byte, promisqs::detail::os::lock_kind kind) const {
        return promisqs::detail::os::lock_byte(file_, byte, kind) == 0;
    }

private:
    int file_;
};

}  // namespace promisqs_test
