// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace promisqs_tool {

/// Opens a file or a pipe. A pipe with a name is opened whether it has a writer or not: `poll` waits for one. Reading
/// from it can fail with EAGAIN.
///
/// \return  -1: as errno says
[[nodiscard]] int open_to_read(const std::string& path);

/// The file, or pipe, that a recording is read from.
class input_file {
public:
    /// \param path      `-` is standard input
    /// \throws failure  it can't be opened
    explicit input_file(const std::string& path);
    input_file(const input_file&) = delete;
    input_file& operator=(const input_file&) = delete;
    ~input_file();

    /// Reads as many bytes, or up to the end, or until a signal comes while it waits for them.
    ///
    /// \return          how many
    /// \throws failure  it can't be read
    [[nodiscard]] std::size_t read(std::span<std::byte> bytes);

    /// A pipe can be read once.
    [[nodiscard]] bool can_rewind() const noexcept { return is_on_disk_; }
    void rewind();

    /// For messages.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    [[nodiscard]] std::size_t read_some(std::span<std::byte> bytes) const;

    std::string name_;
    bool is_ours_;
    int descriptor_;
    bool is_on_disk_;
    std::vector<std::byte> ahead_;  // what was read ahead
    std::size_t next_ = 0;          // in it
    std::size_t end_ = 0;
};

}  // namespace promisqs_tool
