// SPDX-License-Identifier: Apache-2.0

#include "bridge/nats_subscription.hpp"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace promisqs_tool {

struct nats_subscription::state {
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void(nats_owned<natsMsg>)> handle;
    natsSubscription* subscription = nullptr;
    bool stops = false;
    bool ended = false;  // the library calls nothing any more

    static void came(natsConnection* /*on*/, natsSubscription* /*of*/, natsMsg* message, void* closure) {
        state& self = **static_cast<std::shared_ptr<state>*>(closure);
        nats_owned<natsMsg> owned(message);
        {
            const std::lock_guard lock(self.mutex);
            if (self.stops) return;
        }
        self.handle(std::move(owned));
    }
    static void completed(void* closure) {
        const std::unique_ptr<std::shared_ptr<state>> self(static_cast<std::shared_ptr<state>*>(closure));
        const std::lock_guard lock((*self)->mutex);
        (*self)->ended = true;
        (*self)->changed.notify_all();
    }
};

nats_subscription::nats_subscription(const nats_connection& on, const std::string& subject,
                                     std::function<void(nats_owned<natsMsg>)> handle)
    : state_(std::make_shared<state>()) {
    state_->handle = std::move(handle);
    auto closure = std::make_unique<std::shared_ptr<state>>(state_);
    natsSubscription*& made = state_->subscription;
    check(natsConnection_Subscribe(&made, on.get(), subject.c_str(), &state::came, closure.get()),
          "listen for answers");
    // If the connection has gone in between, a thread may use the closure for a moment yet. Then it is never freed.
    const natsStatus watched = natsSubscription_SetOnCompleteCB(made, &state::completed, closure.get());
    static_cast<void>(closure.release());
    if (watched == NATS_OK) static_cast<void>(natsSubscription_SetPendingLimits(made, -1, -1));
    if (watched != NATS_OK) natsSubscription_Destroy(made);
    check(watched, "listen for answers");
}

void nats_subscription::drain() noexcept {
    constexpr std::int64_t patience = 2000;  // milliseconds
    // If that fails, the connection is lost, or as good as lost.
    if (natsSubscription_DrainTimeout(state_->subscription, patience) == NATS_OK)
        static_cast<void>(natsSubscription_WaitForDrainCompletion(state_->subscription, patience));
}

nats_subscription::~nats_subscription() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stops = true;
    }
    static_cast<void>(natsSubscription_Unsubscribe(state_->subscription));
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->ended; });
    lock.unlock();
    natsSubscription_Destroy(state_->subscription);
}

}  // namespace promisqs_tool
