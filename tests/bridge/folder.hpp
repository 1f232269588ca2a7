// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

namespace promisqs_test {

/// A folder for temporary files, which goes with the object, and all that is in it.
class scoped_folder {
public:
    scoped_folder() : path_((std::filesystem::temp_directory_path() / "promisqs-test-XXXXXX").string()) {
        if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary folder");
    }
    scoped_folder(const scoped_folder&) = delete;
    scoped_folder& operator=(const scoped_folder&) = delete;
    ~scoped_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& str() const noexcept { return path_; }
    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

    /// Writes a file there, and returns its path.
    [[nodiscard]] std::string write(const std::string& name, const std::string& content) const {
        std::string path = *this / name;
        std::ofstream file(path, std::ios::binary | std::ios::trunc);
        file << content;
        return path;
    }

private:
    std::string path_;
};

}  // namespace promisqs_test
