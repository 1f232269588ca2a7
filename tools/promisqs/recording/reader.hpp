// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "recording/format.hpp"
#include "system/input_file.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace promisqs_tool {

/// Reads a recording, which may be cut short, damaged, or made to do harm: what it hands out has been checked. It takes
/// no more memory than the file has bytes, or a pipe has brought.
class recording_reader {
public:
    /// A block, until the next call.
    struct block {
        block_kind kind;
        std::uint64_t number;  ///< of the first message
        std::uint64_t count;
        std::span<const std::byte> messages;
        std::span<const time_run> runs;  ///< of as many messages, together
    };
    enum class ending {
        complete,    ///< in good order
        cut_short,   ///< the file ends before the recording does
        damaged,     ///< what follows the last whole block is none
        interrupted  ///< a signal came while it waited for more
    };

    /// Reads the header.
    ///
    /// \throws failure  it can't be read, or is no recording
    explicit recording_reader(const std::string& path);

    [[nodiscard]] const recording_facts& facts() const noexcept { return facts_; }
    /// For messages.
    [[nodiscard]] const std::string& name() const noexcept { return file_.name(); }

    /// The next block, if it is whole; the last one says that the recording ends. Nothing: see `how_it_ended`.
    ///
    /// \throws failure  the file can't be read
    [[nodiscard]] std::optional<block> next();

    [[nodiscard]] ending how_it_ended() const noexcept { return ending_; }
    /// What was found in place of a block, in a few words.
    [[nodiscard]] const std::string& what_is_wrong() const noexcept { return wrong_; }
    /// How many bytes are whole.
    [[nodiscard]] std::uint64_t whole_bytes() const noexcept { return whole_; }

    [[nodiscard]] bool can_rewind() const noexcept { return file_.can_rewind(); }
    /// Goes back to the first block.
    void rewind();

private:
    void read_facts();
    [[nodiscard]] bool read_header(block_header& header);
    [[nodiscard]] bool read_payload(const block_header& header);
    [[nodiscard]] bool has_possible_size(const block_header& header) const noexcept;
    [[nodiscard]] bool has_matching_runs(const block_header& header);
    void end();
    bool stop(ending how, std::string why);
    bool stop_at_end(const char* where);

    input_file file_;
    recording_facts facts_{};
    std::uint64_t header_bytes_ = 0;
    std::vector<std::byte> payload_;
    std::vector<time_run> runs_;
    std::uint64_t index_ = 0;        // of the next block
    std::uint64_t next_number_ = 0;  // at least
    std::uint64_t last_time_ = 0;
    std::uint64_t whole_ = 0;
    bool is_over_ = false;
    ending ending_ = ending::complete;
    std::string wrong_;
};

}  // namespace promisqs_tool
