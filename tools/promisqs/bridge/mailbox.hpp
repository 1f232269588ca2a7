// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bridge/nats_connection.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace promisqs_tool {

/// What threads of the client's library have for the bridge's own thread.
class mailbox {
public:
    struct mail {
        std::vector<nats_owned<natsMsg>> messages;
        std::vector<std::uint64_t> confirmed;  ///< numbers of acknowledgements
        std::string info;                      ///< of the consumer, the latest
        bool is_lost = false;                  ///< the connection
    };

    void add(nats_owned<natsMsg> message) {
        change([&] { mail_.messages.push_back(std::move(message)); });
    }
    void confirm(std::uint64_t number) {
        change([&] { mail_.confirmed.push_back(number); });
    }
    void inform(std::string info) {
        change([&] { mail_.info = std::move(info); });
    }
    void lose() {
        change([&] { mail_.is_lost = true; });
    }

    /// All that has come. The vectors of `into` are to be empty; their memory is used again.
    void take(mail& into) {
        const std::lock_guard lock(mutex_);
        std::swap(into.messages, mail_.messages);
        std::swap(into.confirmed, mail_.confirmed);
        into.info = std::exchange(mail_.info, {});
        into.is_lost = mail_.is_lost;
    }

    /// Waits until there is something, or the time is over, or a stop is requested.
    void wait(std::chrono::milliseconds most, const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        is_waiting_ = true;
        changed_.wait_for(lock, stop, most, [this] { return has_mail(); });
        is_waiting_ = false;
    }

private:
    template <class Change>
    void change(Change make) {
        const std::lock_guard lock(mutex_);
        make();
        if (is_waiting_) changed_.notify_all();
    }
    [[nodiscard]] bool has_mail() const noexcept {
        return !mail_.messages.empty() || !mail_.confirmed.empty() || !mail_.info.empty() || mail_.is_lost;
    }

    std::mutex mutex_;
    std::condition_variable_any changed_;
    bool is_waiting_ = false;
    mail mail_;
};

}  // namespace promisqs_tool
