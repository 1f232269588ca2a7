// SPDX-License-Identifier: Apache-2.0

#include "bridge/bridge_record.hpp"

#include "system/exit_code.hpp"
#include "text/text.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr int most_bridges = 256;  // of one key

std::uint64_t entries_for(const bridge_key& key, std::uint64_t window) {
    if (key.direction == bridge_direction::out) return 0;
    // A server that was killed has forgotten what it was told in the last tenths of a second.
    constexpr std::uint64_t least = std::uint64_t{1} << 17;
    constexpr std::uint64_t for_each = 16;
    return std::clamp(std::bit_ceil(std::min(window, most_record_entries) * for_each), least, most_record_entries);
}

bool has_key(const record_file& one, std::uint64_t key) { return one.header().key == key; }

// Of the same name, but another queue or consumer, which are no more.
bool is_outdated(const record_file& one, const bridge_key& key) {
    const record_header& header = one.header();
    if (record_text(header.queue) != std::string_view(key.queue).substr(0, sizeof header.queue - 1)) return false;
    if (header.queue_identity != key.queue_identity) return true;
    return has_key(one, hash_of(key)) && !is_same_consumer(header.consumer_created, key.consumer_created);
}

std::optional<record_file> left_by_dead(const bridge_key& key, std::uint64_t entries) {
    const std::uint64_t hash = hash_of(key);
    std::optional<record_file> found;
    for (const std::string& name : record_names()) {
        auto one = record_file::open(name);
        if (!one) continue;
        if (is_outdated(*one, key) && one->lock()) one->remove();
        if (found || !has_key(*one, hash) || one->header().entries < entries || !one->lock()) continue;
        found = std::move(one);
    }
    return found;
}

record_file taken_or_made(const bridge_key& key, std::uint64_t entries, bool& was_left) {
    if (auto left = left_by_dead(key, entries)) {
        was_left = true;
        return std::move(*left);
    }
    for (int number = 0; number < most_bridges; ++number) {
        if (auto made = record_file::create(key, entries, number)) return std::move(*made);
    }
    throw failure(exit_code::broken,
                  fmt::format("{} bridges of queue \"{}\" and stream \"{}\" have records in {}: no more are possible",
                              most_bridges, printable(key.queue), printable(key.stream), record_folder));
}

}  // namespace

std::vector<std::string> record_names() {
    std::vector<std::string> names;
    const std::unique_ptr<::DIR, int (*)(::DIR*)> folder(::opendir(record_folder), &::closedir);
    while (const ::dirent* const entry = folder ? ::readdir(folder.get()) : nullptr) {
        const std::string_view name = entry->d_name;
        if (name.starts_with(record_prefix)) names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

bridge_record::bridge_record(const bridge_key& key, std::uint64_t window, std::string_view url)
    : key_(hash_of(key)), own_(taken_or_made(key, entries_for(key, window), was_left_)) {
    record_header& header = own_.header();
    header.process = static_cast<std::uint32_t>(::getpid());
    header.started_at =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    url = url.substr(0, sizeof header.url - 1);
    std::fill(std::copy(url.begin(), url.end(), header.url), std::end(header.url), '\0');
    header.counters.in_flight.store(0, std::memory_order_relaxed);
    header.counters.connected.store(0, std::memory_order_relaxed);
    find_peers();
    // From now on they look into this record, too.
    for (const record_file& one : peers_) one.header().peers.fetch_add(1, std::memory_order_acq_rel);
}

bool bridge_record::raise_floor(std::uint64_t sequence, std::int64_t time) const noexcept {
    record_header& header = own_.header();
    if (sequence <= header.floor.load(std::memory_order_relaxed)) return false;
    header.floor_time.store(time, std::memory_order_release);
    header.floor.store(sequence, std::memory_order_release);
    return true;
}

void bridge_record::find_peers() {
    peers_seen_ = own_.header().peers.load(std::memory_order_acquire);
    peers_.clear();
    for (const std::string& name : record_names()) {
        if (name == own_.name()) continue;
        auto one = record_file::open(name);
        if (one && has_key(*one, key_)) peers_.push_back(std::move(*one));
    }
}

}  // namespace promisqs_tool
