// SPDX-License-Identifier: Apache-2.0

// What `promisqs bridge` refuses: each time a sentence, which says what to do. And what it does not refuse: those whom
// a server lets in.

#include "bridge/client.hpp"
#include "bridge/npm.hpp"
#include "bridge/server.hpp"
#include "bridge/waiting.hpp"
#include "support/catch.hpp"
#include "support/names.hpp"
#include "tool/messages.hpp"
#include "tool/run_tool.hpp"

#include <nlohmann/json.hpp>

#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>

using namespace promisqs_test;
using json = nlohmann::json;

namespace {

constexpr const char* schema = "{id:u64@0 price:f64@8}:16:8";

arguments bridge_out(const queue_of& queue, const std::string& url, const arguments& more = {}) {
    arguments all{"bridge", "out", queue.name(), "--to", "TEST", "--subject", "test", "--url", url, "--once"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}
arguments bridge_in(const queue_of& queue, const std::string& url, const arguments& more = {}) {
    arguments all{"bridge", "in", queue.name(), "--from", "TEST", "--consumer", "test", "--url", url, "--once"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

/// That both directions end at once, with one sentence in which these words are.
void check_refused(const queue_of& queue, const std::string& url, int exit,
                   std::initializer_list<std::string_view> words, const arguments& more = {}) {
    for (const auto& result : {run_tool(bridge_out(queue, url, more)), run_tool(bridge_in(queue, url, more))}) {
        INFO(result.err);
        CHECK(result.exit == exit);
        for (const std::string_view word : words) {
            INFO(word);
            CHECK(has(result.err, word));
        }
        CHECK(has(result.err, "promisqs"));
        CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
        CHECK(!has(result.err, "secret"));
    }
}

/// That a message of the queue comes into the stream, and back.
void check_passes(queue_of& queue, const std::string& url, const arguments& more = {}) {
    const message pushed(queue->element_size(), std::byte{0x2a});
    queue.push(pushed);
    const auto out = run_tool(bridge_out(queue, url, more));
    INFO(out.err);
    REQUIRE(out.exit == 0);
    REQUIRE(queue->empty());
    const auto in = run_tool(bridge_in(queue, url, more));
    INFO(in.err);
    REQUIRE(in.exit == 0);
    CHECK(queue.pop() == pushed);
}

/// Certificates that openssl makes: of an authority, of a server, and of a client.
class certificates {
public:
    certificates() {
        const std::string command =
            "cd " + folder_.str() +
            " && exec >log 2>&1 && req='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes' &&"
            " $req -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem &&"
            " $req -x509 -days 2 -subj /CN=stranger -keyout other.key -out other.pem &&"
            " echo subjectAltName=IP:127.0.0.1 >names &&"
            " for who in server client; do"
            "   $req -subj /CN=$who -keyout $who.key -out $who.csr &&"
            "   openssl x509 -req -days 2 -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names"
            "     -out $who.pem || exit; done";
        made_ = std::system(command.c_str()) == 0;  // NOLINT: the test's own text
    }
    [[nodiscard]] bool made() const noexcept { return made_; }
    [[nodiscard]] std::string file(const std::string& name) const { return folder_ / name; }
    [[nodiscard]] std::string server(const std::string& more = {}) const {
        return "tls { cert_file: \"" + file("server.pem") + "\", key_file: \"" + file("server.key") + "\", " + more +
               "}\n";
    }

private:
    scoped_folder folder_;
    bool made_;
};

}  // namespace

TEST_CASE("a bridge that finds no stream says how one is made") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const queue_of queue(schema);
    check_refused(queue, server.url(), 3, {"TEST", "stream not found", "nats stream add"});
}

TEST_CASE("a bridge to a server without JetStream says how it is switched on") {
    NEEDS_NATS_SERVER;
    const nats_server server({.jetstream = false});
    const queue_of queue(schema);
    check_refused(queue, server.url(), 5, {"JetStream", "nats-server -js", std::to_string(server.port())});
}

TEST_CASE("a bridge that need not wait ends if there is no server") {
    const queue_of queue(schema);
    const std::string url = "nats://127.0.0.1:" + std::to_string(free_port());
    check_refused(queue, url, 5, {url, "no server can be reached"}, {"--no-wait"});
}

TEST_CASE("a bridge waits for a server that is not there yet, and says so once") {
    NEEDS_NATS_SERVER;
    nats_server server;
    nats_client(server.url()).add_stream("TEST", "test");
    server.stop();
    queue_of queue(schema);
    queue.push(message(16));
    const running_tool bridge(bridge_out(queue, server.url()));
    REQUIRE(wait_until([&] { return has(bridge.err(), "no server can be reached"); }));
    server.start();
    REQUIRE(wait_until([&] { return bridge.has_ended(); }));
    INFO(bridge.err());
    CHECK(queue->empty());
    CHECK(has(bridge.err(), "connected"));
    const std::string said = bridge.err();
    CHECK(said.find("no server can be reached") == said.rfind("no server can be reached"));
}

TEST_CASE("a bridge that waits for a server ends when it is told to") {
    queue_of queue(schema);
    queue.push(message(16));
    running_tool bridge(bridge_out(queue, "nats://127.0.0.1:" + std::to_string(free_port())));
    REQUIRE(wait_until([&] { return has(bridge.err(), "no server can be reached"); }));
    bridge.signal(SIGTERM);
    CHECK(bridge.wait().exit == 0);
    CHECK(queue->size() == 1);
}

TEST_CASE("a bridge out of a queue that is removed carries what is in it, and ends") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    const nats_client client(server.url());
    client.add_stream("TEST", "test");
    queue_of queue(schema);
    queue.push(message(16));
    REQUIRE(run_tool({"rm", "--force", queue.name()}).exit == 0);
    queue.push(message(16));
    CHECK(run_tool(bridge_out(queue, server.url())).exit == 3);  // nobody comes to it any more

    queue_of another(schema);
    another.push(message(16));
    running_tool bridge({"bridge", "out", another.name(), "--to", "TEST", "--subject", "test", "--url", server.url()});
    REQUIRE(wait_until([&] { return client.stream("TEST").messages == 1; }));
    REQUIRE(run_tool({"rm", "--force", another.name()}).exit == 0);
    const auto ended = bridge.wait();
    INFO(ended.err);
    CHECK(ended.exit == 3);
    CHECK(has(ended.err, "1 message is in stream \"TEST\", until the queue was removed and is empty"));
}

TEST_CASE("a bridge to a stream of another type shows both") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    nats_client(server.url()).add_stream("TEST", "test");
    queue_of queue(schema);
    check_passes(queue, server.url());
    scoped_name other_name("bridge-other");
    const std::string other = "{id:u64@0 price:u64@8}:16:8";
    promisqs::untyped_queue other_queue = promisqs::untyped_queue::create(other_name, 8, other);
    REQUIRE(other_queue.push(message(16)));
    for (const arguments& direction : {arguments{"out", other_name.str(), "--to", "TEST", "--subject", "test"},
                                       arguments{"in", other_name.str(), "--from", "TEST", "--consumer", "other"}}) {
        arguments all{"bridge"};
        all.insert(all.end(), direction.begin(), direction.end());
        all.insert(all.end(), {"--url", server.url(), "--once"});
        const auto result = run_tool(all);
        INFO(result.err);
        CHECK(result.exit == 2);
        CHECK(has(result.err, schema));
        CHECK(has(result.err, other));
        CHECK(has(result.err, "TEST"));
    }
    CHECK(other_queue.size() == 1);
    CHECK(nats_client(server.url()).stream("TEST").messages == 1);
}

