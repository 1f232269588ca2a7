// SPDX-License-Identifier: Apache-2.0
#pragma once

// Recordings for tests: made of what a test wants, and read as a whole.

#include "tool/run_tool.hpp"

#include "recording/reader.hpp"
#include "recording/writer.hpp"

#include <promisqs/element.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_test {

/// A path that no other process uses. What is there at the end of the test is removed.
class scoped_path {
public:
    explicit scoped_path(const std::string& what)
        : path_((std::filesystem::temp_directory_path() / ("promisqs-test-" + std::to_string(::getpid()) + "-" + what))
                    .string()) {
        std::filesystem::remove(path_);
    }
    scoped_path(const scoped_path&) = delete;
    scoped_path& operator=(const scoped_path&) = delete;
    ~scoped_path() { std::filesystem::remove(path_); }

    [[nodiscard]] const std::string& str() const noexcept { return path_; }
    [[nodiscard]] std::uint64_t size() const {
        struct ::stat found {};
        return ::stat(path_.c_str(), &found) == 0 ? static_cast<std::uint64_t>(found.st_size) : 0;
    }
    [[nodiscard]] std::string content() const {
        std::ifstream file(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void write(const std::string& content) const {
        std::ofstream file(path_, std::ios::binary | std::ios::trunc);
        file << content;
    }

private:
    std::string path_;
};

/// A message of a test.
struct recorded {
    std::uint64_t number;
    std::uint64_t time;
    std::string bytes;

    friend bool operator==(const recorded&, const recorded&) = default;
};

struct recording_content {
    promisqs_tool::recording_facts facts;
    std::vector<recorded> messages;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;  // first number, count
    promisqs_tool::recording_reader::ending ending;
    std::uint64_t whole_bytes;
    std::uint64_t end_time;  // of the last block
};

inline recording_content read_recording(const std::string& path) {
    promisqs_tool::recording_reader reader(path);
    recording_content found{reader.facts(), {}, {}, {}, 0, 0};
    while (const auto block = reader.next()) {
        found.end_time = block->runs.back().time;
        if (block->kind == promisqs_tool::block_kind::gap) found.gaps.emplace_back(block->number, block->count);
        if (block->kind != promisqs_tool::block_kind::messages) continue;
        const auto size = static_cast<std::size_t>(found.facts.type.size);
        const char* next = reinterpret_cast<const char*>(block->messages.data());
        std::uint64_t number = block->number;
        for (const auto& run : block->runs) {
            for (std::uint64_t i = 0; i < run.count; ++i, next += size) {
                found.messages.push_back({number++, run.time, std::string(next, size)});
            }
        }
    }
    found.ending = reader.how_it_ended();
    found.whole_bytes = reader.whole_bytes();
    return found;
}

template <class T>
std::string bytes_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <class T>
T value_of(const std::string& bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

template <class T>
promisqs_tool::recording_facts facts_of(const std::string& queue, std::uint64_t capacity = 16) {
    return {queue, promisqs::element_type_of<T>(), capacity, 1'700'000'000'000'000'000,
            promisqs_tool::recording_mode::tap};
}

/// Makes a recording of these messages, which have the numbers 0, 1, ...
///
/// \param times  of each, in nanoseconds
template <class T>
void make_recording(const std::string& path, const std::vector<T>& messages, const std::vector<std::uint64_t>& times,
                    std::uint64_t end) {
    promisqs_tool::output_file file(path, true);
    promisqs_tool::recording_writer writer(file, facts_of<T>("recorded"), messages.size());
    for (std::size_t i = 0; i < messages.size(); ++i) {
        std::memcpy(writer.room(1).data(), &messages[i], sizeof(T));
        writer.add(i, 1, times[i]);
    }
    writer.end(end);
    file.close();
}

}  // namespace promisqs_test
