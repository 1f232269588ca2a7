// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/nats_problem.hpp"
#include "bridge/server_options.hpp"
#include "text/json.hpp"

#include <nats/nats.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace promisqs_tool {

struct nats_deleter {
    void operator()(natsMsg* one) const noexcept { natsMsg_Destroy(one); }
    void operator()(natsOptions* one) const noexcept { natsOptions_Destroy(one); }
    void operator()(natsInbox* one) const noexcept { natsInbox_Destroy(one); }
};
template <class T>
using nats_owned = std::unique_ptr<T, nats_deleter>;

/// A connection, from one life of the server's to its end: once lost, it stays lost, and what was sent and not answered
/// is in doubt. The client's library never connects again behind our back.
class nats_connection {
public:
    /// Connects, to any of the servers.
    ///
    /// \throws nats_problem  none can be reached, or none lets this user in
    explicit nats_connection(const server_options& wanted);
    nats_connection(const nats_connection&) = delete;
    nats_connection& operator=(const nats_connection&) = delete;
    /// No thread of the library calls anything of this object afterwards.
    ~nats_connection();

    [[nodiscard]] natsConnection* get() const noexcept;

    [[nodiscard]] bool is_lost() const;
    /// In a sentence, once it is lost.
    [[nodiscard]] std::string why_lost() const;
    /// What the server has said against what was done, last: that it is not permitted, for instance. Empty: nothing since
    /// the last question to JetStream.
    [[nodiscard]] std::string complaint() const;
    /// Called once, when it is lost, by a thread of the library; at once if it is lost already. To be set once.
    void on_lost(const std::function<void()>& call);

    /// Called by a thread of the library after each complaint. To be set once.
    void on_complaint(std::function<void()> call);

    /// Of the server that it leads to, without a password.
    [[nodiscard]] std::string url() const;
    /// The largest message that the server takes, with its headers; bytes.
    [[nodiscard]] std::int64_t most_payload() const noexcept;

    /// Asks JetStream's interface, and waits for the answer.
    ///
    /// \param name   what is asked for, behind "$JS.API.": "STREAM.INFO.orders"
    /// \param asked  the request; null: none is needed
    /// \throws jetstream_error  it answers with an error
    /// \throws nats_problem     it does not answer
    /// \throws nats_interrupted
    [[nodiscard]] json ask(const std::string& name, const json& asked = nullptr) const;

private:
    [[nodiscard]] nats_owned<natsMsg> wait_for_answer(natsSubscription* from, const std::string& name) const;

    struct state;
    std::shared_ptr<state> state_;
};

/// A subject that nobody else uses: "_INBOX.…".
[[nodiscard]] std::string new_inbox();

}  // namespace promisqs_tool