TEST_CASE("a bridge that is told another format than the messages have says which one they have") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    nats_client(server.url()).add_stream("TEST", "test");
    const std::string text = "u64";  // as many bytes as digits: only the format tells them apart
    scoped_name from("bridge-format-from");
    scoped_name to("bridge-format-to");
    promisqs::untyped_queue source = promisqs::untyped_queue::create(from, 8, text);
    promisqs::untyped_queue target = promisqs::untyped_queue::create(to, 8, text);
    constexpr std::uint64_t eight_digits = 12345678;
    REQUIRE(source.push(std::as_bytes(std::span(&eight_digits, 1))));
    const bool is_json = GENERATE(false, true);
    const auto run = [&](arguments all, bool as_json) {
        all.insert(all.end(), {"--url", server.url(), "--once", "--format", as_json ? "json" : "binary"});
        return run_tool(all);
    };
    REQUIRE(run({"bridge", "out", from.str(), "--to", "TEST", "--subject", "test"}, is_json).exit == 0);
    const arguments in{"bridge", "in", to.str(), "--from", "TEST", "--consumer", "test"};

    const auto refused = run(in, !is_json);

    INFO(refused.err);
    CHECK(refused.exit == 2);
    CHECK(has(refused.err, is_json ? "--format json" : "leave --format json out"));
    CHECK(target.empty());
    CHECK(run(in, is_json).exit == 0);
    CHECK(target.size() == 1);
}

