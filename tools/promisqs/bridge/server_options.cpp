// SPDX-License-Identifier: Apache-2.0

#include "bridge/server_options.hpp"

#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace promisqs_tool {

namespace {

// No other thread changes the environment.
std::string environment(const char* name) {
    const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? "" : value;
}

void append_parts(std::vector<std::string>& to, std::string_view list) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        std::string_view one = list.substr(0, end);
        list.remove_prefix(std::min(end + 1, list.size()));
        while (one.starts_with(' ')) one.remove_prefix(1);
        while (one.ends_with(' ')) one.remove_suffix(1);
        if (!one.empty()) to.emplace_back(one);
    }
}

}  // namespace

void add_server_options(CLI::App& app, server_options& to) {
    app.add_option("--url", to.urls, "The server, or servers of one cluster (NATS_URL, else nats://127.0.0.1:4222)")
        ->type_name("URL,...");
    CLI::Option* const credentials =
        app.add_option("--creds", to.credentials, "Connect with the credentials in this file (NATS_CREDS)")
            ->type_name("FILE");
    CLI::Option* const nkey =
        app.add_option("--nkey", to.nkey, "Connect with the NKey in this file: its seed and its public key")
            ->type_name("FILE")
            ->excludes(credentials);
    CLI::Option* const user = app.add_option("--user", to.user, "Connect as this user")
                                  ->type_name("NAME")
                                  ->excludes(credentials)
                                  ->excludes(nkey);
    app.add_option("--password-file", to.password_file, "The user's password is the first line of this file")
        ->type_name("FILE")
        ->needs(user);
    app.add_option("--token-file", to.token_file, "Connect with the token in the first line of this file")
        ->type_name("FILE")
        ->excludes(credentials)
        ->excludes(nkey)
        ->excludes(user);
    app.add_flag("--tls", to.tls, "Encrypt, and check the server's certificate");
    app.add_option("--tls-ca", to.tls_ca, "Trust the certificate authorities in this file, instead of the system's")
        ->type_name("FILE");
    CLI::Option* const certificate =
        app.add_option("--tls-cert", to.tls_certificate, "Show the server this certificate")->type_name("FILE");
    CLI::Option* const key =
        app.add_option("--tls-key", to.tls_key, "The private key of that certificate")->type_name("FILE");
    certificate->needs(key);
    key->needs(certificate);
    app.add_flag("--no-wait", to.no_wait, "End if no server can be reached at the start, instead of trying again");
}

std::vector<std::string> server_urls(const server_options& from) {
    std::vector<std::string> all;
    for (const std::string& list : from.urls) append_parts(all, list);
    if (all.empty()) append_parts(all, environment("NATS_URL"));
    if (all.empty()) all.emplace_back("nats://127.0.0.1:4222");
    return all;
}

std::string credentials_file(const server_options& from) {
    if (!from.credentials.empty()) return from.credentials;
    const bool is_somebody_else = !from.nkey.empty() || !from.user.empty() || !from.token_file.empty();
    return is_somebody_else ? "" : environment("NATS_CREDS");
}

std::string shown_url(const std::string& url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t at = url.rfind('@');
    if (at == std::string::npos || at < begin) return printable(url);
    return printable(url.substr(0, begin) + url.substr(at + 1));
}

std::string shown_urls(const server_options& from) {
    std::string all;
    for (const std::string& one : server_urls(from)) all += (all.empty() ? "" : ", ") + shown_url(one);
    return all;
}

}  // namespace promisqs_tool
