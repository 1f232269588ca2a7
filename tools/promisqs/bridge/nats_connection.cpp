// SPDX-License-Identifier: Apache-2.0

#include "bridge/nats_connection.hpp"

#include "bridge/nats_identity.hpp"
#include "system/interruption.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

constexpr std::int64_t connect_timeout = 2000;  // milliseconds
constexpr std::int64_t write_timeout = 5000;
constexpr std::int64_t ping_interval = 5000;
constexpr int pings_without_answer = 2;
constexpr std::chrono::seconds answer_timeout{5};

}  // namespace

/// Outlives the connection: the library calls it up to the end, from a thread of its own.
struct nats_connection::state {
    mutable std::mutex mutex;
    std::condition_variable changed;
    natsConnection* connection = nullptr;
    nats_identity identity;
    bool lost = false;
    bool ended = false;  // the library calls nothing any more
    std::string why;
    std::string complaint;  // the server's last one
    std::function<void()> on_lost;
    std::function<void()> on_complaint;

    void complain(std::string text) {
        std::function<void()> call;
        {
            const std::lock_guard lock(mutex);
            complaint = std::move(text);
            call = on_complaint;
        }
        if (call) call();
    }

    void lose(const std::string& reason) {
        std::function<void()> call;
        {
            const std::lock_guard lock(mutex);
            if (lost) return;
            lost = true;
            why = complaint.empty() ? reason : fmt::format("{}; it said: {}", reason, complaint);
            call = on_lost;
        }
        if (call) call();
    }

    static void disconnected(natsConnection* connection, void* closure) {
        const char* text = nullptr;
        const natsStatus status = natsConnection_GetLastError(connection, &text);
        const std::string reason = status == NATS_OK ? "the server closed it" : explain(status, text);
        (*static_cast<std::shared_ptr<state>*>(closure))->lose(reason);
    }
    static void closed(natsConnection* connection, void* closure) {
        disconnected(connection, closure);
        const std::unique_ptr<std::shared_ptr<state>> self(static_cast<std::shared_ptr<state>*>(closure));
        const std::lock_guard lock((*self)->mutex);
        (*self)->ended = true;
        (*self)->changed.notify_all();
    }
    static void complained(natsConnection* connection, natsSubscription* /*on*/, natsStatus status, void* closure) {
        const char* text = nullptr;
        static_cast<void>(natsConnection_GetLastError(connection, &text));
        const char* const said = text != nullptr && *text != '\0' ? text : natsStatus_GetText(status);
        (*static_cast<std::shared_ptr<state>*>(closure))->complain(printable(said));
    }

    void set_options(natsOptions* options, const server_options& wanted, void* closure) {
        const std::vector<std::string> urls = server_urls(wanted);
        std::vector<const char*> pointers;
        for (const std::string& one : urls) pointers.push_back(one.c_str());
        check(natsOptions_SetServers(options, pointers.data(), static_cast<int>(pointers.size())), "read --url");
        check(natsOptions_SetName(options, "promisqs bridge"), "set the connection's name");
        check(natsOptions_SetAllowReconnect(options, false), "switch reconnecting off");
        check(natsOptions_SetTimeout(options, connect_timeout), "set the time limit for connecting");
        check(natsOptions_SetWriteDeadline(options, write_timeout), "set the time limit for writing");
        check(natsOptions_SetPingInterval(options, ping_interval), "set the interval of pings");
        check(natsOptions_SetMaxPingsOut(options, pings_without_answer), "set the number of pings");
        check(natsOptions_SetDisconnectedCB(options, &disconnected, closure), "watch the connection");
        check(natsOptions_SetClosedCB(options, &closed, closure), "watch the connection");
        check(natsOptions_SetErrorHandler(options, &complained, closure), "watch the connection");
        identity.apply(options, wanted);
    }
};

nats_connection::nats_connection(const server_options& wanted) : state_(std::make_shared<state>()) {
    natsOptions* made = nullptr;
    check(natsOptions_Create(&made), "set up the connection");
    const nats_owned<natsOptions> options(made);
    auto closure = std::make_unique<std::shared_ptr<state>>(state_);
    state_->set_options(options.get(), wanted, closure.get());
    const natsStatus status = natsConnection_Connect(&state_->connection, options.get());
    if (status != NATS_OK) raise_connecting(status, shown_urls(wanted));
    static_cast<void>(closure.release());  // until it is closed
}

