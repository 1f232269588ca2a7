// SPDX-License-Identifier: Apache-2.0

#include "bridge/pull_requests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace promisqs_tool {

void pull_requests::ask(std::uint64_t count) {
    const std::string subject = fmt::format("$JS.API.CONSUMER.MSG.NEXT.{}.{}", from_.stream, from_.name);
    const std::string body = fmt::format(R"({{"batch":{},"expires":{}}})", count, from_.expires.count());
    const std::string inbox = fmt::format("{}.{}", inbox_, next_);
    check(natsConnection_PublishRequest(on_.get(), subject.c_str(), inbox.c_str(), body.data(),
                                        static_cast<int>(body.size())),
          "ask for messages");
    constexpr std::chrono::seconds on_its_way(3);
    asked_.push_back({next_++, count, clock::now() + from_.expires + on_its_way});
    outstanding_ += count;
}

void pull_requests::received() noexcept {
    if (asked_.empty()) return;  // of one that was given up
    --outstanding_;
    if (--asked_.front().left == 0) asked_.pop_front();
}

void pull_requests::ended(std::string_view inbox) noexcept {
    std::uint64_t number = 0;
    const std::size_t dot = inbox.rfind('.');
    if (dot == inbox.npos) return;
    inbox.remove_prefix(dot + 1);
    if (std::from_chars(inbox.data(), inbox.data() + inbox.size(), number).ec != std::errc()) return;
    const auto found =
        std::find_if(asked_.begin(), asked_.end(), [&](const request& one) { return one.number == number; });
    if (found == asked_.end()) return;
    outstanding_ -= found->left;
    asked_.erase(found);
}

void pull_requests::give_up_overdue(clock::time_point now) noexcept {
    while (!asked_.empty() && asked_.front().overdue <= now) {
        outstanding_ -= asked_.front().left;
        asked_.pop_front();
    }
}

}  // namespace promisqs_tool
