// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "inherited_ends.hpp"
#include "whole_message.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>

namespace bench {

/// A TCP connection over the loopback device, whose small messages are sent at once. How much it holds is up to the
/// system.
template <class T>
class tcp_socket {
public:
    using value_type = T;
    static constexpr const char* name = "tcp_socket";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;

    static tcp_socket create(const std::string& segment, std::uint64_t /*capacity*/) {
        const descriptor listener(new_socket(), "socket");
        ::sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<::sockaddr*>(&address);
        // Port 0: the system picks a free one, and says which.
        if (::bind(listener.get(), generic, size) != 0) throw_errno("bind to 127.0.0.1");
        if (::listen(listener.get(), 1) != 0) throw_errno("listen");
        if (::getsockname(listener.get(), generic, &size) != 0) throw_errno("getsockname");
        // The system completes the connection before anybody accepts it.
        descriptor producers(new_socket(), "socket");
        if (::connect(producers.get(), generic, size) != 0) throw_errno("connect to 127.0.0.1");
        descriptor consumers(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept");
        const int yes = 1;
        if (::setsockopt(producers.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0) throw_errno("TCP_NODELAY");
        return tcp_socket(inherited_ends(segment, std::move(producers), std::move(consumers)));
    }
    static tcp_socket open(const std::string& segment, side where) { return tcp_socket({segment, where}); }

    bool push(const T& message) {
        return try_message(
            sizeof message, [&] { return send_some(message, 0, MSG_DONTWAIT); },
            [&](std::size_t done) { return send_some(message, done, 0); });
    }
    void push_wait(const T& message) {
        finish_message(sizeof message, 0, [&](std::size_t done) { return send_some(message, done, 0); });
    }

    bool pop(T& out) {
        return try_message(
            sizeof out, [&] { return receive_some(out, 0, MSG_DONTWAIT); },
            [&](std::size_t done) { return receive_some(out, done, MSG_WAITALL); });
    }
    void pop_wait(T& out) {
        finish_message(sizeof out, 0, [&](std::size_t done) { return receive_some(out, done, MSG_WAITALL); });
    }

private:
    explicit tcp_socket(inherited_ends ends) : ends_(std::move(ends)) {}

    static int new_socket() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

    std::size_t send_some(const T& message, std::size_t offset, int flags) {
        const int all = flags | MSG_NOSIGNAL;
        return moved(::send(ends_.producers(), bytes_of(message, offset), sizeof message - offset, all), "send");
    }
    std::size_t receive_some(T& out, std::size_t offset, int flags) {
        return moved(::recv(ends_.consumers(), bytes_of(out, offset), sizeof out - offset, flags), "recv");
    }

    inherited_ends ends_;
};

}  // namespace bench
