// SPDX-License-Identifier: Apache-2.0

#include "recording/format.hpp"

#include <zlib.h>

#include <cstring>

namespace promisqs_tool {

namespace {

constexpr std::size_t checksum_size = sizeof(std::uint32_t);

bool is_possible(const promisqs::element_type& type) noexcept {
    constexpr std::uint64_t most_size = std::uint64_t{1} << 47;
    constexpr std::uint64_t most_alignment = 4096;
    return type.size > 0 && type.size <= most_size && std::has_single_bit(type.alignment) &&
           type.alignment <= most_alignment && type.size % type.alignment == 0;
}

std::string text_at(std::span<const std::byte> bytes, std::uint64_t offset, std::uint64_t size) {
    const auto part = bytes.subspan(offset, size);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
}

}  // namespace

std::uint32_t checksum_of(std::span<const std::byte> bytes) noexcept {
    const auto* const first = reinterpret_cast<const ::Bytef*>(bytes.data());
    return static_cast<std::uint32_t>(::crc32_z(0, first, bytes.size()));
}

std::vector<std::byte> header_of(const recording_facts& facts) {
    const std::size_t texts = facts.queue.size() + facts.type.text.size();
    const std::size_t size = padded(sizeof(file_header) + texts + checksum_size);
    const file_header fixed{recording_magic,
                            recording_version,
                            static_cast<std::uint32_t>(size),
                            facts.type.size,
                            facts.type.alignment,
                            facts.type.fingerprint,
                            facts.type.name_fingerprint,
                            facts.began_at,
                            facts.capacity,
                            static_cast<std::uint32_t>(facts.mode),
                            static_cast<std::uint32_t>(facts.queue.size()),
                            static_cast<std::uint32_t>(facts.type.text.size()),
                            0};
    std::vector<std::byte> bytes(size);
    std::byte* const name = bytes.data() + sizeof fixed;
    std::memcpy(bytes.data(), &fixed, sizeof fixed);
    std::memcpy(name, facts.queue.data(), facts.queue.size());
    std::memcpy(name + facts.queue.size(), facts.type.text.data(), facts.type.text.size());
    const std::uint32_t checksum = checksum_of(std::span(bytes).first(size - checksum_size));
    std::memcpy(bytes.data() + size - checksum_size, &checksum, checksum_size);
    return bytes;
}

std::uint64_t header_size(const file_header& first) noexcept {
    if (first.magic != recording_magic || first.version != recording_version) return 0;
    const std::uint64_t texts = std::uint64_t{first.name_size} + first.schema_size;
    const std::uint64_t size = padded(sizeof first + texts + checksum_size);
    return first.size == size && size <= most_header_bytes ? size : 0;
}

std::optional<recording_facts> facts_of(std::span<const std::byte> header) {
    file_header fixed;
    std::memcpy(&fixed, header.data(), sizeof fixed);
    std::uint32_t checksum = 0;
    std::memcpy(&checksum, header.last(checksum_size).data(), checksum_size);
    if (checksum != checksum_of(header.first(header.size() - checksum_size))) return std::nullopt;
    if (fixed.mode > static_cast<std::uint32_t>(recording_mode::drain)) return std::nullopt;
    const std::string schema = text_at(header, sizeof fixed + fixed.name_size, fixed.schema_size);
    recording_facts facts{
        text_at(header, sizeof fixed, fixed.name_size),
        {schema, fixed.element_size, fixed.element_alignment, fixed.schema_fingerprint, fixed.name_fingerprint},
        fixed.capacity,
        fixed.began_at,
        static_cast<recording_mode>(fixed.mode)};
    if (!is_possible(facts.type)) return std::nullopt;
    return facts;
}

}  // namespace promisqs_tool
