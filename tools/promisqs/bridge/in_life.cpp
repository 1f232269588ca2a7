// SPDX-License-Identifier: Apache-2.0

#include "bridge/in_life.hpp"

#include "system/interruption.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

namespace promisqs_tool {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds look_again = 100ms;
constexpr std::chrono::milliseconds wait_for_room = 20ms;

// An acknowledgement's number is the last part of the subject to which the answer comes.
std::optional<std::uint64_t> number_of(std::string_view inbox) {
    std::uint64_t number = 0;
    const std::size_t dot = inbox.rfind('.');
    if (dot == inbox.npos) return std::nullopt;
    inbox.remove_prefix(dot + 1);
    const auto [end, error] = std::from_chars(inbox.data(), inbox.data() + inbox.size(), number);
    return error == std::errc() && end == inbox.data() + inbox.size() ? std::optional(number) : std::nullopt;
}

std::string header_of(natsMsg* message, const char* key) {
    const char* value = nullptr;
    return natsMsgHeader_Get(message, key, &value) == NATS_OK && value != nullptr ? value : "";
}

int error_code_in(const json& error) {
    const auto found = error.find("err_code");
    return found != error.end() && found->is_number_integer() ? found->get<int>() : 0;
}

}  // namespace

in_life::in_life(nats_connection& on, in_work& work, bool once)
    : on_(on), work_(work), once_(once), inbox_(new_inbox()), requests_(on, work.consumer(), inbox_ + ".m") {
    confirmations_.emplace(on, inbox_ + ".a.*", [this](nats_owned<natsMsg> answer) {
        // Without a consumer, the server says that nobody has got the acknowledgement. It is sent again.
        if (natsMsg_IsNoResponders(answer.get())) return;
        if (const auto number = number_of(natsMsg_GetSubject(answer.get()))) mail_->confirm(*number);
    });
    messages_.emplace(on, inbox_ + ".m.*", [this](nats_owned<natsMsg> message) { mail_->add(std::move(message)); });
    infos_.emplace(on, inbox_ + ".i", [this](nats_owned<natsMsg> answer) {
        const char* const text = natsMsg_GetData(answer.get());
        if (text != nullptr) mail_->inform({text, static_cast<std::size_t>(natsMsg_GetDataLength(answer.get()))});
    });
    on.on_lost([mail = mail_] { mail->lose(); });
    work_.acks.resume(on, inbox_ + ".a");
}

in_life::~in_life() {
    work_.acks.pause();
    infos_.reset();
    messages_.reset();
    confirmations_.reset();
}

in_life::ending in_life::run() {
    // What dead bridges held is to be delivered again before anything else.
    constexpr std::chrono::seconds patience(2);
    wait_for_acks(patience);
    for (;;) {
        read_mail();
        if (!trouble_.empty()) throw nats_problem(trouble_);
        if (letters_.is_lost) return ending::lost;
        if (is_interrupted()) return ending::interrupted;
        const auto now = in_work::clock::now();
        if (work_.is_queue_removed(now)) return ending::removed;
        ask_for_more();
        work_.acks.send_overdue(now);
        work_.tell_progress(on_, now);
        ask_for_floor(now);
        if (const auto over = push_some()) return *over;
        work_.show();
        if (work_.waiting() != 0) continue;
        if (once_ && has_finished()) return ending::drained;
        mail_->wait(look_again, interruption());
    }
}

void in_life::finish(bool push) {
    messages_->drain();
    messages_.reset();
    read_mail();
    while (push && work_.waiting() != 0) {
        if (work_.push_one(std::chrono::nanoseconds(0), {}) != promisqs::status::ok) break;
    }
    if (work_.waiting() != 0) end_requests();
    work_.give_back();
    constexpr std::chrono::seconds patience(10);
    wait_for_acks(patience);
}

// A server that has a request of nobody any more, and a message to deliver again, drops both, and delivers the message
// once its time is over (2.9 does so). When it is asked how things stand, it throws such requests away.
void in_life::end_requests() {
    try {
        static_cast<void>(on_.ask(info_request(work_.consumer())));
    } catch (const nats_problem&) {  // then the message waits
    } catch (const nats_interrupted&) {}
}

void in_life::read_mail() {
    mail_->take(letters_);
    for (const std::uint64_t number : letters_.confirmed) work_.confirm(number);
    for (auto& message : letters_.messages) read_message(std::move(message));
    if (!letters_.info.empty()) read_info(json::parse(letters_.info, nullptr, false));
    letters_.confirmed.clear();
    letters_.messages.clear();
}