nats_connection::~nats_connection() {
    on_lost(nullptr);
    on_complaint(nullptr);
    natsConnection_Close(state_->connection);
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->ended; });
    lock.unlock();
    natsConnection_Destroy(state_->connection);
}

natsConnection* nats_connection::get() const noexcept { return state_->connection; }

bool nats_connection::is_lost() const {
    const std::lock_guard lock(state_->mutex);
    return state_->lost;
}

std::string nats_connection::why_lost() const {
    const std::lock_guard lock(state_->mutex);
    return state_->why;
}

std::string nats_connection::complaint() const {
    const std::lock_guard lock(state_->mutex);
    return state_->complaint;
}

void nats_connection::on_complaint(std::function<void()> call) {
    const std::lock_guard lock(state_->mutex);
    state_->on_complaint = std::move(call);
}

void nats_connection::on_lost(const std::function<void()>& call) {
    {
        const std::lock_guard lock(state_->mutex);
        state_->on_lost = call;
        if (!state_->lost) return;
    }
    if (call) call();
}

std::string nats_connection::url() const {
    std::array<char, 512> room{};
    const natsStatus status = natsConnection_GetConnectedUrl(state_->connection, room.data(), room.size());
    return status == NATS_OK ? shown_url(room.data()) : "the server";
}

std::int64_t nats_connection::most_payload() const noexcept { return natsConnection_GetMaxPayload(state_->connection); }

// Waits for the answer. The server tells at once, though not here, if this user may not ask.
nats_owned<natsMsg> nats_connection::wait_for_answer(natsSubscription* from, const std::string& name) const {
    const std::string what = fmt::format("get an answer to {}", printable(name));
    const bool was_interrupted = is_interrupted();
    const auto deadline = std::chrono::steady_clock::now() + answer_timeout;
    natsMsg* answer = nullptr;
    natsStatus status = NATS_TIMEOUT;
    while (status == NATS_TIMEOUT && std::chrono::steady_clock::now() < deadline) {
        if (!was_interrupted && is_interrupted()) throw nats_interrupted();
        if (const std::string said = complaint(); !said.empty())
            throw nats_problem(fmt::format("could not {}: the server says: {}", what, said), exit_code::not_allowed);
        constexpr std::int64_t slice = 50;  // milliseconds
        status = natsSubscription_NextMsg(&answer, from, slice);
    }
    nats_owned<natsMsg> got(answer);
    if (status == NATS_NO_RESPONDERS || (status == NATS_OK && natsMsg_IsNoResponders(answer)))
        throw nats_problem(fmt::format("{} has no JetStream: nobody there answers $JS.API.{}. Start the server with "
                                       "JetStream: nats-server -js",
                                       url(), printable(name)),
                           exit_code::broken);
    check(status, what);
    return got;
}

json nats_connection::ask(const std::string& name, const json& asked) const {
    {
        const std::lock_guard lock(state_->mutex);
        state_->complaint.clear();
    }
    const std::string subject = "$JS.API." + name;
    const std::string body = asked.is_null() ? "" : line_of(asked);
    const std::string inbox = new_inbox();
    natsSubscription* subscription = nullptr;
    check(natsConnection_SubscribeSync(&subscription, state_->connection, inbox.c_str()), "listen for answers");
    const std::unique_ptr<natsSubscription, void (*)(natsSubscription*)> owned(subscription, &natsSubscription_Destroy);
    check(natsConnection_PublishRequest(state_->connection, subject.c_str(), inbox.c_str(), body.data(),
                                        static_cast<int>(body.size())),
          fmt::format("ask for {}", printable(name)));
    return checked_answer(name, wait_for_answer(subscription, name).get());
}

std::string new_inbox() {
    natsInbox* made = nullptr;
    check(natsInbox_Create(&made), "make a subject for answers");
    const nats_owned<natsInbox> owned(made);
    return made;
}

}  // namespace promisqs_tool
