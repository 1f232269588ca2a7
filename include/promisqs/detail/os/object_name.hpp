// SPDX-License-Identifier: Apache-2.0
#pragma once

// The name of a shared memory object, and the folder in which the system keeps such objects.

#include <promisqs/detail/os/file.hpp>
#include <promisqs/detail/os/process.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

namespace promisqs::detail {

/// The folder in which the system keeps shared memory objects. It is held open, so that a process which has changed its
/// root directory since can still reach its queues.
class object_folder {
public:
    static constexpr const char* path = "/dev/shm";

    explicit object_folder(int descriptor) noexcept : descriptor_(descriptor) {}
    object_folder(const object_folder&) = delete;
    object_folder& operator=(const object_folder&) = delete;
    [[gnu::__cold__]] ~object_folder() {
        if (descriptor_ >= 0) os::close(descriptor_);
    }

    /// The folder as it is now. All handles that were opened in the same one share a descriptor. Null, with `errno`,
    /// if it can't be opened. The caller holds the process lock.
    [[gnu::__cold__]] static std::shared_ptr<const object_folder> current() {
        static remembered latest;
        struct ::stat now {};
        auto known = remembered::is_gone ? nullptr : latest.folder.lock();
        if (known && (::stat(path, &now) != 0 || os::is_file(known->descriptor_, now))) return known;
        auto fresh = std::make_shared<object_folder>(-1);  // first: a descriptor must not be lost for want of memory
        fresh->descriptor_ = os::above_standard(
            static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC)));
        if (fresh->descriptor_ < 0) return nullptr;
        known = std::move(fresh);
        if (!remembered::is_gone) latest.folder = known;
        return known;
    }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
    /// The folder that was opened last. At the program's end, other static objects may outlive it.
    struct remembered {
        std::weak_ptr<const object_folder> folder;
        remembered() = default;
        remembered(const remembered&) = delete;
        remembered& operator=(const remembered&) = delete;
        ~remembered() { is_gone = true; }
        static inline constinit bool is_gone = false;
    };

    int descriptor_;
};

/// The name of an object in its folder.
class object_name {
public:
    [[gnu::__cold__]] object_name(std::shared_ptr<const object_folder> folder, std::string name)
        : folder_(std::move(folder)), text_(std::move(name)) {}

    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    /// Another name in the same folder.
    [[nodiscard, gnu::__cold__]] object_name beside(std::string name) const { return {folder_, std::move(name)}; }

    /// Whether the name leads to nothing.
    [[nodiscard, gnu::__cold__]] bool is_free() const noexcept {
        struct ::stat named {};
        return ::fstatat(folder(), text_.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
    }

    /// Whether the name leads to something that is no file: a folder, a pipe, a link. Opening it could do something.
    [[nodiscard, gnu::__cold__]] bool is_irregular() const noexcept {
        struct ::stat named {};
        return ::fstatat(folder(), text_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(named.st_mode);
    }

    /// Whether the name leads to this file. Needs no permission on the object.
    [[nodiscard, gnu::__cold__]] bool leads_to(int file) const noexcept {
        struct ::stat named {};
        return ::fstatat(folder(), text_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && os::is_file(file, named);
    }

    // What follows returns -1, or false, with `errno`.

    /// A descriptor of what the name leads to.
    [[nodiscard, gnu::__cold__]] int open(int more_flags = 0) const noexcept {
        return os::above_standard(
            static_cast<int>(::syscall(SYS_openat, folder(), text_.c_str(),
                                       O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_LARGEFILE | more_flags, 0600)));
    }
    /// A descriptor of what the name leads to, for reading alone. (O_RDONLY has no bit.)
    [[nodiscard, gnu::__cold__]] int open_to_read() const noexcept {
        return os::above_standard(static_cast<int>(
            ::syscall(SYS_openat, folder(), text_.c_str(), O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_LARGEFILE, 0)));
    }
    /// A descriptor of a new file in the same folder that has no name.
    [[nodiscard, gnu::__cold__]] int open_nameless() const noexcept {
        return os::above_standard(
            static_cast<int>(::syscall(SYS_openat, folder(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC | O_LARGEFILE, 0600)));
    }
    /// Gives the name to a file that has none.
    [[nodiscard, gnu::__cold__]] bool give_to(int nameless) const noexcept {
        return ::linkat(AT_FDCWD, os::path_of(nameless).text, folder(), text_.c_str(), AT_SYMLINK_FOLLOW) == 0;
    }
    /// Gives the name to a file that has another one, too.
    [[nodiscard, gnu::__cold__]] bool give_to(const object_name& other) const noexcept {
        return ::linkat(other.folder(), other.text_.c_str(), folder(), text_.c_str(), 0) == 0;
    }
    [[gnu::__cold__]] bool remove() const noexcept { return ::unlinkat(folder(), text_.c_str(), 0) == 0; }

private:
    [[nodiscard]] int folder() const noexcept { return folder_->descriptor(); }

    std::shared_ptr<const object_folder> folder_;
    std::string text_;
};

}  // namespace promisqs::detail
