// SPDX-License-Identifier: Apache-2.0

#include "bridge/in_work.hpp"

#include "bridge/ack_subject.hpp"
#include "bridge/queue_identity.hpp"
#include "bridge/recorded_push.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

namespace promisqs_tool {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::chrono::seconds recovery_patience(5);

void count(std::atomic<std::uint64_t>& one, std::uint64_t more = 1) noexcept { one.fetch_add(more, relaxed); }

}  // namespace

void in_work::attend(const stream_consumer& consumer, const std::string& url) {
    const bool is_same = consumer_ && consumer_->stream_created == consumer.stream_created &&
                         is_same_consumer(consumer_->created, consumer.created);
    consumer_ = consumer;
    if (is_same) return raise_floor(consumer.floor);
    if (record_) {  // the consumer was made again, and delivers from its beginning
        waiting_.clear();
        acks.clear();
        intake_.reset();
        record_->remove();
        record_.reset();
    }
    const bridge_key key{.direction = bridge_direction::in,
                         .queue = wanted_.queue,
                         .queue_identity = identity_of_queue(wanted_.queue),
                         .stream = consumer.stream,
                         .target = consumer.name,
                         .stream_created = consumer.stream_created,
                         .consumer_created = consumer.created};
    record_.emplace(key, wanted_.window, url);
    if (!recover_all(*queue_, recovery_patience))
        say("promisqs: bridge in \"{}\": a dead participant of the queue can't be removed, as one that is stopped is "
            "in the way; if a bridge died in the middle of a push, its message may come twice\n",
            printable(wanted_.queue));
    settle(record_->file(), true);
    for (const record_file& peer : record_->peers()) {
        if (!peer.lock()) continue;
        settle(peer, false);
        peer.unlock();
    }
    record_->tally().store(0, relaxed);  // it is noted at once, whatever it was
    note();
    intake_.emplace(*queue_, *record_);
    raise_floor(consumer.floor);
}

void in_work::raise_floor(const ack_floor& floor) {
    if (record_->raise_floor(floor.sequence, floor.time)) intake_->look_for_room();
}

// What a dead bridge has pushed, it can't acknowledge any more; what it held, it can't push. This one does the first,
// and lets the consumer deliver the second again.
void in_work::settle(const record_file& left, bool is_own) {
    if (!left.has_table()) return;
    count(record_->counters().uncertain, settle_pushes(*queue_, left, recovery_patience));
    delivery_table table = left.table();
    for (const auto at : table.unsettled()) {
        const delivery of = table.at(at);
        const bool is_pushed = table.state_at(at) == delivery_state::pushed;
        acks.add({.kind = is_pushed ? ack_kind::done : ack_kind::again,
                  .subject = ack_subject_of(consumer_->stream, consumer_->name, of),
                  .of = of,
                  .at = is_own && is_pushed ? std::optional(at) : std::nullopt});
        if (!is_pushed) table.forget(at);
    }
}

void in_work::take(nats_owned<natsMsg> message) {
    const char* const subject = natsMsg_GetReply(message.get());
    const auto of = delivery_of_ack(subject == nullptr ? "" : subject);
    if (!of) return count(record_->counters().errors);  // it is no message of a consumer
    const intake::decision decided = intake_->decide(*of);
    switch (decided.what) {
        case intake::answer::to_push:
            waiting_.push_back({*decided.at, *of, subject, std::move(message), clock::now()});
            ++done_.in;
            return count(record_->counters().in);
        case intake::answer::held: return take_again(*decided.at, *of, subject);
        case intake::answer::duplicate:
            ++done_.duplicates;
            count(record_->counters().duplicates);
            return acks.add({.kind = ack_kind::done, .subject = subject, .of = *of, .at = decided.at});
        case intake::answer::not_now:  // it is delivered again once the consumer has waited long enough
            left_alone_at_ = clock::now();
            return;
    }
}

void in_work::take_again(delivery_table::place at, const delivery& of, const char* subject) {
    const auto known = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& one) { return one.at == at; });
    if (known == waiting_.end()) return;
    known->of = of;
    known->subject = subject;
    known->told = clock::now();
}

promisqs::status in_work::push_one(std::chrono::nanoseconds timeout, const std::stop_token& stop) {
    const held_message& front = waiting_.front();
    std::span<const std::byte> bytes;
    try {
        bytes = decoder_.decode(front.message.get());
    } catch (const misfit& why) {
        refuse(why.what());
        return promisqs::status::ok;
    }
    const promisqs::status result = push_recorded(*queue_, *record_, front.at, bytes, timeout, stop);
    if (result != promisqs::status::ok) return result;
    ++done_.pushed;
    count(record_->counters().out);
    finish_front(ack_kind::done);
    return result;
}

void in_work::refuse(const char* why) {
    count(record_->counters().errors);
    const std::string what =
        fmt::format("message {} of stream \"{}\" does not fit queue \"{}\": {}", waiting_.front().of.sequence,
                    printable(consumer_->stream), printable(wanted_.queue), why);
    if (!wanted_.skip_invalid)
        throw failure(exit_code::wrong_use, what + "; it is left in the stream. --skip-invalid gives such messages up");
    say("promisqs: bridge in \"{}\": {}; skipped\n", printable(wanted_.queue), what);
    ++done_.skipped;
    record_->table().set(waiting_.front().at, delivery_state::pushed);  // done with, too
    finish_front(ack_kind::never_again);
}

void in_work::finish_front(ack_kind kind) {
    held_message front = std::move(waiting_.front());
    waiting_.pop_front();
    acks.add({.kind = kind, .subject = std::move(front.subject), .of = front.of, .at = front.at});
}

void in_work::confirm(std::uint64_t number) {
    const auto confirmed = acks.confirm(number);
    if (!confirmed) return;
    last_confirmed_ = clock::now();
    ++confirmed_;
    if (!confirmed->at) return;
    delivery_table table = record_->table();
    const bool is_same = table.at(*confirmed->at).sequence == confirmed->of.sequence;
    if (is_same && table.state_at(*confirmed->at) == delivery_state::pushed)
        table.set(*confirmed->at, delivery_state::confirmed);
}

void in_work::give_back() {
    delivery_table table = record_->table();
    for (held_message& one : waiting_) {
        table.forget(one.at);
        acks.add({.kind = ack_kind::again, .subject = std::move(one.subject), .of = one.of, .at = std::nullopt});
    }
    waiting_.clear();
}

void in_work::tell_progress(const nats_connection& on, clock::time_point now) {
    constexpr std::string_view in_progress = "+WPI";
    const auto due = now - consumer_->ack_wait / 3;
    for (held_message& one : waiting_) {
        if (one.told > due) continue;
        one.told = now;
        // If that fails, the connection is lost. The message stays this bridge's own all the same.
        static_cast<void>(natsConnection_Publish(on.get(), one.subject.c_str(), in_progress.data(),
                                                 static_cast<int>(in_progress.size())));
    }
}

void in_work::note() { note_tally(*queue_, *record_); }

void in_work::show() { record_->counters().in_flight.store(under_way(), relaxed); }

void in_work::end() {
    if (!record_) return;
    record_->counters().in_flight.store(0, relaxed);
    record_->counters().connected.store(0, relaxed);
    const bool is_settled = record_->table().unsettled().empty() && acks.count() == 0;
    if (!is_settled) return;  // the next bridge needs it
    // The server writes what it was told to its disk a little later. If it is killed before, it delivers again.
    constexpr std::chrono::milliseconds written(500);
    std::this_thread::sleep_until(std::min(last_confirmed_, clock::now()) + written);
    record_->remove();
}

}  // namespace promisqs_tool
