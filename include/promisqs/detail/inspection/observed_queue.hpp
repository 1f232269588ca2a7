// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a queue's file holds, as far as it can be believed: nothing is used that has not been checked.

#include <promisqs/detail/inspection/observed_ring.hpp>
#include <promisqs/detail/layout.hpp>
#include <promisqs/detail/lifecycle/validation.hpp>
#include <promisqs/detail/os/observed_file.hpp>
#include <promisqs/detail/os/process.hpp>
#include <promisqs/detail/raise.hpp>
#include <promisqs/error.hpp>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs::detail {

/// The first bytes of a queue's file.
struct observed_header {
    std::uint64_t magic = 0;
    layout::header_fields fields{};

    [[nodiscard]] bool operator==(const observed_header& other) const noexcept {
        return std::memcmp(this, &other, sizeof other) == 0;
    }
};
static_assert(sizeof(observed_header) == offsetof(layout::header, zero));

/// What one look at a queue has found: its header, checked, and its ring.
struct queue_view {
    observed_header stored;
    checked_header header;
    observed_file::facts file;
    observed_ring ring;
};

class observed_queue {
public:
    [[gnu::__cold__]] explicit observed_queue(std::string_view name) : file_(open(name)) {}
    [[gnu::__cold__]] explicit observed_queue(std::shared_ptr<const observed_file> file) : file_(std::move(file)) {}

    [[nodiscard]] const observed_file& file() const noexcept { return *file_; }
    [[nodiscard]] std::shared_ptr<const observed_file> shared_file() const noexcept { return file_; }
    [[nodiscard]] const std::string& name() const noexcept { return file_->name().text(); }

    /// The queue as it is now.
    ///
    /// \throws  `queue_error`, if it is none that can be read
    [[nodiscard, gnu::__cold__]] queue_view see() const {
        file_->forget();
        const observed_header stored = read_header();
        const observed_file::facts file = file_->describe();
        const checked_header header = check_header(name(), stored.fields, file.size);
        // A creator reserves all of it. A file of holes may claim elements that no memory can hold a copy of.
        constexpr std::uint64_t large = std::uint64_t{64} << 20;
        if (header.element_size > large && file.reserved < header.plan.segment_size)
            raise_corrupt({digits(header.plan.segment_size), " reserved bytes, found ", digits(file.reserved)});
        queue_view result{stored, header, file, observed_ring({*file_, header.plan}, header.capacity)};
        check_counters(result.ring);
        return result;
    }

    /// Throws if the file was cut short while it was read.
    [[gnu::__cold__]] void check_length() const {
        if (file_->cut_short()) raise_corrupt({"a file that keeps its length, found it cut short"});
    }

    [[nodiscard]] bool is_used() const noexcept { return file_->is_locked(layout::users_byte); }
    [[nodiscard]] bool is_locked() const noexcept { return file_->is_locked(layout::initialising_byte); }

private:
    [[gnu::__cold__]] static std::shared_ptr<const observed_file> open(std::string_view name) {
        check_name(name);
        os::process_lock lock;
        auto folder = object_folder::current();
        lock.unlock();
        if (!folder) raise_system_error(name, errno, concat({"open ", object_folder::path}));
        auto file = std::make_shared<const observed_file>(object_name(std::move(folder), std::string(name)));
        if (file->error() == ENOENT) {
            detail::raise(errc::not_found, name,
                          {"expected a shared memory object of this name, found none; see list_queues"});
        }
        if (file->error() != 0) raise_system_error(name, file->error(), "open it for reading");
        return file;
    }

    [[noreturn, gnu::__cold__]] static void raise_system_error(std::string_view name, int error,
                                                               std::string_view intention) {
        const bool denied = error == EACCES || error == EPERM;
        detail::raise(denied ? errc::no_permission : errc::system_failure, name,
                      {"could not ", intention, ": ", system_message(error), "; ",
                       denied ? "reading is needed: see options::permissions of its creator"
                              : "see the system's documentation of this error"});
    }

    // What another process writes meanwhile, it may write by halves: so the header is read until it stays the same.
    [[nodiscard, gnu::__cold__]] observed_header read_header() const {
        for (int tries = 0; tries < 8; ++tries) {
            std::uint64_t magic = 0;
            const std::uint64_t size = file_->describe().size;
            if (file_->is_regular() && size == 0) raise_unfinished();
            if (!file_->fetch(&magic, sizeof magic, 0)) raise_foreign(size);
            if (magic == layout::unfinished_magic) raise_unfinished();
            if (magic != layout::magic) raise_foreign(size);
            observed_header once;
            observed_header again;
            if (size < layout::participants_offset || !file_->fetch(&once, sizeof once, 0) ||
                !file_->fetch(&again, sizeof again, 0)) {
                raise_corrupt({"at least ", digits(layout::participants_offset), " bytes, found ", digits(size)});
            }
            if (once.magic == magic && once == again) return once;
        }
        raise_unfinished();
    }

    [[gnu::__cold__]] void check_counters(const observed_ring& ring) const {
        const ticket_space& space = ring.space();
        const std::uint64_t tail = ring.memory().tail().load(std::memory_order_relaxed);
        const std::uint64_t head = ring.memory().head().load(std::memory_order_relaxed);
        check_length();
        if (!space.valid(space.ticket_of(tail))) raise_corrupt({"a ticket as tail, found ", digits(tail)});
        if (!space.valid(head)) raise_corrupt({"a ticket as head, found ", digits(head)});
    }

    [[noreturn, gnu::__cold__]] void raise_foreign(std::uint64_t size) const {
        if (!file_->is_regular()) {
            detail::raise(errc::not_a_queue, name(),
                          {"expected a promisqs queue, found something that is no file; use another name"});
        }
        detail::raise(errc::not_a_queue, name(),
                      {"expected a promisqs queue, found a shared memory object of ", digits(size),
                       " bytes that does not begin like one; use another name"});
    }
    [[noreturn, gnu::__cold__]] void raise_unfinished() const {
        detail::raise(errc::unfinished, name(),
                      {"expected a complete queue, found ",
                       is_locked() ? "one that a process is building, or removing; look again"
                                   : "what is left of one: its creator died while building it, or its last user could "
                                     "not remove its name; create or open_or_create start over, remove removes it"});
    }
    [[noreturn, gnu::__cold__]] void raise_corrupt(std::initializer_list<std::string_view> details) const {
        detail::raise(
            errc::corrupt, name(),
            {"expected ", concat(details), "; something else has written into it: remove it and create it again"});
    }

    std::shared_ptr<const observed_file> file_;
};

}  // namespace promisqs::detail
