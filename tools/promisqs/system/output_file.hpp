// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace promisqs_tool {

/// The file, or pipe, that a recording is written to.
class output_file {
public:
    /// \param path       `-` is standard output
    /// \param overwrite  whether a file that is there may be written over
    /// \throws failure   it is there; or it can't be made; or this program was interrupted while it waited for a pipe's
    ///                   reader
    output_file(const std::string& path, bool overwrite);
    output_file(const output_file&) = delete;
    output_file& operator=(const output_file&) = delete;
    /// A file that was not closed keeps what has been written to it.
    ~output_file();

    /// Makes sure that so many bytes can be written, where the system can tell: so nothing is taken out of a queue for
    /// which the disk has no room.
    ///
    /// \throws failure  there is no room
    void reserve(std::uint64_t bytes);

    /// Writes all of the bytes. If that fails, a file ends as it did before. While a pipe is full, it waits, and goes on
    /// for a moment only once a signal has come.
    ///
    /// \throws output_closed  the reader of the pipe has gone
    /// \throws failure        it can't be written
    void write(std::span<const std::byte> bytes);

    /// \throws failure  the system says now what it could not write
    void close();

    [[nodiscard]] bool is_standard_output() const noexcept { return !is_ours_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// For messages.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    [[nodiscard]] std::size_t write_some(std::span<const std::byte> bytes);
    void wait_until_writable();
    void cut_back() const noexcept;

    std::string name_;
    bool is_ours_;             // opened here, and to be closed
    bool is_on_disk_ = false;  // never waits for a reader
    bool can_cut_ = false;     // nothing of others lies behind what is written
    int descriptor_ = -1;
    std::uint64_t begin_ = 0;  // where the first byte was written, in the file
    std::uint64_t size_ = 0;
    std::uint64_t reserved_ = 0;                                        // up to here, the disk has room
    std::uint64_t limit_;                                               // of a file's size, by RLIMIT_FSIZE
    std::optional<std::chrono::steady_clock::time_point> last_moment_;  // after a signal
};

}  // namespace promisqs_tool
