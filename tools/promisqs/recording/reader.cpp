// SPDX-License-Identifier: Apache-2.0

#include "recording/reader.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace promisqs_tool {

namespace {

std::span<std::byte> bytes_of(auto& object) { return std::as_writable_bytes(std::span(&object, 1)); }

[[noreturn]] void raise(exit_code code, const std::string& name, const std::string& what) {
    throw failure(code, fmt::format("the file {} {}", name, what));
}

}  // namespace

recording_reader::recording_reader(const std::string& path) : file_(path) { read_facts(); }

void recording_reader::read_facts() {
    file_header first{};
    const std::size_t got = file_.read(bytes_of(first));
    const std::size_t compared = std::min(got, recording_magic.size());
    if (got == 0 || std::memcmp(&first, recording_magic.data(), compared) != 0) {
        raise(exit_code::wrong_use, name(), "is no recording of `promisqs record`: it begins differently");
    }
    if (got < sizeof first) raise(exit_code::broken, name(), "is cut short: its header is not whole");
    if (first.version != recording_version) {
        raise(exit_code::wrong_use, name(),
              fmt::format("is a recording of version {}, expected {}; use the program that made it", first.version,
                          recording_version));
    }
    header_bytes_ = header_size(first);
    if (header_bytes_ == 0) raise(exit_code::broken, name(), "is damaged: its header holds impossible sizes");
    std::vector<std::byte> all(header_bytes_);
    std::memcpy(all.data(), &first, sizeof first);
    const auto rest = std::span(all).subspan(sizeof first);
    if (file_.read(rest) < rest.size()) raise(exit_code::broken, name(), "is cut short: its header is not whole");
    auto facts = facts_of(all);
    if (!facts) raise(exit_code::broken, name(), "is damaged: its header does not fit its checksum");
    facts_ = std::move(*facts);
    whole_ = header_bytes_;
}

void recording_reader::rewind() {
    file_.rewind();
    std::vector<std::byte> header(header_bytes_);
    static_cast<void>(file_.read(header));  // if the file is shorter by now, the next block is not there
    index_ = next_number_ = last_time_ = 0;
    whole_ = header_bytes_;
    is_over_ = false;
    ending_ = ending::complete;
    wrong_.clear();
}

bool recording_reader::stop(ending how, std::string why) {
    is_over_ = true;
    ending_ = how;
    wrong_ = std::move(why);
    return false;
}

bool recording_reader::stop_at_end(const char* where) {
    if (!file_.can_rewind() && is_interrupted()) return stop(ending::interrupted, {});
    return stop(ending::cut_short, where);
}

std::optional<recording_reader::block> recording_reader::next() {
    block_header header{};
    if (is_over_ || !read_header(header) || !read_payload(header)) return std::nullopt;
    if (!has_matching_runs(header)) {
        stop(ending::damaged, "a block with impossible times");
        return std::nullopt;
    }
    const bool has_messages = header.kind == block_kind::messages;
    whole_ += sizeof header + header.payload_size;
    ++index_;
    next_number_ = header.number + header.count;
    if (header.kind == block_kind::end) end();
    return block{header.kind, header.number, header.count,
                 std::span<const std::byte>(payload_).first(has_messages ? header.count * facts_.type.size : 0), runs_};
}

void recording_reader::end() {
    is_over_ = true;
    std::byte more{};
    // What a pipe brings next may be long in coming, and is of no use.
    if (file_.can_rewind() && file_.read({&more, 1}) != 0) stop(ending::damaged, "more than a recording");
}

bool recording_reader::read_header(block_header& header) {
    const std::size_t got = file_.read(bytes_of(header));
    if (got < sizeof header) return stop_at_end(got == 0 ? "nothing" : "a part of a block");
    const std::span<const std::byte> bytes = bytes_of(header);
    const bool is_zero = std::ranges::all_of(bytes, [](std::byte one) { return one == std::byte{}; });
    if (is_zero) return stop(ending::cut_short, "zeroes");  // what a file system leaves after a loss of power
    if (header.magic != block_magic) return stop(ending::damaged, "something that does not begin like a block");
    if (header.header_checksum != checksum_of(bytes.first(offsetof(block_header, header_checksum)))) {
        return stop(ending::damaged, "a block whose header does not fit its checksum");
    }
    const bool fits = header.index == index_ && header.number >= next_number_ &&
                      header.count <= ~std::uint64_t{0} - header.number && has_possible_size(header);
    return fits || stop(ending::damaged, "a block that does not follow the one before it");
}

// The header fits its checksum, but anybody can make such a header.
bool recording_reader::has_possible_size(const block_header& header) const noexcept {
    const std::uint64_t runs_size = header.runs * std::uint64_t{sizeof(time_run)};
    if (header.runs == 0 || header.payload_size < runs_size) return false;
    const std::uint64_t messages_size = header.payload_size - runs_size;
    if (header.runs > most_block_runs || messages_size > padded(std::max(most_block_bytes, facts_.type.size)))
        return false;
    switch (header.kind) {
        case block_kind::messages:
            return header.count > 0 && header.count <= messages_size / facts_.type.size &&
                   padded(header.count * facts_.type.size) == messages_size;
        case block_kind::gap: return header.count > 0 && header.runs == 1 && messages_size == 0;
        case block_kind::end: return header.count == 0 && header.runs == 1 && messages_size == 0;
    }
    return false;
}

bool recording_reader::read_payload(const block_header& header) {
    constexpr std::uint64_t at_once = std::uint64_t{1} << 20;
    std::uint64_t done = 0;
    while (done < header.payload_size) {
        // The memory grows with what is there, not with what the header says.
        const std::uint64_t end = std::min(header.payload_size, done + at_once);
        if (payload_.size() < end) payload_.resize(end);
        const std::size_t got = file_.read(std::span(payload_).subspan(done, end - done));
        if (done + got < end) return stop_at_end("a part of a block");
        done = end;
    }
    const auto payload = std::span<const std::byte>(payload_).first(header.payload_size);
    return header.payload_checksum == checksum_of(payload) ||
           stop(ending::damaged, "a block whose content does not fit its checksum");
}

bool recording_reader::has_matching_runs(const block_header& header) {
    runs_.resize(header.runs);
    const std::size_t size = runs_.size() * sizeof(time_run);
    std::memcpy(runs_.data(), payload_.data() + (header.payload_size - size), size);
    std::uint64_t left = header.count;
    for (const time_run& run : runs_) {
        if (run.count > left || run.time < last_time_) return false;
        left -= run.count;
        last_time_ = run.time;
    }
    return left == 0;
}

}  // namespace promisqs_tool
