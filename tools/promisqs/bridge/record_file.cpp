// SPDX-License-Identifier: Apache-2.0

#include "bridge/record_file.hpp"

#include "bridge/fnv1a.hpp"
#include "system/exit_code.hpp"
#include "text/text.hpp"

#include <promisqs/detail/os/file.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>

namespace promisqs_tool {

namespace {

namespace os = promisqs::detail::os;

constexpr std::int64_t owner_byte = 0;

std::string path_of(const std::string& name) { return fmt::format("{}/{}", record_folder, name); }

std::uint64_t size_of_record(std::uint64_t entries) noexcept {
    return record_table_offset + entries * sizeof(delivery_entry);
}

template <std::size_t Size>
void store_text(char (&room)[Size], std::string_view text) noexcept {
    text = text.substr(0, Size - 1);
    std::copy(text.begin(), text.end(), room);
    room[text.size()] = '\0';
}

[[noreturn]] void raise_no_record(std::uint64_t size, int why) {
    throw failure(why == EACCES || why == EPERM ? exit_code::not_allowed : exit_code::broken,
                  fmt::format("the bridge's record of {} can't be made in {}: {}", short_bytes(size), record_folder,
                              std::strerror(why)));
}

// Until it has a name, nothing is left of it when this process is killed.
int nameless_file(std::uint64_t size) {
    const int file = os::above_standard(::open(record_folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (file < 0) raise_no_record(size, errno);
    const int error = os::size_is_allowed(size) ? os::reserve(file, size) : EFBIG;
    if (error == 0) return file;
    os::close(file);
    raise_no_record(size, error);
}

}  // namespace

std::string_view to_string(bridge_direction direction) noexcept {
    return direction == bridge_direction::out ? "out" : "in";
}

bool is_record(const record_header& header, std::uint64_t file_size) noexcept {
    const bool has_direction = header.direction == static_cast<std::uint32_t>(bridge_direction::out) ||
                               header.direction == static_cast<std::uint32_t>(bridge_direction::in);
    const bool has_entries =
        header.entries == 0 || (std::has_single_bit(header.entries) && header.entries >= delivery_table::ways &&
                                header.entries <= most_record_entries);
    return header.magic == record_header::right_magic && header.version == record_header::right_version &&
           has_direction && has_entries && file_size == size_of_record(header.entries);
}

// A server says the time when it has made the consumer; once it was restarted, the time when it has written that down.
bool is_same_consumer(std::int64_t created, std::int64_t other) noexcept {
    constexpr std::int64_t soon = 2'000'000'000;
    return created < other + soon && other < created + soon;
}

std::uint64_t hash_of(const bridge_key& key) noexcept {
    fnv1a all;
    all.add(static_cast<std::uint64_t>(key.direction));
    all.add(key.queue);
    all.add(key.queue_identity);
    all.add(key.stream);
    all.add(key.target);
    all.add(static_cast<std::uint64_t>(key.stream_created));
    return all.value();
}

std::optional<record_file> record_file::open(const std::string& name) {
    const int file =
        os::above_standard(::open(path_of(name).c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (file < 0) return std::nullopt;
    record_file opened(name, file);
    struct ::stat found {};
    if (::fstat(file, &found) != 0 || !S_ISREG(found.st_mode)) return std::nullopt;
    if (found.st_uid != ::geteuid() || (found.st_mode & 022U) != 0) return std::nullopt;
    const auto size = static_cast<std::uint64_t>(found.st_size);
    if (size < record_table_offset || !opened.map(size) || !is_record(opened.header(), size)) return std::nullopt;
    return opened;
}

std::optional<record_file> record_file::create(const bridge_key& key, std::uint64_t entries, int number) {
    const std::uint64_t size = size_of_record(entries);
    record_file made(fmt::format("{}{:016x}.{}", record_prefix, hash_of(key), number), nameless_file(size));
    if (!made.map(size)) raise_no_record(size, errno);
    record_header& header = *new (made.header_) record_header{};
    header.magic = record_header::right_magic;
    header.version = record_header::right_version;
    header.direction = static_cast<std::uint32_t>(key.direction);
    header.entries = entries;
    header.queue_identity = key.queue_identity;
    header.consumer_created = key.consumer_created;
    header.key = hash_of(key);
    store_text(header.queue, key.queue);
    store_text(header.stream, key.stream);
    store_text(header.target, key.target);
    if (const int error = os::lock_byte(made.file_, owner_byte, os::lock_kind::exclusive); error != 0)
        raise_no_record(size, error);
    const auto from = os::path_of(made.file_);
    if (::linkat(AT_FDCWD, from.text, AT_FDCWD, path_of(made.name_).c_str(), AT_SYMLINK_FOLLOW) == 0) return made;
    if (errno == EEXIST) return std::nullopt;
    raise_no_record(size, errno);
}

record_file::~record_file() {
    if (header_ != nullptr) ::munmap(header_, size_);
    if (file_ >= 0) os::close(file_);
}

bool record_file::map(std::uint64_t size) noexcept {
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (at == MAP_FAILED) return false;
    header_ = static_cast<record_header*>(at);
    size_ = size;
    return true;
}

delivery_table record_file::table() const noexcept {
    auto* const begin = reinterpret_cast<delivery_entry*>(reinterpret_cast<std::byte*>(header_) + record_table_offset);
    // Not what the header says now: others of this user can write to it.
    return delivery_table({begin, (size_ - record_table_offset) / sizeof(delivery_entry)});
}

bool record_file::is_below_floor(const delivery& of) const noexcept {
    return of.sequence <= header_->floor.load(std::memory_order_acquire) &&
           of.timestamp <= header_->floor_time.load(std::memory_order_relaxed);
}

bool record_file::lock() const noexcept {
    return os::lock_byte(file_, owner_byte, os::lock_kind::exclusive) == 0 && is_named();
}

void record_file::unlock() const noexcept { static_cast<void>(os::lock_byte(file_, owner_byte, os::lock_kind::none)); }

bool record_file::is_owned() const noexcept { return os::byte_is_locked(file_, owner_byte); }

bool record_file::is_named() const noexcept {
    struct ::stat named {};
    return ::lstat(path_of(name_).c_str(), &named) == 0 && os::is_file(file_, named);
}

void record_file::remove() const noexcept {
    if (is_named()) ::unlink(path_of(name_).c_str());
}

}  // namespace promisqs_tool
