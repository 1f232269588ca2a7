// SPDX-License-Identifier: Apache-2.0
#pragma once

// A link to a server that is slow, and that can break: a proxy on the loopback.

#include "bridge/server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace promisqs_test {

class slow_link {
    using clock = std::chrono::steady_clock;

public:
    /// \param to     a port of the loopback
    /// \param delay  of each byte, in each direction
    /// \param rate   bytes in a second, in each direction of each connection
    slow_link(std::uint16_t to, std::chrono::milliseconds delay, std::uint64_t rate)
        : to_(to), delay_(delay), rate_(rate), port_(free_port()) {
        ::sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port_);
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (::bind(listener_, reinterpret_cast<::sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener_, 16) != 0) {
            throw std::runtime_error("the proxy can't listen");
        }
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    slow_link(const slow_link&) = delete;
    slow_link& operator=(const slow_link&) = delete;
    ~slow_link() {
        thread_ = {};
        ::close(listener_);
    }

    [[nodiscard]] std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
    /// Breaks all connections, in the middle of whatever passes.
    void cut() { cut_ = true; }
    [[nodiscard]] unsigned connections() const { return connections_; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

private:
    struct chunk {
        clock::time_point due;
        std::string bytes;
    };
    // From one socket to another.
    struct direction {
        int from;
        int to;
        std::deque<chunk> on_the_way = {};
        std::size_t size = 0;
        clock::time_point free_at = {};  // when the link has taken in what it was given
    };
    struct connection {
        std::array<direction, 2> ways;
        bool broken = false;
    };

    static constexpr std::size_t most_on_the_way = 256 * 1024;

    void run(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            await();
            for (int client = 0; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) accept(client);
            if (cut_.exchange(false)) {
                for (auto& one : all_) one.broken = true;
            }
            for (auto& one : all_) {
                for (auto& way : one.ways) {
                    if (!one.broken && !(take(way) && give(way))) one.broken = true;
                }
            }
            all_.remove_if([](const connection& one) { return one.broken && (close(one), true); });
        }
        for (const auto& one : all_) close(one);
    }

    static void close(const connection& one) {
        for (const auto& way : one.ways) ::close(way.from);
    }

    void accept(int client) {
        const int server = connection_to(to_);
        if (server < 0) {
            ::close(client);
            return;
        }
        ++connections_;
        all_.push_back({{direction{client, server}, direction{server, client}}});
    }

    void await() const {
        std::vector<::pollfd> files{{listener_, POLLIN, 0}};
        bool some_on_the_way = false;
        for (const auto& one : all_) {
            for (const auto& way : one.ways) {
                if (way.size < most_on_the_way) files.push_back({way.from, POLLIN, 0});
                some_on_the_way = some_on_the_way || way.size != 0;
            }
        }
        ::poll(files.data(), files.size(), some_on_the_way ? 1 : 20);
    }

    // False: it is at its end.
    bool take(direction& way) {
        if (way.size >= most_on_the_way) return true;
        std::array<char, 16384> some{};
        const auto size = ::recv(way.from, some.data(), some.size(), MSG_DONTWAIT);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        if (size == 0) return false;
        const std::chrono::nanoseconds time(
            static_cast<std::int64_t>(static_cast<std::uint64_t>(size) * 1'000'000'000 / rate_));
        way.free_at = std::max(way.free_at, clock::now()) + time;
        way.on_the_way.push_back({way.free_at + delay_, {some.data(), static_cast<std::size_t>(size)}});
        way.size += static_cast<std::size_t>(size);
        return true;
    }

    bool give(direction& way) {
        while (!way.on_the_way.empty() && way.on_the_way.front().due <= clock::now()) {
            auto& first = way.on_the_way.front().bytes;
            const auto size = ::send(way.to, first.data(), first.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            if (size < 0) return errno == EAGAIN || errno == EINTR;
            bytes_ += static_cast<std::uint64_t>(size);
            way.size -= static_cast<std::size_t>(size);
            first.erase(0, static_cast<std::size_t>(size));
            if (first.empty()) way.on_the_way.pop_front();
        }
        return true;
    }

    std::uint16_t to_;
    std::chrono::milliseconds delay_;
    std::uint64_t rate_;
    std::uint16_t port_;
    int listener_ = -1;
    std::list<connection> all_ = {};
    std::atomic<bool> cut_ = false;
    std::atomic<unsigned> connections_ = 0;
    std::atomic<std::uint64_t> bytes_ = 0;
    std::jthread thread_;
};

}  // namespace promisqs_test
