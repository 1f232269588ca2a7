// SPDX-License-Identifier: Apache-2.0

#include "bridge/queue_identity.hpp"

#include "system/processes.hpp"

#include <promisqs/inspector.hpp>

#include <fmt/format.h>

#include <string_view>

namespace promisqs_tool {

namespace {

// FNV-1a, of 64 bits.
std::uint64_t hash(std::string_view text) noexcept {
    std::uint64_t value = 0xcbf29ce484222325;
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return value;
}

}  // namespace

std::uint64_t identity_of_queue(const std::string& name) {
    const auto facts = promisqs::inspector(name).facts();
    const std::string boot = text_of_file("/proc/sys/kernel/random/boot_id", 64).value_or("");
    return hash(fmt::format("{}\n{}\n{}\n{}", boot, name, facts.created_at.time_since_epoch().count(), facts.creator));
}

}  // namespace promisqs_tool
