// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace promisqs_tool {

/// How to reach a NATS server, and as whom.
struct server_options {
    std::vector<std::string> urls;  ///< as typed: each may be a list with commas
    std::string credentials;        ///< a file with a JWT and its seed
    std::string nkey;               ///< a file with a seed, and with its public key
    std::string user;
    std::string password_file;
    std::string token_file;
    bool tls = false;
    std::string tls_ca;
    std::string tls_certificate;
    std::string tls_key;
    bool no_wait = false;  ///< a server that can't be reached at the start is an error
};

/// Adds them to a command.
void add_server_options(CLI::App& app, server_options& to);

/// What was typed, or NATS_URL, or the server on this machine: each server for itself.
[[nodiscard]] std::vector<std::string> server_urls(const server_options& from);

/// The file that was typed, or NATS_CREDS, if nothing else tells who connects.
[[nodiscard]] std::string credentials_file(const server_options& from);

/// An address without the password, or token, that may be in it; printable.
[[nodiscard]] std::string shown_url(const std::string& url);

/// All of them: "nats://a:4222, nats://b:4222".
[[nodiscard]] std::string shown_urls(const server_options& from);

}  // namespace promisqs_tool
