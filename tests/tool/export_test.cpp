// SPDX-License-Identifier: Apache-2.0

// `promisqs export`: what it prints is read by a small parser of Prometheus' format; its server is asked by bare sockets.

#include "support/catch.hpp"
#include "support/names.hpp"
#include "support/process.hpp"
#include "support/skip.hpp"
#include "tool/run_tool.hpp"
#include "tool/terminal.hpp"

#include <promisqs/queue.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

using promisqs_test::child;
using promisqs_test::printed_by;
using promisqs_test::run_tool;
using promisqs_test::running_tool;
using promisqs_test::scoped_name;
using promisqs_test::signal_pipe;
using queue = promisqs::shmem_queue<std::uint64_t>;

namespace {

const promisqs_test::role slow_consumer("slow_consumer", [](const promisqs_test::arguments& args) {
    auto q = queue::open(args[0]);
    static_cast<void>(q.pop_with([&](std::uint64_t) {
        signal_pipe::send(std::stoi(args[1]));
        for (;;) ::pause();
    }));
    return 0;
});

const promisqs_test::role creator_and_remover("creator_and_remover", [](const promisqs_test::arguments& args) -> int {
    for (;;) static_cast<void>(queue::create(args[0], 2));
});

bool has(std::string_view text, std::string_view what) { return text.find(what) != std::string_view::npos; }

using labels = std::map<std::string, std::string>;

/// The text format, version 0.0.4, as strictly as its description allows.
class parsed_metrics {
public:
    explicit parsed_metrics(const std::string& text) {
        if (text.empty() || text.back() != '\n') throw std::runtime_error("the last line does not end");
        std::istringstream in(text);
        for (std::string line; std::getline(in, line);) take(line);
    }

    /// The sample of a metric that has these labels, among others.
    [[nodiscard]] std::optional<double> value(const std::string& metric, const labels& wanted) const {
        const auto samples = samples_.find(metric);
        if (samples == samples_.end()) return std::nullopt;
        for (const auto& [has_labels, number] : samples->second) {
            if (std::includes(has_labels.begin(), has_labels.end(), wanted.begin(), wanted.end())) return number;
        }
        return std::nullopt;
    }
    [[nodiscard]] const std::map<std::string, std::string>& types() const noexcept { return types_; }

private:
    [[noreturn]] static void refuse(const std::string& line, const char* why) {
        throw std::runtime_error(std::string(why) + ": " + line);
    }
    static bool is_name(std::string_view name) {
        const auto fits = [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':';
        };
        return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
               std::all_of(name.begin(), name.end(), fits);
    }

    void take(const std::string& line) {
        if (line.starts_with("# ")) return take_comment(line);
        const std::size_t end = line.find_first_of("{ ");
        if (end == std::string::npos) refuse(line, "no value");
        const std::string metric = line.substr(0, end);
        if (!is_name(metric)) refuse(line, "no name of a metric");
        if (metric != metric_ || !types_.contains(metric)) refuse(line, "a sample outside of its group");
        std::size_t at = end;
        labels found;
        if (line[at] == '{') found = take_labels(line, at);
        if (line.at(at) != ' ') refuse(line, "no space before the value");
        std::size_t used = 0;
        const double number = std::stod(line.substr(at + 1), &used);
        if (at + 1 + used != line.size()) refuse(line, "something after the value");
        if (!samples_[metric].emplace(found, number).second) refuse(line, "a sample twice");
    }

    void take_comment(const std::string& line) {
        std::istringstream words(line.substr(2));
        std::string kind;
        std::string metric;
        words >> kind >> metric;
        if (!is_name(metric)) refuse(line, "no name of a metric");
        if (kind == "HELP") {
            if (!helped_.insert(metric).second) refuse(line, "help twice");
            metric_ = metric;
        } else if (kind == "TYPE") {
            std::string type;
            words >> type;
            if (type != "counter" && type != "gauge") refuse(line, "no type");
            if (metric != metric_ || !types_.emplace(metric, type).second) refuse(line, "a type in the wrong place");
        } else {
            refuse(line, "no comment that means anything");
        }
    }

