// SPDX-License-Identifier: Apache-2.0
#pragma once

// What inspector.hpp calls: declared. definitions.hpp defines it.

#include <promisqs/inspection.hpp>
#include <promisqs/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace promisqs::detail {

class observer;
class tap_reader;

std::shared_ptr<observer> observe(std::string_view name);
const std::string& name_of(const observer& from) noexcept;
bool is_named(const observer& from) noexcept;
queue_finding look_of(const observer& from);
queue_facts facts_of(const observer& from);
queue_stats stats_of(observer& from);
std::vector<participant_look> participants_of(observer& from);
std::optional<waiting_message> peek_of(const observer& from, std::uint64_t index);
std::vector<waiting_message> returned_of(const observer& from, std::size_t most);

std::shared_ptr<tap_reader> tap_of(const observer& from, tap_start start);
tapped next_of(tap_reader& reader);
tapped next_of(tap_reader& reader, std::chrono::nanoseconds timeout);

std::vector<listed_queue> all_queues();

}  // namespace promisqs::detail

#pragma GCC visibility pop
