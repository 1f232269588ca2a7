// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "temporary_path.hpp"

#include <unistd.h>
#include <zmq.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace bench {

/// ZeroMQ's PUSH and PULL over `ipc://`, a Unix socket that a thread of its own serves on each side.
template <class T>
class zeromq {
public:
    using value_type = T;
    static constexpr const char* name = "zeromq_ipc";
    static constexpr bool crosses_processes = true;
    static constexpr bool many_to_one_only = true;
    static constexpr bool processes_only = true;

    // A context has threads, and must not be forked: each side makes its own.
    static zeromq create(const std::string& segment, std::uint64_t capacity) {
        zeromq result(capacity);
        result.file_.emplace(path_of(segment));
        return result;
    }
    static zeromq open(const std::string& segment, side where) {
        zeromq result(most_messages);
        result.connect(path_of(segment), where);
        return result;
    }

    bool push(const T& message) {
        return socket_->send(zmq::buffer(&message, sizeof message), zmq::send_flags::dontwait).has_value();
    }
    void push_wait(const T& message) {
        static_cast<void>(socket_->send(zmq::buffer(&message, sizeof message), zmq::send_flags::none));
    }
    bool pop(T& out) { return socket_->recv(zmq::buffer(&out, sizeof out), zmq::recv_flags::dontwait).has_value(); }
    void pop_wait(T& out) { static_cast<void>(socket_->recv(zmq::buffer(&out, sizeof out), zmq::recv_flags::none)); }

private:
    static constexpr std::uint64_t most_messages = 1024;

    explicit zeromq(std::uint64_t capacity) {
        if (capacity != most_messages) throw std::runtime_error("its capacity is fixed, 1024 messages on each side");
    }

    void connect(const std::string& file, side where) {
        const std::string address = "ipc://" + file;
        context_ = std::make_unique<zmq::context_t>();
        if (where == side::producers) {
            socket_ = std::make_unique<zmq::socket_t>(*context_, zmq::socket_type::push);
            socket_->set(zmq::sockopt::sndhwm, static_cast<int>(most_messages));
            while (::access(file.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            socket_->connect(address);
        } else {
            socket_ = std::make_unique<zmq::socket_t>(*context_, zmq::socket_type::pull);
            socket_->set(zmq::sockopt::rcvhwm, static_cast<int>(most_messages));
            socket_->bind(address);
        }
    }

    std::optional<temporary_path> file_;  // of the one who created it
    std::unique_ptr<zmq::context_t> context_;
    std::unique_ptr<zmq::socket_t> socket_;
};

}  // namespace bench