    static labels take_labels(const std::string& line, std::size_t& at) {
        labels found;
        while (line.at(at) != '}') {
            ++at;  // { or ,
            const std::size_t equals = line.find('=', at);
            const std::string name = line.substr(at, equals - at);
            if (equals == std::string::npos || !is_name(name) || line.at(equals + 1) != '"') refuse(line, "no label");
            std::string value;
            for (at = equals + 2; line.at(at) != '"'; ++at) {
                if (line[at] != '\\') {
                    value += line[at];
                    continue;
                }
                const char escaped = line.at(++at);
                if (escaped != '\\' && escaped != '"' && escaped != 'n') refuse(line, "no such escape");
                value += escaped == 'n' ? '\n' : escaped;
            }
            ++at;
            if (line.at(at) != ',' && line.at(at) != '}') refuse(line, "a label that does not end");
            if (!found.emplace(name, value).second) refuse(line, "a label twice");
        }
        ++at;
        return found;
    }

    std::string metric_;
    std::set<std::string> helped_;
    std::map<std::string, std::string> types_;
    std::map<std::string, std::map<labels, double>> samples_;
};

/// A connection to a port of this machine.
class client {
public:
    explicit client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        ::sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_port = htons(port);
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(socket_, reinterpret_cast<const ::sockaddr*>(&where), sizeof where) != 0) {
            throw std::runtime_error("nobody listens");
        }
    }
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() { ::close(socket_); }

    void send(std::string_view text) const {
        while (!text.empty()) {
            const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent < 0) return;  // it has had enough
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
    }
    /// All until the server closes the connection.
    [[nodiscard]] std::string rest() const {
        std::string all;
        std::array<char, 4096> some{};
        for (;;) {
            const auto size = ::recv(socket_, some.data(), some.size(), 0);
            if (size <= 0) return all;
            all.append(some.data(), static_cast<std::size_t>(size));
        }
    }
    /// One answer, whose head says how long it is.
    [[nodiscard]] std::string answer() const {
        std::string all;
        std::array<char, 4096> some{};
        for (;;) {
            const std::size_t head = all.find("\r\n\r\n");
            if (head != std::string::npos) {
                const std::size_t length = all.find("Content-Length: ");
                if (all.size() >= head + 4 + std::stoul(all.substr(length + 16))) return all;
            }
            const auto size = ::recv(socket_, some.data(), some.size(), 0);
            if (size <= 0) return all;
            all.append(some.data(), static_cast<std::size_t>(size));
        }
    }

private:
    int socket_;
};

std::string request(const std::string& line, const std::string& more = "Connection: close\r\n") {
    return line + " HTTP/1.1\r\nHost: here\r\n" + more + "\r\n";
}
std::string body_of(const std::string& answer) {
    const std::size_t head = answer.find("\r\n\r\n");
    return head == std::string::npos ? std::string() : answer.substr(head + 4);
}

/// `promisqs export --listen`, at a port that the system has chosen.
class exporter {
public:
    explicit exporter(promisqs_test::arguments names) : tool_(with_options(std::move(names))) {
        for (int looks = 0; looks < 60 * 100 && !has(tool_.err(), "/metrics"); ++looks) ::poll(nullptr, 0, 10);
        const std::string said = tool_.err();
        const std::string before = "http://127.0.0.1:";
        const std::size_t at = said.find(before);
        if (at == std::string::npos) throw std::runtime_error("it does not listen: " + said);
        port_ = static_cast<std::uint16_t>(std::stoul(said.substr(at + before.size())));
    }

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] running_tool& tool() noexcept { return tool_; }
    [[nodiscard]] std::string answer_to(const std::string& text) const {
        const client one(port_);
        one.send(text);
        return one.rest();
    }

private:
    static promisqs_test::arguments with_options(promisqs_test::arguments names) {
        names.insert(names.begin(), "export");
        names.insert(names.end(), {"--listen", ":0"});
        return names;
    }

    running_tool tool_;
    std::uint16_t port_ = 0;
};

}  // namespace

