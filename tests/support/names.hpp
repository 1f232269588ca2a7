// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <promisqs/detail/os/segment.hpp>

#include <unistd.h>

#include <string>
#include <string_view>

namespace promisqs_test {

/// A queue name that no other process uses. A queue that has it at the end of the test is removed.
class scoped_name {
public:
    explicit scoped_name(const std::string& what) : name_("promisqs-test-" + std::to_string(::getpid()) + "-" + what) {
        boost::interprocess::shared_memory_object::remove(name_.c_str());
    }
    scoped_name(const scoped_name&) = delete;
    scoped_name& operator=(const scoped_name&) = delete;
    ~scoped_name() { boost::interprocess::shared_memory_object::remove(name_.c_str()); }

    operator std::string_view() const noexcept { return name_; }  // NOLINT(google-explicit-constructor): stands for it
    [[nodiscard]] const std::string& str() const noexcept { return name_; }
    [[nodiscard]] std::string path() const { return "/dev/shm/" + name_; }
    [[nodiscard]] bool exists() const { return ::access(path().c_str(), F_OK) == 0; }

private:
    std::string name_;
};

}  // namespace promisqs_test
