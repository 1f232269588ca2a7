// SPDX-License-Identifier: Apache-2.0

#include "bridge/nats_identity.hpp"

#include "bridge/nats_connection.hpp"
#include "system/exit_code.hpp"
#include "system/processes.hpp"
#include "text/shell.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>
#include <vector>

namespace promisqs_tool {

namespace {

std::string text_of(const std::string& file, std::string_view option) {
    constexpr std::size_t most = std::size_t{1} << 16;
    errno = 0;
    auto text = text_of_file(file, most);
    if (!text)
        throw failure(exit_code::wrong_use, fmt::format("{} {}: the file can't be read: {}", option, printable(file),
                                                        std::generic_category().message(errno)));
    return *std::move(text);
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> all;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        while (line.ends_with('\r') || line.ends_with(' ')) line.remove_suffix(1);
        all.push_back(line);
    }
    return all;
}

std::string first_line(const std::string& file, std::string_view option) {
    const std::string text = text_of(file, option);
    const auto lines = lines_of(text);
    if (lines.empty() || lines.front().empty())
        throw failure(
            exit_code::wrong_use,
            fmt::format("{} {}: expected it in the file's first line, found an empty one", option, printable(file)));
    return std::string(lines.front());
}

// A key is 32 bytes or more, in letters and digits.
std::string_view key_in(const std::vector<std::string_view>& lines, std::string_view prefix) {
    constexpr std::size_t shortest = 40;
    for (const std::string_view one : lines) {
        const auto is_digit = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= '2' && c <= '7'); };
        if (one.starts_with(prefix) && one.size() >= shortest && std::all_of(one.begin(), one.end(), is_digit))
            return one;
    }
    return {};
}

void apply_tls(natsOptions* to, const server_options& wanted) {
    const bool has_files = !wanted.tls_ca.empty() || !wanted.tls_certificate.empty();
    const auto urls = server_urls(wanted);
    const bool is_asked =
        std::any_of(urls.begin(), urls.end(), [](const auto& one) { return one.starts_with("tls:"); });
    if (!wanted.tls && !has_files && !is_asked) return;
    check(natsOptions_SetSecure(to, true), "switch encryption on");
    const auto load = [](natsStatus status, const std::string& what) {
        if (status == NATS_OK) return;
        const char* const why = nats_GetLastError(nullptr);
        throw failure(exit_code::wrong_use, fmt::format("{}: it can't be used: {}", printable(what),
                                                        printable(why == nullptr ? natsStatus_GetText(status) : why)));
    };
    if (!wanted.tls_ca.empty())
        load(natsOptions_LoadCATrustedCertificates(to, wanted.tls_ca.c_str()), "--tls-ca " + wanted.tls_ca);
    if (!wanted.tls_certificate.empty())
        load(natsOptions_LoadCertificatesChain(to, wanted.tls_certificate.c_str(), wanted.tls_key.c_str()),
             "--tls-cert " + wanted.tls_certificate);
}

}  // namespace

void nats_identity::apply(natsOptions* to, const server_options& wanted) {
    if (const std::string file = credentials_file(wanted); !file.empty()) {
        static_cast<void>(text_of(file, "--creds"));  // the library reads it when it connects
        check(natsOptions_SetUserCredentialsFromFiles(to, file.c_str(), nullptr), "use --creds");
    } else if (!wanted.nkey.empty()) {
        apply_nkey(to, wanted.nkey);
    } else if (!wanted.user.empty()) {
        const std::string password =
            wanted.password_file.empty() ? "" : first_line(wanted.password_file, "--password-file");
        check(natsOptions_SetUserInfo(to, wanted.user.c_str(), password.c_str()), "use --user");
    } else if (!wanted.token_file.empty()) {
        check(natsOptions_SetToken(to, first_line(wanted.token_file, "--token-file").c_str()), "use --token-file");
    }
    apply_tls(to, wanted);
}

void nats_identity::apply_nkey(natsOptions* to, const std::string& file) {
    const std::string text = text_of(file, "--nkey");
    const auto lines = lines_of(text);
    const std::string_view seed = key_in(lines, "SU");
    const std::string_view key = key_in(lines, "U");
    if (seed.empty() || key.empty())
        throw failure(
            exit_code::wrong_use,
            fmt::format("--nkey {}: expected a line with a user's seed (SU…), and one with the public key (U…), found "
                        "{}. The command nk -inkey {} -pubout shows the public key",
                        printable(file), seed.empty() ? "no seed" : "no public key", shell_word(file)));
    seed_ = seed;
    check(natsOptions_SetNKey(to, std::string(key).c_str(), &sign, this), "use --nkey");
}

natsStatus nats_identity::sign(char** error, unsigned char** signature, int* length, const char* nonce, void* closure) {
    const natsStatus status = nats_Sign(static_cast<nats_identity*>(closure)->seed_.c_str(), nonce, signature, length);
    if (status != NATS_OK) *error = ::strdup("the seed can't sign");  // the library frees it
    return status;
}

}  // namespace promisqs_tool
