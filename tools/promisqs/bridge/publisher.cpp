// SPDX-License-Identifier: Apache-2.0

#include "bridge/publisher.hpp"

#include "bridge/stream_type.hpp"
#include "system/interruption.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace promisqs_tool {

namespace {

// An answer that has not come then will not.
constexpr std::chrono::seconds longest_silence{10};
// A stream answers in order, but for errors and messages that it has already. This is for what overtakes on the way.
constexpr std::chrono::seconds longest_overtaken{5};
// The client's library writes what waits once a millisecond. With so few messages under way, that is most of the time
// that one takes; with more, they fill what is written.
constexpr std::uint64_t few = 8;
// How soon a signal is seen, at the latest, and silence.
constexpr std::chrono::milliseconds look_again{50};

std::optional<std::uint64_t> take_number(std::string_view& text) {
    const std::size_t dot = text.rfind('.');
    if (dot == std::string_view::npos) return std::nullopt;
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data() + dot + 1, end, value);
    if (error != std::errc() || stopped != end) return std::nullopt;
    text = text.substr(0, dot);
    return value;
}

}  // namespace

publisher::publisher(message_dress dress, std::uint64_t window)
    : dress_(std::move(dress)),
      type_text_(fmt::format("{:016x}{}", dress_.fingerprint, dress_.as_json != nullptr ? json_mark : "")),
      most_(window),
      window_(window) {}

void publisher::attach(nats_connection& to) {
    inbox_ = new_inbox();
    {
        const std::lock_guard lock(mutex_);
        begin_round(most_);
    }
    answers_ = std::make_unique<nats_subscription>(
        to, inbox_ + ".*.*", [this](nats_owned<natsMsg> message) { answered(std::move(message)); });
    connection_ = &to;
    to.on_lost([this, &to] { find_trouble({.is_lost = true, .why = to.why_lost()}); });
    // What was published is not answered then.
    to.on_complaint([this, &to] {
        const std::string said = to.complaint();
        if (!said.empty()) find_trouble({.is_silent = true, .why = "the server says: " + said});
    });
}

void publisher::detach() {
    connection_->on_lost(nullptr);
    connection_->on_complaint(nullptr);
    answers_.reset();
    connection_ = nullptr;
}

void publisher::begin_careful_round() {
    const std::lock_guard lock(mutex_);
    begin_round(1);
}

void publisher::begin_round(std::uint64_t limit) {
    ++round_;
    published_ = std::max(published_, next_);
    next_ = window_.first();
    unanswered_ = 0;
    limit_ = limit;
    trouble_.reset();
    has_trouble_.store(false, std::memory_order_relaxed);
    trouble_source_ = std::stop_source();
    last_answer_ = clock::now();
    overtaken_since_.reset();
}

void publisher::add(out_window::guard&& claimed) {
    const std::lock_guard lock(mutex_);
    counts_.claimed += claimed.size();
    window_.add(std::move(claimed));
}

void publisher::wake() {
    std::unique_lock lock(mutex_);
    std::stop_source source = trouble_source_;
    changed_.notify_all();
    lock.unlock();
    source.request_stop();
}

void publisher::find_trouble(trouble found) {
    std::stop_source source;
    {
        const std::lock_guard lock(mutex_);
        if (trouble_ && (trouble_->is_lost || !found.is_lost)) return;
        trouble_ = std::move(found);
        has_trouble_.store(true, std::memory_order_relaxed);  // what it is, is read under the lock
        source = trouble_source_;
        changed_.notify_all();
    }
    source.request_stop();
}

// Called by a thread of the library.
void publisher::answered(nats_owned<natsMsg> message) {
    std::string_view subject = natsMsg_GetSubject(message.get());
    const auto place = take_number(subject);
    const auto round = take_number(subject);
    if (!place || !round) return;
    publish_answer answer;
    const bool is_gone = natsMsg_IsNoResponders(message.get());
    if (is_gone) {
        answer.why = fmt::format("no stream takes messages on subject {}", dress_.subject);
    } else {
        answer = read_answer(
            {natsMsg_GetData(message.get()), static_cast<std::size_t>(natsMsg_GetDataLength(message.get()))},
            dress_.stream);
    }
    std::unique_lock lock(mutex_);
    const bool is_of_this_round = *round == round_;
    take_answer(*place, is_of_this_round, answer);
    if (waits_ && (unanswered_ == 0 || window_.room() != 0 || may_publish())) changed_.notify_all();
    lock.unlock();
    if (!answer.is_stored && is_of_this_round) find_trouble({.is_stream_gone = is_gone, .why = answer.why});
}

void publisher::take_answer(std::uint64_t place, bool is_of_this_round, const publish_answer& answer) {
    const auto now = clock::now();
    last_answer_ = now;
    if (is_of_this_round) {
        if (unanswered_ != 0) --unanswered_;
        if (answer.is_stored) limit_ = std::min(limit_ * 2, most_);
    }
    if (!answer.is_stored) {
        ++counts_.refused;
        return;
    }
    if (!window_.acknowledge(place)) return;  // an earlier round has had an answer
    progressed_ = true;
    ++counts_.stored;
    if (answer.is_duplicate) ++counts_.duplicates;
    const bool is_overtaken = place >= window_.first();  // it was not the first one
    if (!is_overtaken || window_.first() != first_then_ || !overtaken_since_)
        overtaken_since_ = is_overtaken ? std::optional(now) : std::nullopt;
    first_then_ = window_.first();
}

