// SPDX-License-Identifier: Apache-2.0

#include "recording/replay.hpp"

#include "participate/joined_queue.hpp"
#include "recording/reader.hpp"
#include "system/exit_code.hpp"
#include "system/interruption.hpp"
#include "system/output.hpp"
#include "system/progress.hpp"
#include "system/say.hpp"
#include "text/text.hpp"

#include <promisqs/error.hpp>
#include <promisqs/inspector.hpp>
#include <promisqs/schema.hpp>
#include <promisqs/untyped_queue.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>
#include <string_view>

namespace promisqs_tool {

namespace {

using clock = std::chrono::steady_clock;
using ending = recording_reader::ending;
using promisqs::element_type;
using promisqs::untyped_queue;

std::string shown(const element_type& type) {
    constexpr std::size_t most = 400;
    const std::string text = printable(std::string_view(type.text).substr(0, most));
    return fmt::format("{}{} of {} bytes, aligned to {}", text, type.text.size() > most ? "..." : "", type.size,
                       type.alignment);
}

bool is_same(const element_type& a, const element_type& b) {
    return a.size == b.size && a.alignment == b.alignment &&
           promisqs::compatible({{}, a.fingerprint, a.name_fingerprint}, {{}, b.fingerprint, b.name_fingerprint});
}

// The header of a recording may claim anything: what is made of it must be a queue that its schema describes.
void check_schema(const replay_request& request, const recording_reader& reader) {
    const element_type& recorded = reader.facts().type;
    std::string found;
    try {
        const element_type type = promisqs::parse_element_type(recorded.text);
        const bool fits = type.size == recorded.size && type.alignment == recorded.alignment &&
                          type.fingerprint == recorded.fingerprint &&
                          (type.name_fingerprint == 0 || type.name_fingerprint == recorded.name_fingerprint);
        if (fits) return;
        found = fmt::format("one of {} bytes, aligned to {}, with fingerprints {:x} and {:x}", type.size,
                            type.alignment, type.fingerprint, type.name_fingerprint);
    } catch (const promisqs::schema_error& error) {
        found = printable(error.what());
    }
    throw failure(
        exit_code::broken,
        fmt::format("the recording {} is damaged, or was made up, so no queue \"{}\" is created: expected a schema "
                    "that describes messages of {} bytes, aligned to {}, with fingerprints {:x} and {:x}, found {}",
                    reader.name(), printable(request.queue), recorded.size, recorded.alignment, recorded.fingerprint,
                    recorded.name_fingerprint, found));
}

// Unless another process is faster.
void create(const replay_request& request, const recording_reader& reader) {
    check_schema(request, reader);
    wait_until_unlocked(request.queue);
    try {
        promisqs::options wanted;
        wanted.life = promisqs::lifetime::keep;
        const recording_facts& facts = reader.facts();
        static_cast<void>(
            untyped_queue::create(request.queue, request.capacity.value_or(facts.capacity), facts.type, wanted));
    } catch (const promisqs::queue_error& error) {
        if (error.code() != promisqs::errc::already_exists) throw;
    }
}

bool exists(const std::string& name) {
    try {
        static_cast<void>(promisqs::inspector(name));
    } catch (const promisqs::queue_error& error) {
        if (error.code() == promisqs::errc::not_found) return false;
    }
    return true;
}

// The name of the queue. It is there, as far as one can tell before it is opened.
const std::string& queue_for(const replay_request& request, const recording_reader& reader) {
    if (request.create && !exists(request.queue)) create(request, reader);
    return request.queue;
}

void check_type(const replay_request& request, const recording_facts& facts, const untyped_queue& queue) {
    const element_type found = queue.type();
    if (is_same(found, facts.type)) return;
    throw failure(exit_code::wrong_use,
                  fmt::format("the queue \"{}\" has messages of another type than the recording: expected {}; found {}",
                              printable(request.queue), shown(facts.type), shown(found)));
}

// False: a signal came first.
bool sleep_until(clock::time_point due) {
    ::pollfd signal{interruption_descriptor(), POLLIN, 0};
    while (!is_interrupted()) {
        const std::chrono::nanoseconds left = due - clock::now();
        if (left.count() <= 0) return true;
        const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
        const ::timespec time{seconds.count(), (left - seconds).count()};
        static_cast<void>(::ppoll(&signal, 1, &time, nullptr));
    }
    return false;
}

class replayer {
public:
    explicit replayer(const replay_request& request)
        : request_(request),
          reader_(request.file),
          queue_(queue_for(request, reader_)),
          element_size_(queue_->element_size()) {
        check_type(request, reader_.facts(), *queue_);
        ::prctl(PR_SET_TIMERSLACK, 1);  // nanosecond: a sleep ends when it should, not 50 microseconds later
    }

    void run() {
        if ((request_.loops || request_.passes != 1) && !reader_.can_rewind()) {
            throw failure(
                exit_code::wrong_use,
                fmt::format("the recording {} is no file, and can be replayed once; leave --loop and --times out",
                            reader_.name()));
        }
        if (request_.strict) check_all();
        began_ = clock::now();
        for (std::uint64_t pass = 1; replay_pass(); ++pass) {
            if ((pass == request_.passes && !request_.loops) || passed_ == 0) break;
            begin_again();
        }
        finish();
    }

private:
    void check_all() {
        if (!reader_.can_rewind()) {
            throw failure(exit_code::wrong_use,
                          fmt::format("the recording {} is no file, and can't be checked before it is replayed; write "
                                      "it into a file, or leave --strict out",
                                      reader_.name()));
        }
        while (!is_interrupted() && reader_.next()) {}
        if (!is_interrupted() && reader_.how_it_ended() != ending::complete) {
            throw failure(exit_code::broken, what_is_wrong() + "; nothing was replayed");
        }
        reader_.rewind();
    }