TEST_CASE("export prints the totals and gauges of each queue in Prometheus' format") {
    const scoped_name name("export-all");
    auto q = queue::create(name, 10, {.participants = 7});
    for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(q.push(i));
    REQUIRE(q.pop());

    const auto result = run_tool({"export"});

    REQUIRE(result.exit == 0);
    CHECK(result.err.empty());
    const parsed_metrics found(result.out);
    const labels of{{"queue", name.str()}};
    CHECK(found.value("promisqs_messages_pushed_total", of) == 5);
    CHECK(found.value("promisqs_messages_popped_total", of) == 1);
    CHECK(found.value("promisqs_messages_dropped_total", of) == 0);
    CHECK(found.value("promisqs_messages_redelivered_total", of) == 0);
    CHECK(found.value("promisqs_tombstones_total", of) == 0);
    CHECK(found.value("promisqs_queue_messages", of) == 4);
    CHECK(found.value("promisqs_queue_capacity_messages", of) == 10);
    CHECK(found.value("promisqs_queue_element_bytes", of) == 8);
    CHECK(found.value("promisqs_queue_memory_bytes", of).value_or(0) >= 80);
    CHECK(found.value("promisqs_queue_participants_limit", of) == 7);
    CHECK(found.value("promisqs_queue_created_timestamp_seconds", of).value_or(0) > 1.6e9);
    CHECK(found.value("promisqs_queue_closed", of) == 0);
    CHECK(found.value("promisqs_queue_being_recovered", of) == 0);
    const auto participants = [&](const char* role, const char* alive) {
        return found.value("promisqs_participants", {{"queue", name.str()}, {"role", role}, {"alive", alive}});
    };
    CHECK(participants("both", "true") == 1);
    CHECK(participants("producer", "true") == 0);
    CHECK(participants("consumer", "false") == 0);
    CHECK(found.value("promisqs_queue_state", {{"queue", name.str()}, {"state", "in_use"}}) == 1);
    CHECK(found.value("promisqs_queue_state", {{"queue", name.str()}, {"state", "closed"}}) == 0);
    CHECK(found.value("promisqs_queues", {}).value_or(0) >= 1);
    for (const auto& [metric, type] : found.types()) {
        INFO(metric);
        CHECK(metric.starts_with("promisqs_"));
        CHECK(metric.ends_with("_total") == (type == "counter"));
    }
}

TEST_CASE("export prints what promtool finds no fault with") {
    SKIP_UNLESS(!printed_by("command -v promtool").empty(), "promtool is not installed");
    const scoped_name name("export-promtool");
    const auto q = queue::create(name, 10);
    CHECK(printed_by(std::string(PROMISQS_TOOL) + " export | promtool check metrics 2>&1").empty());
}

TEST_CASE("export writes names with odd characters so that they come back") {
    const scoped_name name("export-\"quoted\"-\n-\xff-ü");
    const auto q = queue::create(name, 10);
    const auto result = run_tool({"export", name.str()});
    REQUIRE(result.exit == 0);
    CHECK_FALSE(has(result.out, "\xff"));
    // As `promisqs ls` shows it.
    const std::string shown = "promisqs-test-" + std::to_string(::getpid()) + R"(-export-"quoted"-\x0a-\xff-ü)";
    CHECK(parsed_metrics(result.out).value("promisqs_queue_capacity_messages", {{"queue", shown}}) == 10);
}

TEST_CASE("export says that a queue is not there") {
    const scoped_name name("export-none");
    const auto result = run_tool({"export", name.str()});
    CHECK(result.exit == 3);
    CHECK(result.out.empty());
    CHECK(has(result.err, name.str()));
}

