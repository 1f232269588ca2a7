// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/record_file.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace promisqs_tool {

/// The names of all files in /dev/shm that have a record's name.
[[nodiscard]] std::vector<std::string> record_names();

/// The record that a bridge owns while it runs.
class bridge_record {
public:
    /// Takes over what a dead bridge of the same key has left, or makes a record; and removes those of dead bridges of
    /// an earlier queue, or consumer, of the same name.
    ///
    /// \param window  the most messages that are under way at once; of a bridge out there is no table
    /// \param url     of the server, without a password
    /// \throws failure  there is no room
    bridge_record(const bridge_key& key, std::uint64_t window, std::string_view url);

    [[nodiscard]] bridge_counters& counters() const noexcept { return own_.header().counters; }
    [[nodiscard]] delivery_table table() const noexcept { return own_.table(); }
    /// The queue's tombstones, as they were before a push began.
    [[nodiscard]] std::atomic<std::uint64_t>& tally() const noexcept { return own_.header().tally; }
    /// The consumer has said that all messages up to this sequence are acknowledged. Should it forget that, they are known
    /// by it.
    ///
    /// \return  whether it has not been known yet
    bool raise_floor(std::uint64_t sequence, std::int64_t time) const noexcept;
    [[nodiscard]] std::uint64_t floor() const noexcept { return own_.header().floor.load(std::memory_order_relaxed); }
    /// Whether a dead bridge has left it.
    [[nodiscard]] bool was_left() const noexcept { return was_left_; }

    /// The records of all other bridges of the same key, dead and alive.
    [[nodiscard]] const std::vector<record_file>& peers() const noexcept { return peers_; }
    /// Looks for them again, if one has come.
    void update_peers() {
        if (own_.header().peers.load(std::memory_order_acquire) != peers_seen_) find_peers();
    }

    [[nodiscard]] const record_file& file() const noexcept { return own_; }
    /// Removes the file. This object goes on.
    void remove() const noexcept { own_.remove(); }

private:
    void find_peers();

    std::uint64_t key_;
    bool was_left_ = false;
    record_file own_;
    std::uint32_t peers_seen_ = 0;
    std::vector<record_file> peers_;
};

}  // namespace promisqs_tool