void in_life::read_info(const json& info) {
    if (!info.is_object()) return;
    const auto error = info.find("error");
    const int code = error != info.end() && error->is_object() ? error_code_in(*error) : 0;
    if (code == JSConsumerNotFoundErr || code == JSStreamNotFoundErr) return note_gone("is gone");
    if (is_another(info, work_.consumer())) return note_gone("was made again");
    pending_ = pending_in(info);
    counted_at_ = asked_at_;
    work_.raise_floor(floor_in(info));
}

void in_life::note_gone(const char* how) {
    trouble_ = fmt::format("consumer \"{}\" of stream \"{}\" {}", printable(work_.consumer().name),
                           printable(work_.consumer().stream), how);
}

void in_life::read_message(nats_owned<natsMsg> message) {
    const std::string status = natsMsg_GetReply(message.get()) == nullptr ? header_of(message.get(), "Status") : "";
    if (!status.empty()) return read_status(message.get(), status);
    requests_.received();
    work_.take(std::move(message));
}

// 404, 408 and most of 409 are about one request: it is over. The rest is about the consumer.
void in_life::read_status(natsMsg* message, const std::string& status) {
    requests_.ended(natsMsg_GetSubject(message));
    const std::string what = header_of(message, "Description");
    const bool is_gone = status == "409" && what.starts_with("Consumer Deleted");
    const bool is_missing = status == "503";
    if (is_gone || is_missing) note_gone(is_gone ? "was deleted" : "does not answer");
}

void in_life::wait_for_acks(std::chrono::seconds patience) {
    const auto end = in_work::clock::now() + patience;
    while (work_.acks.count() != 0 && !letters_.is_lost && in_work::clock::now() < end) {
        read_mail();
        if (work_.acks.count() == 0) return;
        work_.acks.send_overdue(in_work::clock::now());
        mail_->wait(look_again, {});
    }
}

bool in_life::is_busy() const noexcept { return requests_.count() != 0 || work_.under_way() != 0; }

void in_life::ask_for_more() {
    const auto now = in_work::clock::now();
    requests_.give_up_overdue(now);
    if (is_busy()) busy_at_ = now;
    constexpr std::size_t most_requests = 2;
    const stream_consumer& from = work_.consumer();
    const std::uint64_t batch = work_.lacks_room() ? std::min(from.batch, most_without_room(now)) : from.batch;
    const std::uint64_t taken = requests_.outstanding() + work_.under_way();
    if (batch == 0 || requests_.count() >= most_requests || taken + batch > from.window) return;
    busy_at_ = now;
    work_.note();
    requests_.ask(batch);
}

// Without room, what is delivered for the first time is left alone, and the floor stays below it until it comes again.
// So no more are asked for than are to come again, once all of them are due. When there are none, the floor is where
// the consumer is: it rises with each message that is known.
std::uint64_t in_life::most_without_room(in_work::clock::time_point now) const {
    if (is_busy() || counted_at_ <= busy_at_) return 0;
    if (pending_ == 0) return work_.consumer().batch;
    const auto wait = work_.consumer().ack_wait;
    return now < std::max(began_at_, work_.left_alone_at()) + wait + wait / 4 ? 0 : pending_;
}

void in_life::ask_for_floor(in_work::clock::time_point now) {
    constexpr std::uint64_t many = 4096;
    const std::uint64_t more = work_.confirmed() - confirmed_then_;
    // Also while nothing happens: the consumer may have been deleted.
    // What is pending is to be counted as soon as nothing of it is under way here.
    const bool counts = work_.lacks_room() && !is_busy() && asked_at_ <= busy_at_;
    const auto pause = counts ? 0ms : work_.lacks_room() || more >= many ? 50ms : more != 0 ? 500ms : 2000ms;
    if (now < asked_at_ + pause) return;
    asked_at_ = now;
    confirmed_then_ = work_.confirmed();
    const std::string subject = "$JS.API." + info_request(work_.consumer());
    const std::string inbox = inbox_ + ".i";
    check(natsConnection_PublishRequest(on_.get(), subject.c_str(), inbox.c_str(), nullptr, 0), "ask for the consumer");
}

std::optional<in_life::ending> in_life::push_some() {
    constexpr int most = 64;  // then it reads its mail
    for (int i = 0; i < most && work_.waiting() != 0; ++i) {
        const promisqs::status result = work_.push_one(wait_for_room, interruption());
        if (result == promisqs::status::closed) return ending::closed;
        if (result != promisqs::status::ok) break;
    }
    return std::nullopt;
}

bool in_life::has_finished() {
    const auto now = in_work::clock::now();
    if (work_.under_way() != 0 || now < looked_at_ + look_again) return false;
    looked_at_ = now;
    return is_drained(on_, work_.consumer());
}

}  // namespace promisqs_tool
