// SPDX-License-Identifier: Apache-2.0

// The bridges of a program that was built without the client's library.

#include "bridge/bridge_options.hpp"

namespace promisqs_tool {

namespace {

[[noreturn]] void raise_missing() {
    throw failure(
        exit_code::broken,
        "this program was built without the client library of NATS, so it has no bridge. Install libnats-dev, "
        "and build it again with -D PROMISQS_WITH_NATS=ON");
}

}  // namespace

exit_code run_bridge_out(const out_options& /*wanted*/) { raise_missing(); }
exit_code run_bridge_in(const in_options& /*wanted*/) { raise_missing(); }

}  // namespace promisqs_tool
