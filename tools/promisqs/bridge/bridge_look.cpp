// SPDX-License-Identifier: Apache-2.0

#include "bridge/bridge_look.hpp"

#include "bridge/bridge_record.hpp"

#include <promisqs/detail/os/file.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace promisqs_tool {

namespace {

namespace os = promisqs::detail::os;

/// A descriptor, closed at the end.
class descriptor {
public:
    explicit descriptor(int file) : file_(os::above_standard(file)) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() {
        if (file_ >= 0) os::close(file_);
    }
    [[nodiscard]] int operator*() const noexcept { return file_; }

private:
    int file_;
};

std::uint64_t load(const std::atomic<std::uint64_t>& one) noexcept { return one.load(std::memory_order_relaxed); }

bridge_look look_of(const std::string& record, const record_header& header, bool is_alive) {
    const bridge_counters& counters = header.counters;
    return {.record = record,
            .is_alive = is_alive,
            .direction = static_cast<bridge_direction>(header.direction),
            .queue_identity = header.queue_identity,
            .queue = std::string(record_text(header.queue)),
            .stream = std::string(record_text(header.stream)),
            .target = std::string(record_text(header.target)),
            .url = std::string(record_text(header.url)),
            .process = header.process,
            .started_at = header.started_at,
            .bytes = record_table_offset + header.entries * sizeof(delivery_entry),
            .in = load(counters.in),
            .out = load(counters.out),
            .in_flight = load(counters.in_flight),
            .reconnects = load(counters.reconnects),
            .duplicates = load(counters.duplicates),
            .uncertain = load(counters.uncertain),
            .errors = load(counters.errors),
            .is_connected = is_alive && load(counters.connected) == 1};
}

}  // namespace

std::optional<bridge_look> look_at_bridge(const std::string& record) {
    const std::string path = fmt::format("{}/{}", record_folder, record);
    const descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    struct ::stat found {};
    if (*file < 0 || ::fstat(*file, &found) != 0 || !S_ISREG(found.st_mode)) return std::nullopt;
    record_header header{};
    if (::pread(*file, static_cast<void*>(&header), sizeof header, 0) != static_cast<::ssize_t>(sizeof header))
        return std::nullopt;
    if (!is_record(header, static_cast<std::uint64_t>(found.st_size))) return std::nullopt;
    return look_of(record, header, os::byte_is_locked(*file, 0));
}

std::vector<bridge_look> look_at_bridges() {
    std::vector<bridge_look> all;
    for (const std::string& name : record_names()) {
        if (auto one = look_at_bridge(name)) all.push_back(std::move(*one));
    }
    return all;
}

bool remove_record(const std::string& record) {
    const auto file = record_file::open(record);
    if (!file || !file->lock()) return false;
    file->remove();
    return true;
}

}  // namespace promisqs_tool