    // False: no more passes.
    bool replay_pass() {
        passed_ = 0;
        while (!is_interrupted()) {
            const auto block = reader_.next();
            if (!block) break;
            last_time_ = block->runs.back().time;
            if (block->kind == block_kind::gap) missed_ += block->count;
            if (block->kind == block_kind::messages && !replay_block(*block)) return false;
        }
        if (is_interrupted()) return false;
        return reader_.how_it_ended() == ending::complete || reader_.how_it_ended() == ending::cut_short;
    }

    // The next pass begins when the recording ended.
    void begin_again() {
        origin_ += scaled(last_time_);
        reader_.rewind();
    }

    // False: no more messages are wanted, or can be pushed.
    bool replay_block(const recording_reader::block& block) {
        if (!request_.speed) return replay_run(block, block.number, {0, block.count});
        std::uint64_t number = block.number;
        for (const time_run& run : block.runs) {
            if (!replay_run(block, number, run)) return false;
            number += run.count;
        }
        return true;
    }

    bool replay_run(const recording_reader::block& block, std::uint64_t number, const time_run& run) {
        const std::uint64_t left_out = request_.from > number ? std::min(request_.from - number, run.count) : 0;
        const std::uint64_t wanted =
            request_.most ? *request_.most - pushed_ : std::numeric_limits<std::uint64_t>::max();
        const std::uint64_t count = std::min(run.count - left_out, wanted);
        if (wanted == 0) return false;
        if (count == 0) return true;
        if (request_.speed && !wait_for(run.time)) return false;
        const std::uint64_t first = number + left_out - block.number;
        if (!push(block.messages.subspan(first * element_size_, count * element_size_))) return false;
        if (request_.speed) late_ = std::max(late_, std::chrono::nanoseconds(clock::now() - due_));
        return true;
    }

    // Waits until messages with this time are due. All times count from the first message that is replayed.
    bool wait_for(std::uint64_t time) {
        if (!first_time_) {
            first_time_ = time;
            origin_ = clock::now();
        }
        due_ = origin_ + scaled(time);
        return sleep_until(due_);
    }

    [[nodiscard]] std::chrono::nanoseconds scaled(std::uint64_t time) const {
        constexpr double longest = 100.0 * 365 * 86400 * 1e9;
        if (!request_.speed || !first_time_ || time < *first_time_) return {};
        const double since = static_cast<double>(time - *first_time_) / *request_.speed;
        return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(since, longest)));
    }

    bool push(std::span<const std::byte> messages) {
        while (!messages.empty()) {
            if (is_interrupted()) return false;
            const std::uint64_t count =
                queue_->push_some_wait_for(messages, std::chrono::milliseconds(500), interruption());
            if (count == 0 && queue_->is_closed()) {
                throw failure(exit_code::answer_is_no,
                              fmt::format("the queue \"{}\" is closed; {}", printable(request_.queue), summary()));
            }
            pushed_ += count;
            passed_ += count;
            messages = messages.subspan(count * element_size_);
            progress_.show(clock::now(), [this] {
                return progress::state{pushed_, pushed_ * element_size_, queue_->size(), queue_->capacity()};
            });
        }
        return true;
    }

    [[nodiscard]] std::string summary() const {
        std::string text = fmt::format("replayed {} messages in {}", pushed_, short_time(clock::now() - began_));
        if (request_.speed && pushed_ != 0) text += fmt::format(", at most {} late", short_time(late_));
        if (missed_ != 0) text += fmt::format("; {} had been missed when they were recorded", missed_);
        return text;
    }

    [[nodiscard]] std::string what_is_wrong() const {
        return fmt::format("the recording {} {}: behind its first {} bytes, which are whole, there is {}",
                           reader_.name(), reader_.how_it_ended() == ending::damaged ? "is damaged" : "is cut short",
                           reader_.whole_bytes(), reader_.what_is_wrong());
    }

    void finish() {
        progress_.clear();
        const bool is_interrupted_now = is_interrupted();
        standard_output().print("{}{}\n", summary(), is_interrupted_now ? ", until it was interrupted" : "");
        if (reader_.how_it_ended() == ending::damaged ||
            (request_.strict && reader_.how_it_ended() == ending::cut_short))
            throw failure(exit_code::broken, what_is_wrong());
        if (reader_.how_it_ended() == ending::cut_short) say("promisqs: {}\n", what_is_wrong());
    }

    const replay_request& request_;
    recording_reader reader_;
    joined_queue queue_;
    std::uint64_t element_size_;
    progress progress_{"replayed"};
    clock::time_point began_;
    clock::time_point origin_;                 // when the first message was due
    clock::time_point due_;                    // when the last one was
    std::optional<std::uint64_t> first_time_;  // in the recording
    std::uint64_t last_time_ = 0;
    std::chrono::nanoseconds late_{};
    std::uint64_t pushed_ = 0;
    std::uint64_t passed_ = 0;  // in this pass
    std::uint64_t missed_ = 0;
};

}  // namespace

void replay(const replay_request& request) { replayer(request).run(); }

}  // namespace promisqs_tool
