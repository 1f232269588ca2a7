// SPDX-License-Identifier: Apache-2.0

#include "bridge/sent_acks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace promisqs_tool {

namespace {

std::string_view body_of(ack_kind kind) noexcept {
    switch (kind) {
        case ack_kind::done: return "+ACK";
        case ack_kind::again: return "-NAK";
        case ack_kind::never_again: return "+TERM";
    }
    return "";
}

}  // namespace

void sent_acks::add(ack one) {
    const std::uint64_t number = next_++;
    ack& kept = unconfirmed_.emplace(number, std::move(one)).first->second;
    if (on_ != nullptr) send(number, kept);
}

std::optional<sent_acks::ack> sent_acks::confirm(std::uint64_t number) {
    auto found = unconfirmed_.extract(number);
    if (found.empty()) return std::nullopt;
    return std::move(found.mapped());
}

void sent_acks::resume(const nats_connection& on, std::string inbox) {
    on_ = &on;
    inbox_ = std::move(inbox);
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, one] : unconfirmed_) numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end());  // what is delivered again comes in this order
    for (const std::uint64_t number : numbers) send(number, unconfirmed_.at(number));
}

void sent_acks::send_overdue(clock::time_point now) {
    constexpr std::chrono::seconds pause(1);
    constexpr std::chrono::seconds patience(3);
    if (on_ == nullptr || now < looked_at_ + pause) return;
    looked_at_ = now;
    for (auto& [number, one] : unconfirmed_) {
        if (now >= one.sent + patience) send(number, one);
    }
}

void sent_acks::send(std::uint64_t number, ack& one) {
    std::array<char, 128> inbox{};
    const auto end = fmt::format_to_n(inbox.data(), inbox.size() - 1, "{}.{}", inbox_, number);
    *end.out = '\0';
    const std::string_view body = body_of(one.kind);
    one.sent = clock::now();
    // If that fails, the connection is lost, or about to be. It is sent again on the next one.
    static_cast<void>(natsConnection_PublishRequest(on_->get(), one.subject.c_str(), inbox.data(), body.data(),
                                                    static_cast<int>(body.size())));
}

}  // namespace promisqs_tool
