// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace promisqs_test {

/// Removes the records that killed bridges of a queue have left, when a test ends, however it does. To be made before
/// the bridges are.
class scoped_records {
public:
    explicit scoped_records(std::string queue) : queue_(std::move(queue)) {}
    scoped_records(const scoped_records&) = delete;
    scoped_records& operator=(const scoped_records&) = delete;
    ~scoped_records() {
        std::error_code ignored;
        for (const auto& one : std::filesystem::directory_iterator("/dev/shm", ignored)) {
            if (one.path().filename().string().starts_with("promisqs-bridge.") && is_of_queue(one.path()))
                std::filesystem::remove(one.path(), ignored);
        }
    }

private:
    // The name stands in the file, which begins with a magic number and ends with a table.
    [[nodiscard]] bool is_of_queue(const std::filesystem::path& record) const {
        std::ifstream file(record, std::ios::binary);
        std::string head(4096, '\0');
        file.read(head.data(), static_cast<std::streamsize>(head.size()));
        return head.find(queue_ + '\0') != std::string::npos;
    }

    std::string queue_;
};

}  // namespace promisqs_test
