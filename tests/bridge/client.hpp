// SPDX-License-Identifier: Apache-2.0
#pragma once

// What tests do with a stream themselves: a client beside the bridge, by the C library.

#include <nats/nats.h>
#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_test {

template <auto Destroy>
struct destroyed_by {
    template <class T>
    void operator()(T* one) const noexcept {
        Destroy(one);
    }
};
template <class T, auto Destroy>
using nats_owned = std::unique_ptr<T, destroyed_by<Destroy>>;

struct nats_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void nats_check(::natsStatus status, std::string_view what) {
    if (status != NATS_OK) {
        ::natsStatus last = NATS_OK;
        const char* const more = ::nats_GetLastError(&last);
        throw nats_error(std::string(what) + ": " + ::natsStatus_GetText(status) + (more == nullptr ? "" : ", ") +
                         (more == nullptr ? "" : more));
    }
}

/// A message in a stream.
struct stored {
    std::uint64_t sequence = 0;
    std::string subject = {};
    std::string data = {};
    std::map<std::string, std::string> headers = {};
};

struct stream_facts {
    std::uint64_t messages;
    std::uint64_t last_sequence;
    std::string description;
    std::string leader;
    std::uint64_t consumers;
};

class nats_client {
public:
    explicit nats_client(const std::string& url) {
        ::natsOptions* options = nullptr;
        nats_check(::natsOptions_Create(&options), "options");
        const nats_owned<::natsOptions, ::natsOptions_Destroy> owned(options);
        std::vector<std::string> urls;
        for (std::size_t at = 0; at <= url.size();) {
            const auto end = std::min(url.find(',', at), url.size());
            urls.push_back(url.substr(at, end - at));
            at = end + 1;
        }
        std::vector<const char*> raw;
        for (const auto& one : urls) raw.push_back(one.c_str());
        nats_check(::natsOptions_SetServers(options, raw.data(), static_cast<int>(raw.size())), "servers");
        nats_check(::natsOptions_SetMaxReconnect(options, 600), "reconnects");
        nats_check(::natsOptions_SetReconnectWait(options, 100), "reconnects");
        nats_check(::natsOptions_SetTimeout(options, 30'000), "how long to wait for a connection");
        ::natsConnection* connection = nullptr;
        nats_check(::natsConnection_Connect(&connection, options), "connect to " + url);
        connection_.reset(connection);
        ::jsCtx* context = nullptr;
        nats_check(::natsConnection_JetStream(&context, connection, nullptr), "JetStream");
        context_.reset(context);
    }

    [[nodiscard]] ::natsConnection* connection() const noexcept { return connection_.get(); }
    [[nodiscard]] ::jsCtx* context() const noexcept { return context_.get(); }

    /// A stream with a store on disk, of one subject, that has no limits, but for those that `change` sets.
    void add_stream(const std::string& name, const std::string& subject,
                    const std::function<void(::jsStreamConfig&)>& change = {}) const {
        ::jsStreamConfig wanted;
        nats_check(::jsStreamConfig_Init(&wanted), "stream");
        const char* subjects[] = {subject.c_str()};
        wanted.Name = name.c_str();
        wanted.Subjects = subjects;
        wanted.SubjectsLen = 1;
        wanted.Storage = js_FileStorage;
        wanted.Discard = js_DiscardNew;
        if (change) change(wanted);
        ::jsErrCode error{};
        nats_check(::js_AddStream(nullptr, context(), &wanted, nullptr, &error), "add the stream " + name);
    }

    /// The same in a cluster, once that has enough servers to agree.
    void add_replicated_stream(const std::string& name, const std::string& subject, int replicas) const {
        patiently([&] { add_stream(name, subject, [&](::jsStreamConfig& wanted) { wanted.Replicas = replicas; }); });
    }

    /// Calls `change` with the stream's configuration, and stores it.
    void change_stream(const std::string& name, const std::function<void(::jsStreamConfig&)>& change) const {
        ::jsStreamInfo* found = nullptr;
        ::jsErrCode error{};
        nats_check(::js_GetStreamInfo(&found, context(), name.c_str(), nullptr, &error), "look at the stream " + name);
        const nats_owned<::jsStreamInfo, ::jsStreamInfo_Destroy> owned(found);
        ::jsStreamConfig wanted = *found->Config;
        change(wanted);
        nats_check(::js_UpdateStream(nullptr, context(), &wanted, nullptr, &error), "change the stream " + name);
    }

    [[nodiscard]] stream_facts stream(const std::string& name) const {
        ::jsStreamInfo* found = nullptr;
        ::jsErrCode error{};
        nats_check(::js_GetStreamInfo(&found, context(), name.c_str(), nullptr, &error), "look at the stream " + name);
        const nats_owned<::jsStreamInfo, ::jsStreamInfo_Destroy> owned(found);
        const auto text = [](const char* one) { return std::string(one == nullptr ? "" : one); };
        return {found->State.Msgs, found->State.LastSeq, text(found->Config->Description),
                found->Cluster == nullptr ? "" : text(found->Cluster->Leader),
                static_cast<std::uint64_t>(found->State.Consumers)};
    }

    /// The name of the server that leads a stream, once there is one.
    [[nodiscard]] std::string leader(const std::string& name) const {
        std::string found;
        patiently([&] {
            found = stream(name).leader;
            if (found.empty()) throw nats_error("no leader");
        });
        return found;
    }

    /// A pull consumer, with explicit acknowledgements.
    void add_consumer(const std::string& stream, const std::string& name,
                      const std::function<void(::jsConsumerConfig&)>& change = {}) const {
        ::jsConsumerConfig wanted;
        nats_check(::jsConsumerConfig_Init(&wanted), "consumer");
        wanted.Durable = name.c_str();
        wanted.AckPolicy = js_AckExplicit;
        if (change) change(wanted);
        ::jsErrCode error{};
        nats_check(::js_AddConsumer(nullptr, context(), stream.c_str(), &wanted, nullptr, &error),
                   "add the consumer " + name);
    }

    /// Lets a consumer deliver a message, and does nothing with it.
    void take_and_forget(const std::string& stream, const std::string& consumer) const {
        const std::string inbox = "take." + consumer;
        const std::string subject = "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer;
        ::natsSubscription* found = nullptr;
        nats_check(::natsConnection_SubscribeSync(&found, connection(), inbox.c_str()), "listen");
        const nats_owned<::natsSubscription, ::natsSubscription_Destroy> subscription(found);
        nats_check(::natsConnection_PublishRequestString(connection(), subject.c_str(), inbox.c_str(), ""), "ask");
        ::natsMsg* message = nullptr;
        nats_check(::natsSubscription_NextMsg(&message, found, 30'000), "take a message");
        ::natsMsg_Destroy(message);
    }

    /// Whether all that is in the stream was delivered, and acknowledged.
    [[nodiscard]] bool is_drained(const std::string& stream, const std::string& consumer) const {
        ::jsConsumerInfo* found = nullptr;
        ::jsErrCode error{};
        nats_check(::js_GetConsumerInfo(&found, context(), stream.c_str(), consumer.c_str(), nullptr, &error),
                   "look at the consumer " + consumer);
        const nats_owned<::jsConsumerInfo, ::jsConsumerInfo_Destroy> owned(found);
        return found->NumAckPending == 0 && found->NumPending == 0;
    }

    std::uint64_t publish(const std::string& subject, std::string_view data,
                          const std::map<std::string, std::string>& headers = {}) const {
        ::natsMsg* message = nullptr;
        nats_check(::natsMsg_Create(&message, subject.c_str(), nullptr, data.data(), static_cast<int>(data.size())),
                   "make a message");
        const nats_owned<::natsMsg, ::natsMsg_Destroy> owned(message);
        for (const auto& [name, value] : headers) {
            nats_check(::natsMsgHeader_Set(message, name.c_str(), value.c_str()), "add a header");
        }
        ::jsPubAck* ack = nullptr;
        ::jsErrCode error{};
        nats_check(::js_PublishMsg(&ack, context(), message, nullptr, &error), "publish to " + subject);
        const nats_owned<::jsPubAck, ::jsPubAck_Destroy> owned_ack(ack);
        return ack->Sequence;
    }

    /// Tries again until somebody takes it, always with the same id.
    void until_published(const std::string& subject, std::string_view data) const {
        patiently([&] { publish(subject, data, {{"Nats-Msg-Id", std::string(data)}}); });
    }

    /// Calls `each` with all that is in a stream now, in order.
    void read(const std::string& name, const std::string& subject,
              const std::function<void(const stored&)>& each) const {
        const std::uint64_t last = stream(name).last_sequence;
        if (stream(name).messages == 0) return;
        ::jsSubOptions options;
        nats_check(::jsSubOptions_Init(&options), "subscription");
        options.Ordered = true;
        options.Stream = name.c_str();
        ::natsSubscription* found = nullptr;
        ::jsErrCode error{};
        nats_check(::js_SubscribeSync(&found, context(), subject.c_str(), nullptr, &options, &error), "read " + name);
        const nats_owned<::natsSubscription, ::natsSubscription_Destroy> subscription(found);
        nats_check(::natsSubscription_SetPendingLimits(found, -1, -1), "receive without limits");
        for (std::uint64_t sequence = 0; sequence != last;) {
            const stored one = next(subscription.get());
            sequence = one.sequence;
            each(one);
        }
    }
    /// The same, also of a cluster that is about to elect a leader.
    [[nodiscard]] std::vector<stored> read(const std::string& name, const std::string& subject) const {
        std::vector<stored> all;
        patiently([&] {
            all.clear();
            read(name, subject, [&](const stored& one) { all.push_back(one); });
        });
        return all;
    }

    /// Does something that a server may not be ready for, again and again for a minute.
    static void patiently(const std::function<void()>& what) {
        for (int attempts = 0;; ++attempts) {
            try {
                return what();
            } catch (const nats_error&) {
                if (attempts == 600) throw;
            }
            ::poll(nullptr, 0, 100);
        }
    }

private:
    static stored next(::natsSubscription* subscription) {
        ::natsMsg* message = nullptr;
        nats_check(::natsSubscription_NextMsg(&message, subscription, 30'000), "read a message");
        const nats_owned<::natsMsg, ::natsMsg_Destroy> owned(message);
        ::jsMsgMetaData* facts = nullptr;
        nats_check(::natsMsg_GetMetaData(&facts, message), "read a message's sequence");
        const nats_owned<::jsMsgMetaData, ::jsMsgMetaData_Destroy> owned_facts(facts);
        stored one{facts->Sequence.Stream,
                   ::natsMsg_GetSubject(message),
                   {::natsMsg_GetData(message), static_cast<std::size_t>(::natsMsg_GetDataLength(message))}};
        const char** keys = nullptr;
        int count = 0;
        if (::natsMsgHeader_Keys(message, &keys, &count) == NATS_OK) {
            for (int i = 0; i != count; ++i) {
                const char* value = nullptr;
                if (::natsMsgHeader_Get(message, keys[i], &value) == NATS_OK) one.headers[keys[i]] = value;
            }
            std::free(keys);  // NOLINT: the library's
        }
        return one;
    }

    nats_owned<::natsConnection, ::natsConnection_Destroy> connection_;
    nats_owned<::jsCtx, ::jsCtx_Destroy> context_;
};

}  // namespace promisqs_test