// Answers can get lost, where a server of a cluster is: its connections may stay.
void publisher::look_for_silence(clock::time_point now) {
    std::string why;
    {
        const std::lock_guard lock(mutex_);
        if (unanswered_ == 0 || trouble_) return;
        if (now - last_answer_ > longest_silence) why = "the stream does not answer";
        if (overtaken_since_ && now - *overtaken_since_ > longest_overtaken)
            why = "the stream has answered later messages, and not the first one";
    }
    if (!why.empty()) find_trouble({.is_lost = true, .why = why});
}

void publisher::wait(std::unique_lock<std::mutex>& lock, clock::time_point until) {
    const auto now = clock::now();
    waits_ = true;
    changed_.wait_until(lock, std::min(until, now + look_again));
    waits_ = false;
    lock.unlock();
    look_for_silence(clock::now());
    lock.lock();
}

bool publisher::may_publish() const { return next_ < window_.end() && unanswered_ < limit_; }

bool publisher::publish_all() {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (trouble_ || is_interrupted()) return false;
        next_ = std::max(next_, window_.first());
        if (next_ == window_.end()) return true;
        if (!may_publish()) {
            wait(lock, clock::time_point::max());
        } else if (!publish_some(lock)) {
            return false;
        }
    }
}

// Takes messages from the window, which are to be published next. A message is copied under the lock if an answer may
// release it meanwhile: one of an earlier round.
void publisher::take_next() {
    constexpr std::uint64_t most = 64;
    const std::uint64_t count = std::min(limit_ - unanswered_, most);
    next_ones_.clear();
    for (; next_ < window_.end() && next_ones_.size() < count; ++next_) {
        const out_window::entry& one = window_.at(next_);
        if (one.acknowledged) continue;
        next_ones_.push_back({next_, one.message, one.number, nullptr});
        if (next_ < published_) next_ones_.back().copy = dressed(next_ones_.back());
    }
    if (unanswered_ == 0) last_answer_ = clock::now();
    unanswered_ += next_ones_.size();
}

bool publisher::publish_some(std::unique_lock<std::mutex>& lock) {
    take_next();
    const bool is_calm = unanswered_ <= few;
    lock.unlock();
    natsStatus status = NATS_OK;
    std::size_t done = 0;
    while (done < next_ones_.size() && status == NATS_OK && !has_trouble_.load(std::memory_order_relaxed)) {
        status = publish(next_ones_[done]);
        if (status == NATS_OK) ++done;
    }
    if (status != NATS_OK) find_trouble({.is_lost = true, .why = natsStatus_GetText(status)});
    // A flush writes at once, and then waits for the server, here for a millisecond at most.
    if (is_calm) static_cast<void>(natsConnection_FlushTimeout(connection_->get(), 1));
    lock.lock();
    if (done != next_ones_.size()) {
        next_ = next_ones_[done].place;
        unanswered_ -= std::min<std::uint64_t>(unanswered_, next_ones_.size() - done);
    }
    return status == NATS_OK;
}

natsStatus publisher::publish(next_message& one) {
    const nats_owned<natsMsg> message = one.copy ? std::move(one.copy) : dressed(one);
    const natsStatus status = natsConnection_PublishMsg(connection_->get(), message.get());
    if (status == NATS_MAX_PAYLOAD)
        throw failure(exit_code::wrong_use,
                      fmt::format("message {} of the queue is too large for the server, with {} bytes. Raise its "
                                  "max_payload, or take --format binary. It stays in the queue",
                                  one.number, natsMsg_GetDataLength(message.get())));
    return status;
}

nats_owned<natsMsg> publisher::dressed(const next_message& from) {
    std::string_view body(reinterpret_cast<const char*>(from.message.data()), from.message.size());
    if (dress_.as_json != nullptr) {
        text_.clear();
        dress_.as_json->append(text_, from.message);
        body = {text_.data(), text_.size()};
    }
    constexpr std::size_t longest = 64;
    fmt::basic_memory_buffer<char, longest> id;
    fmt::format_to(std::back_inserter(id), "{:016x}-{}", dress_.queue_identity, from.number);
    id.push_back('\0');
    fmt::basic_memory_buffer<char, longest * 2> reply;
    fmt::format_to(std::back_inserter(reply), "{}.{}.{}", inbox_, round_, from.place);
    reply.push_back('\0');
    natsMsg* made = nullptr;
    check(natsMsg_Create(&made, dress_.subject.c_str(), reply.data(), body.data(), static_cast<int>(body.size())),
          "make a message");
    nats_owned<natsMsg> message(made);
    check(natsMsgHeader_Set(made, "Nats-Msg-Id", id.data()), "make a header");
    check(natsMsgHeader_Set(made, type_header, type_text_.c_str()), "make a header");
    if (!dress_.schema.empty()) check(natsMsgHeader_Set(made, schema_header, dress_.schema.c_str()), "make a header");
    return message;
}

std::uint64_t publisher::wait_for_room(std::chrono::milliseconds most) {
    const auto until = clock::now() + most;
    std::unique_lock lock(mutex_);
    while (!trouble_ && !is_interrupted() && window_.room() == 0 && clock::now() < until) wait(lock, until);
    return trouble_ || is_interrupted() ? 0 : window_.room();
}

bool publisher::wait_for_answers(std::chrono::milliseconds most, bool even_if_refused) {
    const auto until = clock::now() + most;
    std::unique_lock lock(mutex_);
    const auto is_over = [&] { return trouble_ && (trouble_->is_lost || !even_if_refused); };
    while (unanswered_ != 0 && !is_over() && clock::now() < until) wait(lock, until);
    return unanswered_ == 0 && !is_over();
}

std::optional<publisher::trouble> publisher::trouble_found() {
    look_for_silence(clock::now());
    const std::lock_guard lock(mutex_);
    return trouble_;
}

std::stop_token publisher::trouble_token() {
    const std::lock_guard lock(mutex_);
    return trouble_source_.get_token();
}

}  // namespace promisqs_tool
