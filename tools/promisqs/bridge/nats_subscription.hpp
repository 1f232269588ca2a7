// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/nats_connection.hpp"

#include <functional>
#include <memory>
#include <string>

namespace promisqs_tool {

/// Handles messages of a subject in a thread of the client's library, up to the end of this object. It ends before the
/// connection.
class nats_subscription {
public:
    /// \param handle  is called with one message at a time; throws nothing
    nats_subscription(const nats_connection& on, const std::string& subject,
                      std::function<void(nats_owned<natsMsg>)> handle);
    nats_subscription(const nats_subscription&) = delete;
    nats_subscription& operator=(const nats_subscription&) = delete;
    /// Waits for the handler to return. What has come and was not handled is given up.
    ~nats_subscription();

    /// Tells the server to send no more, and waits until all that it has sent was handled.
    void drain() noexcept;

private:
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace promisqs_tool
