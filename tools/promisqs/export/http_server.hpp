// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace promisqs_tool {

/// Where a server listens.
struct listen_address {
    std::string address;  ///< of version 4 or 6, in digits
    std::uint16_t port;   ///< 0: the system chooses one
};

/// "ADDRESS:PORT", "[ADDRESS]:PORT" for version 6; ":PORT" and "PORT" mean 127.0.0.1.
///
/// \throws failure  it is none
[[nodiscard]] listen_address parse_listen_address(std::string_view text);

/// A page of a server.
struct served_page {
    std::string path;
    std::string content_type;
    std::function<std::string()> content;
};

/// Serves a page by HTTP until the program is interrupted; "/" says where it is. Answers GET and HEAD. Each client has
/// ten seconds for a request, which must be small, and ten to take the answer. A few dozen clients are served at once;
/// if one more comes, the one that has asked for nothing for longest is sent away.
///
/// \param when_ready  is called with the URL, once clients can connect
/// \throws failure    the address can't be listened on
void serve(const listen_address& where, const served_page& page, const std::function<void(std::string)>& when_ready);

}  // namespace promisqs_tool