TEST_CASE("a subject that no server would read is refused") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    nats_client(server.url()).add_stream("TEST", "test.>");
    const queue_of queue(schema);
    const auto out = run_tool({"bridge", "out", queue.name(), "--to", "TEST", "--subject",
                               "test." + std::string(4000, 'a'), "--url", server.url(), "--once"});
    INFO(out.err);
    CHECK(out.exit == 2);
    CHECK(has(out.err, "at most 3900 bytes for --subject, found 4005"));
}

TEST_CASE("a subject that the stream does not have is refused") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    nats_client(server.url()).add_stream("TEST", "other.>");
    queue_of queue(schema);
    queue.push(message(16));
    const auto result = run_tool(bridge_out(queue, server.url()));
    INFO(result.err);
    CHECK(result.exit == 2);
    CHECK(has(result.err, "other.>"));
    CHECK(queue->size() == 1);
    const auto in = run_tool(bridge_in(queue, server.url(), {"--subject", "test"}));
    INFO(in.err);
    CHECK(in.exit == 2);
    CHECK(has(in.err, "Choose a subject of the stream for --subject"));
}

TEST_CASE("a bridge for a queue that is not there says so") {
    NEEDS_NATS_SERVER;
    const nats_server server;
    nats_client(server.url()).add_stream("TEST", "test");
    const scoped_name name("bridge-none");
    const auto result =
        run_tool({"bridge", "out", name.str(), "--to", "TEST", "--subject", "test", "--url", server.url()});
    INFO(result.err);
    CHECK(result.exit == 3);
    CHECK(has(result.err, name.str()));
}

TEST_CASE("a wrong password is refused, and the right one lets in") {
    NEEDS_NATS_SERVER;
    const nats_server server({.more = "authorization { user: someone, password: right }\n"});
    const nats_client client(server.url_of("someone:right"));
    client.add_stream("TEST", "test");
    queue_of queue(schema);
    const std::string wrong = server.folder().write("wrong", "secret\n");
    const std::string right = server.folder().write("right", "right\n");
    check_refused(queue, server.url(), 4, {"credentials", "--user"});
    check_refused(queue, server.url(), 4, {"credentials", "--user"}, {"--user", "someone", "--password-file", wrong});
    check_refused(queue, server.url_of("someone:secret"), 4, {"credentials", "--user"});
    check_refused(queue, server.url(), 2, {"no-such-file"}, {"--user", "someone", "--password-file", "no-such-file"});
    check_passes(queue, server.url(), {"--user", "someone", "--password-file", right});
    check_passes(queue, server.url_of("someone:right"));
}

