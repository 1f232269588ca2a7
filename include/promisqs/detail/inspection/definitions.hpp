// SPDX-License-Identifier: Apache-2.0
#pragma once

// Defines what observing.hpp declares. inspector.hpp includes it, unless PROMISQS_COMPILED is defined: then
// src/promisqs.cpp is the one file that does.

#include <promisqs/detail/inspection/observed_messages.hpp>
#include <promisqs/detail/inspection/observer.hpp>
#include <promisqs/detail/inspection/observing.hpp>
#include <promisqs/detail/inspection/tap_reader.hpp>
#include <promisqs/detail/os/birth.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/queue/definition.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>
#include <promisqs/inspection.hpp>

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs::detail {

// NOLINTBEGIN(misc-definitions-in-headers): inline, or in one source file (definition.hpp)

PROMISQS_DEFINITION std::shared_ptr<observer> observe(std::string_view name) {
    return std::make_shared<observer>(name);
}
PROMISQS_DEFINITION const std::string& name_of(const observer& from) noexcept { return from.queue().name(); }
PROMISQS_DEFINITION bool is_named(const observer& from) noexcept { return from.queue().file().is_named(); }
PROMISQS_DEFINITION queue_finding look_of(const observer& from) { return from.look(); }
PROMISQS_DEFINITION queue_facts facts_of(const observer& from) { return from.facts(); }
PROMISQS_DEFINITION queue_stats stats_of(observer& from) { return from.stats(); }
PROMISQS_DEFINITION std::vector<participant_look> participants_of(observer& from) { return from.participants(); }

PROMISQS_DEFINITION std::optional<waiting_message> peek_of(const observer& from, std::uint64_t index) {
    return peek_at(from.queue().see(), index);
}
PROMISQS_DEFINITION std::vector<waiting_message> returned_of(const observer& from, std::size_t most) {
    return copies_of_returned(from.queue().see(), most);
}

PROMISQS_DEFINITION std::shared_ptr<tap_reader> tap_of(const observer& from, tap_start start) {
    return std::make_shared<tap_reader>(from.queue().shared_file(), from.queue().see(), start);
}
PROMISQS_DEFINITION tapped next_of(tap_reader& reader) { return reader.next(); }
PROMISQS_DEFINITION tapped next_of(tap_reader& reader, std::chrono::nanoseconds timeout) {
    return reader.next(timeout.count() <= 0 ? 0 : static_cast<std::uint64_t>(timeout.count()));
}

PROMISQS_DEFINITION std::vector<listed_queue> all_queues() {
    os::process_lock lock;
    const auto folder = object_folder::current();
    lock.unlock();
    const std::unique_ptr<::DIR, int (*)(::DIR*)> entries(::opendir(object_folder::path), &::closedir);
    if (!folder || !entries) {
        raise(errc::system_failure, "*",
              {"could not read ", object_folder::path, ": ", system_message(errno), "; mount it (tmpfs)"});
    }
    std::vector<listed_queue> found;
    while (const ::dirent* entry = ::readdir(entries.get())) {
        const std::string_view name = entry->d_name;
        if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) continue;
        if (name == "." || name == ".." || name.starts_with(temporary_prefix)) continue;
        if (const auto state = state_of_object(object_name(folder, std::string(name))))
            found.push_back({std::string(name), *state});
    }
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return found;
}

// NOLINTEND(misc-definitions-in-headers)

}  // namespace promisqs::detail
