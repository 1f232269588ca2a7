// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/server_options.hpp"

#include <nats/nats.h>

#include <string>

namespace promisqs_tool {

/// As whom a connection is made, and how it is encrypted. Secrets are read from files, never from the command line,
/// which all users of the machine can see.
class nats_identity {
public:
    /// \param wanted  is used during the call alone
    /// \throws failure  a file can't be read, or is not what it should be
    void apply(natsOptions* to, const server_options& wanted);

private:
    void apply_nkey(natsOptions* to, const std::string& file);
    static natsStatus sign(char** error, unsigned char** signature, int* length, const char* nonce, void* closure);

    std::string seed_;  // as long as the connection is made
};

}  // namespace promisqs_tool
