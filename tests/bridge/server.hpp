// SPDX-License-Identifier: Apache-2.0
#pragma once

// A real nats-server on the loopback, with a store of its own, which tests start, stop, kill and start again.

#include "bridge/folder.hpp"
#include "support/skip.hpp"
#include "tool/run_tool.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <list>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace promisqs_test {

/// Where the server is, or an empty text. Debian has it in a folder that is not in everybody's PATH.
inline std::string nats_server_program() {
    const char* const path = ::getenv("PATH");
    std::istringstream folders(std::string(path == nullptr ? "" : path) + ":/usr/sbin:/usr/local/sbin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::string program = folder + "/nats-server";
        if (::access(program.c_str(), X_OK) == 0) return program;
    }
    return {};
}

/// The first line of a test of the bridge.
#define NEEDS_NATS_SERVER SKIP_UNLESS(!nats_server_program().empty(), "nats-server is not installed")

/// A port of the loopback that nobody listens on, at this moment.
inline std::uint16_t free_port() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::socklen_t size = sizeof address;
    const bool bound = ::bind(descriptor, reinterpret_cast<::sockaddr*>(&address), size) == 0 &&
                       ::getsockname(descriptor, reinterpret_cast<::sockaddr*>(&address), &size) == 0;
    ::close(descriptor);
    if (!bound) throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
}

/// A connection to a port of the loopback, or -1.
inline int connection_to(std::uint16_t port) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::connect(descriptor, reinterpret_cast<::sockaddr*>(&address), sizeof address) == 0) return descriptor;
    ::close(descriptor);
    return -1;
}

struct server_settings {
    bool jetstream = true;
    /// More of its configuration file: authorization, tls, cluster.
    std::string more = {};
    std::string name = "test";
    /// 0: any that is free.
    std::uint16_t port = 0;
};

class nats_server {
public:
    explicit nats_server(server_settings wanted = {}) : wanted_(std::move(wanted)) {
        const bool any_port = wanted_.port == 0;
        for (int attempts = any_port ? 5 : 1; attempts > 0; --attempts) {
            if (any_port) wanted_.port = free_port();
            if (attempt()) return;
        }
        throw std::runtime_error("nats-server does not start: " + log());
    }
    nats_server(const nats_server&) = delete;
    nats_server& operator=(const nats_server&) = delete;
    ~nats_server() { kill(); }

    [[nodiscard]] std::uint16_t port() const noexcept { return wanted_.port; }
    [[nodiscard]] std::string url() const { return "nats://127.0.0.1:" + std::to_string(port()); }
    /// The same with a user, perhaps a password, or a token.
    [[nodiscard]] std::string url_of(const std::string& user) const {
        return "nats://" + user + "@127.0.0.1:" + std::to_string(port());
    }
    [[nodiscard]] ::pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] const scoped_folder& folder() const noexcept { return folder_; }

    [[nodiscard]] std::string log() const {
        std::ifstream file(folder_ / "log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    /// Starts it again after `stop` or `kill`, on the same port and with the same store. Returns once it listens.
    void start() {
        if (!attempt()) throw std::runtime_error("nats-server does not start again: " + log());
    }
    /// With other settings, but for the port.
    void start(server_settings wanted) {
        wanted.port = wanted_.port;
        wanted_ = std::move(wanted);
        start();
    }
    /// Ends it in an orderly way.
    void stop() { end(SIGTERM); }
    void kill() { end(SIGKILL); }
    /// It keeps its connections, and does nothing.
    void freeze() const { ::kill(pid_, SIGSTOP); }
    void go_on() const { ::kill(pid_, SIGCONT); }

private:
    void end(int signal) {
        if (pid_ <= 0) return;
        ::kill(pid_, signal);
        if (signal != SIGKILL) ::kill(pid_, SIGCONT);
        wait_for(std::exchange(pid_, 0));
    }

    [[nodiscard]] std::string configuration() const {
        std::string text = "host: 127.0.0.1\nport: " + std::to_string(wanted_.port) + "\nserver_name: " + wanted_.name +
                           "\nwrite_deadline: \"10s\"\n";
        if (wanted_.jetstream) text += "jetstream { store_dir: \"" + (folder_ / "store") + "\" }\n";
        return text + wanted_.more;
    }

    bool attempt() {
        std::string program = nats_server_program();
        std::string file = folder_.write("conf", configuration());
        std::string option = "-c";
        const int log = ::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        std::array<char*, 4> raw{program.data(), option.data(), file.data(), nullptr};
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("could not start nats-server");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(log, STDOUT_FILENO);
            ::dup2(log, STDERR_FILENO);
            ::execv(program.c_str(), raw.data());
            ::_exit(127);
        }
        ::close(log);
        return comes_up();
    }

    // It greets whoever connects with a line of facts.
    bool comes_up() {
        for (int looks = 0; looks < 100 * 60; ++looks) {
            int status = 0;
            if (::waitpid(pid_, &status, WNOHANG) == pid_) {
                pid_ = 0;
                return false;
            }
            if (const int descriptor = connection_to(wanted_.port); descriptor >= 0) {
                std::array<char, 5> greeting{};
                const bool greets = ::recv(descriptor, greeting.data(), greeting.size(), MSG_WAITALL) == 5 &&
                                    std::string_view(greeting.data(), greeting.size()) == "INFO ";
                ::close(descriptor);
                if (greets) return true;
            }
            ::poll(nullptr, 0, 10);
        }
        return false;
    }

    scoped_folder folder_;
    server_settings wanted_;
    ::pid_t pid_ = 0;
};

/// Three servers, which elect leaders.
class nats_cluster {
public:
    nats_cluster() {
        std::array<std::uint16_t, 3> ports{};
        std::string routes;
        for (auto& port : ports) {
            port = free_port();
            routes += (routes.empty() ? "\"" : ", \"") + ("nats://127.0.0.1:" + std::to_string(port)) + '"';
        }
        for (std::size_t i = 0; i != ports.size(); ++i) {
            servers_.emplace_back(
                server_settings{.more = "cluster { name: test, host: 127.0.0.1, port: " + std::to_string(ports.at(i)) +
                                        ", routes: [" + routes + "] }\n",
                                .name = "test-" + std::to_string(i)});
        }
    }

    /// All of them, with commas.
    [[nodiscard]] std::string url() const {
        std::string all;
        for (const auto& one : servers_) all += (all.empty() ? "" : ",") + one.url();
        return all;
    }
    /// `test-0`, `test-1`, `test-2`.
    [[nodiscard]] nats_server& server(std::string_view name) {
        for (std::size_t i = 0; i != servers_.size(); ++i) {
            if (name == "test-" + std::to_string(i))
                return *std::next(servers_.begin(), static_cast<std::ptrdiff_t>(i));
        }
        throw std::runtime_error("no server is called " + std::string(name));
    }

private:
    std::list<nats_server> servers_;
};

}  // namespace promisqs_test
