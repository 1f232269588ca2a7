// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

namespace promisqs_tool {

/// Opening, creating and removing a queue wait for a process that builds it, or ends it. If that one is stopped, they
/// would wait for ever. So this is called before: it waits for a second at most.
///
/// \throws failure  the process has not finished; or this program was interrupted
void wait_until_unlocked(const std::string& name);

/// Counts this program among the users of a queue, apart from any handle, until the end of this object. So closing a
/// handle is never closing the last one, and leaves the queue where it is.
class users_lock {
public:
    /// Holds nothing if there is no queue, or this user may not open it: opening it says why.
    ///
    /// \throws failure  as `wait_until_unlocked`
    explicit users_lock(const std::string& name);
    users_lock(users_lock&& other) noexcept;
    users_lock& operator=(users_lock&& other) noexcept;
    ~users_lock();

    /// Whether it holds what the name leads to.
    [[nodiscard]] bool holds_named() const;

private:
    std::string path_;
    int file_ = -1;
};

/// A queue, or what is left of one, that no process uses. None can begin to as long as this object is there.
class unused_queue {
public:
    /// \return          nothing: a process uses it
    /// \throws failure  there is none; it is no queue; this user may not open it; and as `wait_until_unlocked`
    [[nodiscard]] static std::optional<unused_queue> hold(const std::string& name);

    unused_queue(unused_queue&& other) noexcept;
    unused_queue& operator=(unused_queue&&) = delete;
    ~unused_queue();

    /// Removes its name, and with it the queue.
    ///
    /// \throws failure  this user may not do that
    void remove();

private:
    explicit unused_queue(const std::string& name);
    [[nodiscard]] bool lock();

    std::string name_;
    std::string path_;
    int file_ = -1;
    bool is_used_ = false;
};

}  // namespace promisqs_tool
