// SPDX-License-Identifier: Apache-2.0

#include "recording/writer.hpp"

#include <cstring>

namespace promisqs_tool {

recording_writer::recording_writer(output_file& to, const recording_facts& facts, std::uint64_t most_messages)
    : to_(to),
      element_size_(facts.type.size),
      most_messages_(most_messages),
      buffer_(2 + (padded(most_messages * element_size_) + most_runs * sizeof(time_run)) / sizeof(line)) {
    runs_.reserve(most_runs);
    const auto header = header_of(facts);
    to_.reserve(header.size());
    to_.write(header);
}

void recording_writer::add(std::uint64_t number, std::uint64_t count, std::uint64_t time) {
    if (count_ == 0) number_ = number;
    count_ += count;
    if (!runs_.empty() && runs_.back().time == time) {
        runs_.back().count += count;
    } else {
        runs_.push_back({time, count});
    }
}

void recording_writer::reserve() {
    constexpr std::uint64_t end_size = sizeof(block_header) + sizeof(time_run);
    to_.reserve(buffer_.size() * sizeof(line) + end_size);
}

void recording_writer::flush() {
    if (count_ == 0) return;
    write_block(block_kind::messages, number_, count_, runs_);
    messages_ += count_;
    number_ += count_;
    count_ = 0;
    runs_.clear();
}

void recording_writer::add_gap(std::uint64_t number, std::uint64_t count, std::uint64_t time) {
    flush();
    const time_run run{time, count};
    write_block(block_kind::gap, number, count, {&run, 1});
    missed_ += count;
    number_ = number + count;
}

void recording_writer::end(std::uint64_t time) {
    flush();
    const time_run run{time, 0};
    write_block(block_kind::end, number_, 0, {&run, 1});
}

void recording_writer::write_block(block_kind kind, std::uint64_t number, std::uint64_t count,
                                   std::span<const time_run> runs) {
    const std::uint64_t messages_size = kind == block_kind::messages ? count * element_size_ : 0;
    std::byte* const payload = first_message();
    std::byte* const first_run = payload + padded(messages_size);
    std::memset(payload + messages_size, 0, static_cast<std::size_t>(first_run - payload) - messages_size);
    std::memcpy(first_run, runs.data(), runs.size_bytes());
    const std::uint64_t payload_size = padded(messages_size) + runs.size_bytes();
    block_header header{block_magic, kind,         static_cast<std::uint32_t>(runs.size()), index_, number,
                        count,       payload_size, checksum_of({payload, payload_size}),    0};
    std::byte* const begin = payload - sizeof header;
    std::memcpy(begin, &header, sizeof header);
    header.header_checksum = checksum_of({begin, offsetof(block_header, header_checksum)});
    std::memcpy(begin, &header, sizeof header);
    to_.write({begin, sizeof header + payload_size});
    ++index_;
}

}  // namespace promisqs_tool