TEST_CASE("export's server answers each request with what is so then") {
    const scoped_name name("export-serves");
    auto q = queue::create(name, 10);
    exporter server({name.str()});
    const auto pushed = [&] {
        const std::string answer = server.answer_to(request("GET /metrics"));
        CHECK(answer.starts_with("HTTP/1.1 200 "));
        CHECK(has(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        return parsed_metrics(body_of(answer)).value("promisqs_messages_pushed_total", {{"queue", name.str()}});
    };
    CHECK(pushed() == 0);
    REQUIRE(q.push(1));
    CHECK(pushed() == 1);
    server.tool().signal(SIGINT);
    CHECK(server.tool().wait().exit == 0);
}

TEST_CASE("export leaves out queues that go while it looks") {
    const scoped_name name("export-going");
    const child other("creator_and_remover", {name.str()});
    for (int i = 0; i != 100; ++i) {
        const auto result = run_tool({"export"});
        INFO(result.err);
        REQUIRE(result.exit == 0);
    }
}

TEST_CASE("export's server says for how long a participant has held a message") {
    const scoped_name name("export-held");
    auto q = queue::create(name, 10);
    REQUIRE(q.push(1));
    const signal_pipe holds;
    const child consumer("slow_consumer", {name.str(), holds.writer()});
    holds.wait();
    const exporter server({name.str()});
    const auto held = [&](const char* operation) {
        const parsed_metrics found(body_of(server.answer_to(request("GET /metrics"))));
        return found.value("promisqs_held_seconds", {{"queue", name.str()}, {"operation", operation}}).value_or(-1);
    };
    const double before = held("pop");
    CHECK(before > 0);
    CHECK(held("pop") > before);
    CHECK(held("push") == 0);
}

TEST_CASE("export's server answers HEAD, and what it does not know") {
    const scoped_name name("export-head");
    const auto q = queue::create(name, 10);
    exporter server({name.str()});
    const std::string head = server.answer_to(request("HEAD /metrics"));
    CHECK(head.starts_with("HTTP/1.1 200 "));
    CHECK(body_of(head).empty());
    CHECK(has(body_of(server.answer_to(request("GET /"))), "/metrics"));
    CHECK(server.answer_to(request("GET /metrics?a=b")).starts_with("HTTP/1.1 200 "));
    CHECK(server.answer_to(request("GET /other")).starts_with("HTTP/1.1 404 "));
    const std::string post = server.answer_to(request("POST /metrics"));
    CHECK(post.starts_with("HTTP/1.1 405 "));
    CHECK(has(post, "Allow: GET, HEAD\r\n"));
    CHECK(server.answer_to("GET /metrics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

TEST_CASE("export's server refuses what is no request, and goes on") {
    const scoped_name name("export-refuses");
    const auto q = queue::create(name, 10);
    exporter server({name.str()});
    CHECK(server.answer_to("rubbish\r\n\r\n").starts_with("HTTP/1.1 400 "));
    CHECK(server.answer_to(std::string(64, '\0') + "\r\n").starts_with("HTTP/1.1 400 "));
    // As much as it takes, and more: it must not read on for ever. Its answer may be lost with the rest of the request.
    const std::string refused = server.answer_to("GET /metrics HTTP/1.1\r\nLong: " + std::string(1 << 20, 'x'));
    CHECK((refused.empty() || refused.starts_with("HTTP/1.1 400 ")));
    CHECK(server.answer_to(request("GET /metrics", "Content-Length: 5\r\n") + "hello").starts_with("HTTP/1.1 400 "));
    CHECK(server.answer_to(request("GET /metrics")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("export's server answers many clients, also beside some that send nothing, and one by one on a connection") {
    const scoped_name name("export-many");
    const auto q = queue::create(name, 10);
    exporter server({name.str()});
    std::list<client> silent;
    for (int i = 0; i < 20; ++i) {
        silent.emplace_back(server.port());
        silent.back().send("GET /met");
    }
    std::list<client> others;
    for (int i = 0; i < 100; ++i) {
        others.emplace_back(server.port());
        others.back().send(request("GET /metrics"));
    }
    for (const client& one : others) CHECK(one.rest().starts_with("HTTP/1.1 200 "));

    const client patient(server.port());
    for (int i = 0; i < 3; ++i) {
        patient.send(request("GET /metrics", ""));
        CHECK(patient.answer().starts_with("HTTP/1.1 200 "));
    }
    server.tool().signal(SIGTERM);
    CHECK(server.tool().wait().exit == 0);
}

TEST_CASE("export closes the connection of a client that takes too long") {
    const scoped_name name("export-slow");
    const auto q = queue::create(name, 10);
    const exporter server({name.str()});
    const client slow(server.port());
    slow.send("GET /metrics HTTP/1.1\r\n");
    CHECK(slow.rest().empty());
}

TEST_CASE("export says why it can't listen") {
    const scoped_name name("export-port");
    const auto q = queue::create(name, 10);
    exporter server({name.str()});
    const auto error_of = [](const std::string& where, int exit) {
        const auto result = run_tool({"export", "--listen", where});
        CHECK(result.exit == exit);
        return result.err;
    };
    CHECK(has(error_of("127.0.0.1:" + std::to_string(server.port()), 5), "Choose another port"));
    for (const char* bad :
         {"here", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "256.0.0.1:80", "::1:80", "[::1]80"}) {
        INFO(bad);
        CHECK(has(error_of(bad, 2), "expected ADDRESS:PORT"));
    }
    CHECK(has(error_of("192.0.2.1:9100", 2), "an address of this machine"));
}