TEST_CASE("a wrong token is refused, and the right one lets in") {
    NEEDS_NATS_SERVER;
    const nats_server server({.more = "authorization { token: right }\n"});
    nats_client(server.url_of("right")).add_stream("TEST", "test");
    queue_of queue(schema);
    check_refused(queue, server.url(), 4, {"credentials", "--token-file"},
                  {"--token-file", server.folder().write("wrong", "secret\n")});
    check_passes(queue, server.url(), {"--token-file", server.folder().write("right", "right\n")});
}

TEST_CASE("a user who may not use the stream is told so") {
    NEEDS_NATS_SERVER;
    const nats_server server({.more = "authorization { users: [ { user: a, password: a },\n"
                                      "  { user: b, password: b, permissions: { publish: [\"other\"] } } ] }\n"});
    nats_client(server.url_of("a:a")).add_stream("TEST", "test");
    const queue_of queue(schema);
    check_refused(queue, server.url_of("b:b"), 4, {"ermission"});
}

TEST_CASE("an NKey, or credentials that an operator vouches for, let in; those of a stranger do not") {
    NEEDS_NATS_SERVER;
    NEEDS_NPM_CLIENT;
    const auto made = run_script("keys.js", {});
    INFO(made.err);
    REQUIRE(made.exit == 0);
    const json keys = json::parse(made.out);
    const scoped_folder folder;
    const std::string creds = folder.write("creds", keys.at("creds"));
    const std::string stranger = folder.write("stranger", keys.at("stranger"));
    queue_of queue(schema);
    {
        const nats_server server(
            {.more = "authorization { users: [ { nkey: " + keys.at("nkey_public").get<std::string>() + " } ] }\n"});
        check_refused(queue, server.url(), 4, {"credentials", "--nkey"});
        const auto made_stream = run_tool(
            bridge_out(queue, server.url(), {"--nkey", folder.write("nkey", keys.at("nkey")), "--create-stream"}));
        INFO(made_stream.err);
        REQUIRE(made_stream.exit == 0);
        check_passes(queue, server.url(), {"--nkey", folder / "nkey"});
    }
    const nats_server server({.more = keys.at("operator")});
    check_refused(queue, server.url(), 4, {"credentials", "--creds"}, {"--creds", stranger});
    REQUIRE(run_tool(bridge_out(queue, server.url(), {"--creds", creds, "--create-stream"})).exit == 0);
    check_passes(queue, server.url(), {"--creds", creds});
}

TEST_CASE("a bridge trusts no certificate but those of the authority that it is told") {
    NEEDS_NATS_SERVER;
    const certificates files;
    SKIP_UNLESS(files.made(), "openssl can't make certificates");
    queue_of queue(schema);
    const nats_server server({.more = files.server()});
    check_refused(queue, server.url(), 4, {"--tls-ca"}, {"--tls"});
    check_refused(queue, server.url(), 4, {"--tls-ca"}, {"--tls-ca", files.file("other.pem")});
    REQUIRE(run_tool(bridge_out(queue, server.url(), {"--tls-ca", files.file("ca.pem"), "--create-stream"})).exit == 0);
    check_passes(queue, server.url(), {"--tls-ca", files.file("ca.pem")});
}

TEST_CASE("a server that wants a certificate of the bridge is shown it") {
    NEEDS_NATS_SERVER;
    const certificates files;
    SKIP_UNLESS(files.made(), "openssl can't make certificates");
    queue_of queue(schema);
    const nats_server server({.more = files.server("ca_file: \"" + files.file("ca.pem") + "\", verify: true")});
    const arguments shown{"--tls-ca",  files.file("ca.pem"),    "--tls-cert", files.file("client.pem"),
                          "--tls-key", files.file("client.key")};
    const auto refused = run_tool(bridge_out(queue, server.url(), {"--tls-ca", files.file("ca.pem"), "--no-wait"}));
    CHECK(refused.exit != 0);
    arguments making = shown;
    making.emplace_back("--create-stream");
    const auto made = run_tool(bridge_out(queue, server.url(), making));
    INFO(made.err);
    REQUIRE(made.exit == 0);
    check_passes(queue, server.url(), shown);
}
