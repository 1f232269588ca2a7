// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "descriptor.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

namespace bench {

/// A mapped shared memory object, zero at first. Its name is left to whoever chose it.
class shared_object {
public:
    static shared_object create(const std::string& name, std::size_t size) {
        const descriptor file(::shm_open(("/" + name).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600), "shm_open");
        if (const int error = ::posix_fallocate(file.get(), 0, static_cast<::off_t>(size)); error != 0) {
            throw std::system_error(error, std::generic_category(), "posix_fallocate");
        }
        return shared_object(file, size);
    }
    static shared_object open(const std::string& name) {
        const descriptor file(::shm_open(("/" + name).c_str(), O_RDWR, 0), "shm_open");
        struct ::stat found {};
        if (::fstat(file.get(), &found) != 0) throw_errno("fstat");
        return shared_object(file, static_cast<std::size_t>(found.st_size));
    }

    shared_object(shared_object&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    shared_object& operator=(shared_object&&) = delete;
    ~shared_object() {
        if (data_ != nullptr) ::munmap(data_, size_);
    }

    [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    shared_object(const descriptor& file, std::size_t size)
        : data_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0)), size_(size) {
        if (data_ == MAP_FAILED) throw_errno("mmap");
    }

    void* data_;
    std::size_t size_;
};

}  // namespace bench
