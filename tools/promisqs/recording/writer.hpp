// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "recording/format.hpp"
#include "system/output_file.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace promisqs_tool {

/// Writes a recording, block by block. Messages are put into the block where they stay: they are copied once.
///
/// Times are nanoseconds since the beginning of the recording.
class recording_writer {
public:
    /// Writes the header.
    ///
    /// \param most_messages  in a block
    recording_writer(output_file& to, const recording_facts& facts, std::uint64_t most_messages);

    /// For how many more messages the block has room.
    [[nodiscard]] std::uint64_t free() const noexcept { return runs_.size() < most_runs ? most_messages_ - count_ : 0; }
    /// Room for so many.
    [[nodiscard]] std::span<std::byte> room(std::uint64_t messages) noexcept {
        return {first_message() + count_ * element_size_, messages * element_size_};
    }
    /// So many messages have been put there. Their numbers follow those that are in the block.
    void add(std::uint64_t number, std::uint64_t count, std::uint64_t time);

    /// What the block holds.
    [[nodiscard]] std::span<const std::byte> unwritten() const noexcept {
        return {first_message(), count_ * element_size_};
    }
    [[nodiscard]] bool is_empty() const noexcept { return count_ == 0; }
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// The number that follows.
    [[nodiscard]] std::uint64_t next_number() const noexcept { return number_ + count_; }
    [[nodiscard]] std::uint64_t first_time() const noexcept { return runs_.empty() ? 0 : runs_.front().time; }

    /// Makes sure that a full block can be written, and the end. Throws as `output_file::reserve`.
    void reserve();
    /// Writes the block, if it holds anything. Throws as `output_file::write`; the block stays then.
    void flush();
    /// Says that so many messages were missed.
    void add_gap(std::uint64_t number, std::uint64_t count, std::uint64_t time);
    void end(std::uint64_t time);

    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
    [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return to_.size(); }

private:
    static constexpr std::size_t most_runs = 1024;
    struct alignas(64) line {
        std::byte bytes[64];
    };

    // The messages begin on a cache line, and the header right before them.
    [[nodiscard]] std::byte* first_message() noexcept { return buffer_[1].bytes; }
    [[nodiscard]] const std::byte* first_message() const noexcept { return buffer_[1].bytes; }
    void write_block(block_kind kind, std::uint64_t number, std::uint64_t count, std::span<const time_run> runs);

    output_file& to_;
    std::uint64_t element_size_;
    std::uint64_t most_messages_;
    std::vector<line> buffer_;
    std::vector<time_run> runs_;
    std::uint64_t index_ = 0;   // of the next block
    std::uint64_t number_ = 0;  // of the first message in the block
    std::uint64_t count_ = 0;
    std::uint64_t messages_ = 0;  // written
    std::uint64_t missed_ = 0;
};

}  // namespace promisqs_tool
