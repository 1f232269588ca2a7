// SPDX-License-Identifier: Apache-2.0

#include "export/http_server.hpp"

#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "text/text.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <fmt/format.h>

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace promisqs_tool {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using response = http::response<http::string_body>;

constexpr std::chrono::seconds patience{10};
constexpr std::uint32_t longest_header = 8192;
constexpr int most_clients = 48;

// The page, or why there is none at the moment: that must not end the server.
void put_page(response& into, const served_page& page) {
    try {
        into.body() = page.content();
        into.set(http::field::content_type, page.content_type);
    } catch (const std::exception& error) {
        into.result(http::status::internal_server_error);
        into.body() = fmt::format("{}\n", printable(error.what()));
    }
}

// Of "/metrics?x", or of "http://host/metrics?x", as clients of a proxy ask for it.
std::string_view path_of(std::string_view target) {
    constexpr std::string_view scheme = "http://";
    target = target.substr(0, target.find('?'));
    if (!target.starts_with(scheme)) return target;
    const std::size_t slash = target.find('/', scheme.size());
    return slash == target.npos ? std::string_view("/") : target.substr(slash);
}

response answer_to(const http::request<http::empty_body>& asked, const served_page& page) {
    const std::string_view path = path_of({asked.target().data(), asked.target().size()});
    response result;
    result.version(asked.version());
    result.keep_alive(asked.keep_alive());
    result.set(http::field::content_type, "text/plain; charset=utf-8");
    if (asked.method() != http::verb::get && asked.method() != http::verb::head) {
        result.result(http::status::method_not_allowed);
        result.set(http::field::allow, "GET, HEAD");
        result.body() = "Expected GET or HEAD.\n";
    } else if (path == page.path) {
        put_page(result, page);
    } else if (path == "/") {
        result.body() = fmt::format("promisqs: the figures are at {}\n", page.path);
    } else {
        result.result(http::status::not_found);
        result.body() = fmt::format("There is nothing here. The figures are at {}\n", page.path);
    }
    result.prepare_payload();
    return result;
}

response refusal() {
    response result(http::status::bad_request, 11);
    result.keep_alive(false);
    result.set(http::field::content_type, "text/plain; charset=utf-8");
    result.body() = "Expected a request of HTTP, without a body, of at most 8 KiB.\n";
    result.prepare_payload();
    return result;
}

/// One client. It lives as long as an operation on its connection is under way.
class http_session : public std::enable_shared_from_this<http_session> {
public:
    http_session(tcp::socket socket, const served_page& page, std::function<void()> at_end)
        : stream_(std::move(socket)), page_(page), at_end_(std::move(at_end)) {}
    http_session(const http_session&) = delete;
    http_session& operator=(const http_session&) = delete;
    ~http_session() { at_end_(); }

    /// Whether it waits for a request.
    [[nodiscard]] bool is_idle() const noexcept { return is_idle_; }
    /// Ends what it waits for, and so the session.
    void close() { stream_.close(); }

    void read() {
        is_idle_ = true;
        parser_.emplace();
        parser_->header_limit(longest_header);
        parser_->body_limit(std::uint64_t{0});
        stream_.expires_after(patience);
        http::async_read(stream_, buffer_, *parser_,
                         [self = shared_from_this()](beast::error_code error, std::size_t) { self->answer(error); });
    }

private:
    // Why a request is refused, other than that its client has gone, or takes too long.
    static bool is_bad_request(const beast::error_code& error) {
        return error.category() == http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message;
    }

    void answer(const beast::error_code& error) {
        is_idle_ = false;
        if (error && !is_bad_request(error)) return;
        answer_ = error ? refusal() : answer_to(parser_->get(), page_);
        is_head_ = !error && parser_->get().method() == http::verb::head;
        stream_.expires_after(patience);
        const auto written = [self = shared_from_this()](beast::error_code failed, std::size_t) {
            if (!failed && self->answer_.keep_alive()) return self->read();
            self->stream_.socket().shutdown(tcp::socket::shutdown_send, failed);
        };
        serializer_.emplace(answer_);
        if (is_head_) {
            http::async_write_header(stream_, *serializer_, written);
        } else {
            http::async_write(stream_, *serializer_, written);
        }
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{std::size_t{2} * longest_header};
    const served_page& page_;
    std::function<void()> at_end_;
    std::optional<http::request_parser<http::empty_body>> parser_;
    response answer_;
    std::optional<http::response_serializer<http::string_body>> serializer_;
    bool is_head_ = false;
    bool is_idle_ = false;
};

/// Takes clients in, and stops when the program is interrupted.
class http_server : public std::enable_shared_from_this<http_server> {
public:
    http_server(asio::io_context& loop, const tcp::endpoint& where, const served_page& page)
        : loop_(loop),
          acceptor_(loop),
          pause_(loop),
          interruption_(loop, ::dup(interruption_descriptor())),
          page_(page) {
        acceptor_.open(where.protocol());
        acceptor_.set_option(tcp::acceptor::reuse_address(true));
        acceptor_.bind(where);
        acceptor_.listen();
    }

    [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

    void start() {
        interruption_.async_wait(asio::posix::stream_descriptor::wait_read,
                                 [this](const beast::error_code&) { loop_.stop(); });
        accept();
    }

private:
    void accept() {
        is_accepting_ = clients_ < most_clients;
        if (!is_accepting_) return close_oldest_idle();
        acceptor_.async_accept([this](const beast::error_code& error, tcp::socket socket) {
            if (error) return accept_later();
            ++clients_;
            // Sessions may outlive the server: the loop destroys what it still has to do.
            const auto at_end = [server = weak_from_this()] {
                if (const auto still_there = server.lock()) still_there->ended();
            };
            const auto session = std::make_shared<http_session>(std::move(socket), page_, at_end);
            sessions_.push_back(session);
            session->read();
            accept();
        });
    }
    // Else clients that ask for nothing would keep others out. Its end lets the next one in.
    void close_oldest_idle() {
        for (const auto& one : sessions_) {
            const auto session = one.lock();
            if (session && session->is_idle()) return session->close();
        }
    }
    void ended() {
        --clients_;
        std::erase_if(sessions_, [](const auto& one) { return one.expired(); });
        if (!is_accepting_ && !loop_.stopped()) accept();
    }
    // There is no descriptor left, for instance. To try again at once would take all of a processor.
    void accept_later() {
        pause_.expires_after(std::chrono::milliseconds(100));
        pause_.async_wait([this](const beast::error_code&) { accept(); });
    }

    asio::io_context& loop_;
    tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    asio::posix::stream_descriptor interruption_;
    const served_page& page_;
    int clients_ = 0;
    std::list<std::weak_ptr<http_session>> sessions_;  // the oldest first
    bool is_accepting_ = false;
};

failure cannot_listen(const listen_address& where, const boost::system::error_code& error) {
    const std::string what =
        fmt::format("{} port {} can't be listened on: {}", where.address, where.port, error.message());
    if (error == asio::error::address_in_use) {
        return {exit_code::broken, what + ". Another program does (`ss -ltnp` says which). Choose another port"};
    }
    if (error == asio::error::access_denied) {
        return {exit_code::not_allowed, what + ". Choose a port from 1024 on"};
    }
    return {exit_code::wrong_use, what + ". Expected an address of this machine"};
}

[[noreturn]] void refuse(std::string_view text) {
    throw failure(
        exit_code::wrong_use,
        fmt::format("--listen: expected ADDRESS:PORT, such as 127.0.0.1:9100, [::1]:9100 or :9100, found \"{}\"",
                    printable(text)));
}

}  // namespace

listen_address parse_listen_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    const std::string_view digits = colon == std::string_view::npos ? text : text.substr(colon + 1);
    std::string_view address = colon == std::string_view::npos ? std::string_view() : text.substr(0, colon);
    const bool is_bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
    if (is_bracketed) address = address.substr(1, address.size() - 2);
    if (!is_bracketed && address.find(':') != std::string_view::npos) refuse(text);
    if (address.empty() || address == "localhost") address = "127.0.0.1";

    listen_address result{std::string(address), 0};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result.port);
    if (error != std::errc() || end != digits.data() + digits.size()) refuse(text);
    boost::system::error_code bad;
    static_cast<void>(asio::ip::make_address(result.address, bad));
    if (bad) refuse(text);
    return result;
}

void serve(const listen_address& where, const served_page& page, const std::function<void(std::string)>& when_ready) {
    asio::io_context loop(1);
    std::shared_ptr<http_server> server;
    try {
        server =
            std::make_shared<http_server>(loop, tcp::endpoint(asio::ip::make_address(where.address), where.port), page);
    } catch (const boost::system::system_error& error) {
        throw cannot_listen(where, error.code());
    }
    const tcp::endpoint found = server->endpoint();
    const bool is_version_6 = found.address().is_v6();
    when_ready(fmt::format("http://{}{}{}:{}{}", is_version_6 ? "[" : "", found.address().to_string(),
                           is_version_6 ? "]" : "", found.port(), page.path));
    server->start();
    loop.run();
}

}  // namespace promisqs_tool
