// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inherited_ends.hpp"
#include "whole_message.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace bench {

/// A pair of Unix sockets that keep the bounds of messages (SOCK_SEQPACKET): one call moves one message as a whole, so
/// that no attempt can end in the middle of one, as it can in a stream.
///
/// It is asked to hold as many messages as the capacity says; of large ones the system allows less (net.core.wmem_max).
template <class T>
class unix_socket {
public:
    using value_type = T;
    static constexpr const char* name = "unix_socket";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;

    static unix_socket create(const std::string& segment, std::uint64_t capacity) {
        std::array<int, 2> pair{};
        if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) throw_errno("socketpair");
        unix_socket result(inherited_ends(segment, {pair[0], "socketpair"}, {pair[1], "socketpair"}));
        // What the system adds to a message of a few bytes is about as much again as this.
        const auto wanted = capacity * (sizeof(T) + 512);
        const int size = static_cast<int>(std::min<std::uint64_t>(wanted, std::numeric_limits<int>::max() / 2));
        ::setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        return result;
    }
    static unix_socket open(const std::string& segment, side where) { return unix_socket({segment, where}); }

    bool push(const T& message) { return send(message, MSG_DONTWAIT); }
    void push_wait(const T& message) {
        while (!send(message, 0)) {}
    }

    bool pop(T& out) { return receive(out, MSG_DONTWAIT); }
    void pop_wait(T& out) {
        while (!receive(out, 0)) {}
    }

private:
    explicit unix_socket(inherited_ends ends) : ends_(std::move(ends)) {}

    bool send(const T& message, int flags) {
        return moved(::send(ends_.producers(), &message, sizeof message, flags | MSG_NOSIGNAL), "send") != 0;
    }
    bool receive(T& out, int flags) { return moved(::recv(ends_.consumers(), &out, sizeof out, flags), "recv") != 0; }

    inherited_ends ends_;
};

}  // namespace bench
