// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "../cpus.hpp"
#include "helper_process.hpp"

#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/publisher.hpp>
#include <iceoryx_posh/popo/subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace bench {

/// Once, for as long as this program runs.
inline void start_iceoryx_broker() { static const helper_process broker({"iox-roudi"}, "RouDi is ready for clients"); }

/// Eclipse iceoryx: a publisher that waits for its subscriber, which looks for messages again and again. Its broker
/// runs meanwhile. A subscriber's queue has room for 256 messages at most.
template <class T>
class iceoryx {
public:
    using value_type = T;
    static constexpr const char* name = "iceoryx";
    static constexpr bool crosses_processes = true;
    static constexpr bool one_to_one_only = true;  // each subscriber would get every message

    // Its runtime has threads, and must not be forked: each side makes its own.
    static iceoryx create(const std::string& /*segment*/, std::uint64_t /*capacity*/) {
        start_iceoryx_broker();
        return {};
    }
    static iceoryx open(const std::string& segment, side where) {
        iox::log::LogManager::GetLogManager().SetDefaultLogLevel(iox::log::LogLevel::kOff,
                                                                 iox::log::LogLevelOutput::kHideLogLevel);
        iox::runtime::PoshRuntime::initRuntime(text("bench-" + std::to_string(::getpid())));
        const iox::capro::ServiceDescription service{"bench", "messages", text(segment)};
        iceoryx result;
        if (where == side::producers) {
            iox::popo::PublisherOptions wanted;
            wanted.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
            result.publisher_ = std::make_unique<iox::popo::Publisher<T>>(service, wanted);
            while (!result.publisher_->hasSubscribers()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        } else {
            iox::popo::SubscriberOptions wanted;
            wanted.queueCapacity = iox::popo::SubscriberChunkQueueData_t::MAX_CAPACITY;
            wanted.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
            result.subscriber_ = std::make_unique<iox::popo::Subscriber<T>>(service, wanted);
        }
        return result;
    }

    bool push(const T& message) { return !publisher_->publishCopyOf(message).has_error(); }
    bool pop(T& out) {
        bool found = false;
        subscriber_->take().and_then([&](const auto& sample) {
            out = *sample;
            found = true;
        });
        return found;
    }

private:
    iceoryx() = default;

    static iox::capro::IdString_t text(const std::string& words) {
        return iox::capro::IdString_t(iox::cxx::TruncateToCapacity, words.c_str());
    }

    std::unique_ptr<iox::popo::Publisher<T>> publisher_;
    std::unique_ptr<iox::popo::Subscriber<T>> subscriber_;
};

}  // namespace bench
