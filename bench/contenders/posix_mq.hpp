// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inherited_ends.hpp"

#include <fcntl.h>
#include <mqueue.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace bench {

/// A message queue of POSIX.
///
/// Its capacity is often less than what was asked for: the kernel allows fs.mqueue.msg_max messages in a queue (10,
/// unless somebody has raised it), more to the privileged, and to all no more bytes than RLIMIT_MSGQUEUE. It is halved
/// until it fits.
template <class T>
class posix_mq {
public:
    using value_type = T;
    static constexpr const char* name = "posix_mq";
    static constexpr bool crosses_processes = true;

    static posix_mq create(const std::string& segment, std::uint64_t capacity) {
        raise_limit();
        for (; capacity > 0; capacity /= 2) {
            descriptor queue = try_create("/" + segment, capacity);
            if (queue.get() < 0) continue;
            descriptor copy(::fcntl(queue.get(), F_DUPFD_CLOEXEC, 0), "fcntl");
            return posix_mq(inherited_ends(segment, std::move(queue), std::move(copy)), capacity);
        }
        throw std::runtime_error("no message queue can be had for messages of " + std::to_string(sizeof(T)) +
                                 " bytes: fs.mqueue.msgsize_max is " + limit("msgsize_max") + ", msg_max " +
                                 limit("msg_max") + ", queues_max " + limit("queues_max"));
    }
    static posix_mq open(const std::string& segment, side where) { return posix_mq({segment, where}, 0); }

    // An attempt that may wait until a time in the past: whether it waits would otherwise be a property of the opened
    // queue.
    bool push(const T& message) {
        const ::timespec past{};
        return !would_wait(::mq_timedsend(ends_.producers(), data(message), sizeof message, 0, &past), "mq_timedsend");
    }
    void push_wait(const T& message) {
        while (would_wait(::mq_send(ends_.producers(), data(message), sizeof message, 0), "mq_send")) {}
    }

    bool pop(T& out) {
        const ::timespec past{};
        return !would_wait(::mq_timedreceive(ends_.consumers(), data(out), sizeof out, nullptr, &past),
                           "mq_timedreceive");
    }
    void pop_wait(T& out) {
        while (would_wait(::mq_receive(ends_.consumers(), data(out), sizeof out, nullptr), "mq_receive")) {}
    }

    /// How many messages it really holds; zero if this is not the one that was created.
    [[nodiscard]] std::uint64_t capacity() const noexcept { return capacity_; }

private:
    posix_mq(inherited_ends ends, std::uint64_t capacity) : ends_(std::move(ends)), capacity_(capacity) {}

    static void raise_limit() {
        ::rlimit bytes{};
        if (::getrlimit(RLIMIT_MSGQUEUE, &bytes) != 0) return;
        bytes.rlim_cur = bytes.rlim_max;
        ::setrlimit(RLIMIT_MSGQUEUE, &bytes);
    }

    /// \return  none if that is more than the system allows
    static descriptor try_create(const std::string& queue, std::uint64_t capacity) {
        ::mq_attr attributes{};
        attributes.mq_maxmsg = static_cast<long>(capacity);
        attributes.mq_msgsize = static_cast<long>(sizeof(T));
        const ::mqd_t opened = ::mq_open(queue.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
        if (opened < 0 && (errno == EINVAL || errno == EMFILE || errno == ENOMEM || errno == ENOSPC)) return {};
        descriptor result(opened, "mq_open");
        ::mq_unlink(queue.c_str());  // the children inherit it, and need no name
        return result;
    }

    static std::string limit(const std::string& which) {
        std::string value = "unknown";
        std::ifstream("/proc/sys/fs/mqueue/" + which) >> value;
        return value;
    }

    static bool would_wait(::ssize_t result, const char* call) {
        if (result >= 0) return false;
        if (errno == ETIMEDOUT || errno == EINTR) return true;
        throw_errno(call);
    }

    static char* data(T& message) { return reinterpret_cast<char*>(&message); }
    static const char* data(const T& message) { return reinterpret_cast<const char*>(&message); }

    inherited_ends ends_;
    std::uint64_t capacity_;
};

}  // namespace bench
